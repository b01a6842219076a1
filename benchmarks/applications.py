"""The service, and the same pages on a bare Flask and on one that is protected by hand. Runs in the service's venv."""

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask
from gunicorn.config import AccessLogFormat
from my_flask_service import create_app, health, pages

SETTINGS = ("SERVICE_NAME", "SERVICE_DESCRIPTION", "APP_ENV")


def ours() -> Flask:
    return create_app()


def bare() -> Flask:
    """Flask with the same pages and templates, and a key."""
    app = Flask("my_flask_service")
    app.config.update({name: ours().config[name] for name in SETTINGS}, SECRET_KEY=os.environ["SECRET_KEY"])
    app.register_blueprint(pages.bp)
    health.init_app(app)
    return app


def by_hand() -> Flask:
    """The same with Flask-Talisman, Flask-WTF and python-json-logger, set to the same policy."""
    from flask_talisman import Talisman
    from flask_wtf import CSRFProtect

    app, config = bare(), ours().config
    app.config["TRUSTED_HOSTS"] = config["TRUSTED_HOSTS"]
    app.config.update({name: config[name] for name in config if name.startswith("SESSION_COOKIE_")})
    app.config.update({name: config[name] for name in config if name.startswith("MAX_")})
    headers = config["SECURITY_HEADERS"]
    Talisman(
        app,
        content_security_policy=config["CONTENT_SECURITY_POLICY"],
        frame_options=headers["X-Frame-Options"],
        permissions_policy=headers["Permissions-Policy"],
        referrer_policy=headers["Referrer-Policy"],
        force_https=False,  # which the reverse proxy in front does
    )
    CSRFProtect(app)
    return app


def logged(app: Flask, formatter: logging.Formatter) -> Flask:
    """`app`, with the line that gunicorn logs of each request."""
    serve = app.wsgi_app
    atoms = dict.fromkeys(("h", "l", "u", "t", "r", "b", "f", "a", "m", "U", "B", "M", "{x-request-id}o"), "/") | {
        "s": 200
    }

    def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = serve(environ, start_response)
        line = AccessLogFormat.default, (atoms,)
        formatter.format(logging.LogRecord("gunicorn.access", logging.INFO, __file__, 0, *line, None))
        return body

    app.wsgi_app = wsgi_app
    return app
