"""The address of the service, for links in mails. None of them is made from a request."""

from urllib.parse import urlsplit

import click
from flask import Config, Flask, current_app

import flask_secure


def init_app(app: Flask) -> None:
    """Remember the port of `flask run --port`, which only the running command knows.

    FLASK_RUN_PORT is the setting RUN_PORT already, as Flask's variables are.
    """
    command = click.get_current_context(silent=True)
    port = command.params.get("port") if command else None
    app.config.setdefault("RUN_PORT", port or 5000)


def service_url(config: Config) -> str:
    """SERVICE_URL; else https:// and the one exact name in TRUSTED_HOSTS; "" if it has several.

    On a developer's machine it is the address of `flask run`.
    """
    if config["SERVICE_URL"]:
        return str(config["SERVICE_URL"])
    if not flask_secure.is_strict(config):
        return f"http://127.0.0.1:{config.get('RUN_PORT', 5000)}"
    host = flask_secure.first_exact_host(config)
    return f"https://{host}" if host else ""


def external_url(endpoint: str, *, token: str = "", **values: object) -> str:
    """The URL of a page, for a mail. A `token` comes behind its `#`, which no log has."""
    url = urlsplit(service_url(current_app.config))
    adapter = current_app.url_map.bind(url.netloc, url.path or "/", url_scheme=url.scheme)
    page = adapter.build(endpoint, values, force_external=True)
    return f"{page}#{token}" if token else page
