"""What stands between the service and the web: headers, hosts and proxies, cross-site requests."""

from flask import Flask, current_app
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
    if request.method not in csrf.SAFE_METHODS:
        csrf.check(request)
        if request.mimetype == "application/x-www-form-urlencoded":
            # Werkzeug holds a multipart form's fields to this, and takes the whole of such a one into memory.
            request.max_content_length = current_app.config["MAX_FORM_MEMORY_SIZE"]
