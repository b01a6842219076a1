"""What stands between the service and the web: headers, hosts and proxies, cross-site requests."""

from flask import Flask
from flask.globals import request_ctx

from . import csrf, headers, hosts


def init_app(app: Flask) -> None:
    """Give every answer of `app` its headers, and refuse requests for other hosts or from other sites.

    Raises settings.StartupError when a setting of theirs is malformed or, in production, missing.
    """
    headers.init_app(app)
    hosts.init_app(app)
    csrf.init_app(app)
    app.before_request(check)


def check() -> None:
    """Refuse this request where a rule says so."""
    request = request_ctx.request
    hosts.check(request)
    csrf.check(request)
