"""Which names the service answers to, and whose word it takes for what a request looked like at first."""

import logging
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, Request, abort, current_app
from flask.globals import request_ctx
from werkzeug.exceptions import SecurityError
from werkzeug.middleware.proxy_fix import ProxyFix

from .. import health
from ..settings import StartupError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

EXAMPLE = "export TRUSTED_HOSTS=www.example.org"


def init_app(app: Flask) -> None:
    """Answer 400 for hosts that are not in TRUSTED_HOSTS; take the word of TRUSTED_PROXIES proxies, by count.

    Raises StartupError when either is malformed, and in production without TRUSTED_HOSTS.
    """
    hosts = trusted_hosts(app.config["TRUSTED_HOSTS"])
    if not hosts and app.config["APP_ENV"] == "production":
        raise StartupError(
            "hosts-missing", "TRUSTED_HOSTS is not set, and production answers only to names that it knows", EXAMPLE
        )
    app.config["TRUSTED_HOSTS"] = hosts or None
    if hosts:
        app.wsgi_app = AnyHost(app.wsgi_app, hosts[0].removeprefix("."))  # type: ignore[method-assign]
    count = app.config["TRUSTED_PROXIES"] = trusted_proxies(app.config["TRUSTED_PROXIES"])
    if count:
        # Not the prefix: few proxies set or remove that header, so it would be the client's word.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]


def trusted_hosts(value: str | Iterable[str] | None) -> list[str]:
    """The hosts in TRUSTED_HOSTS: a list, or text that separates them by commas. Raises StartupError."""
    hosts = value.split(",") if isinstance(value, str) else list(value or [])
    hosts = [in_ascii(host.strip().lower()) for host in hosts if host.strip()]
    for host in hosts:
        if "*" in host:
            raise StartupError(
                "hosts-any", f"TRUSTED_HOSTS has {host!r}, and nothing is known of a host that may be any", EXAMPLE
            )
        if not re.fullmatch(r"\.?\w[\w-]*(\.\w[\w-]*)*", host, re.ASCII):
            raise StartupError(
                "hosts-format", f"TRUSTED_HOSTS has {host!r}; a host has no scheme, port or path", EXAMPLE
            )
    return hosts


def canonical(host: str) -> str:
    """A host in one form: WWW.Example.org and www.example.org. are the same (RFC 9110, 4.2.3)."""
    return re.sub(r"\.(?=:[0-9]*$|$)", "", host.lower())


def in_ascii(host: str) -> str:
    """A host as browsers send it: bücher.example is xn--bcher-kva.example (IDNA)."""
    try:
        return ".".join(part.encode("idna").decode() for part in host.split(".")) if not host.isascii() else host
    except UnicodeError:
        return host  # no host, as the caller will see


def trusted_proxies(value: object) -> int:
    """The count in TRUSTED_PROXIES, 0 where it is empty. Raises StartupError."""
    text = "" if value is None else str(value).strip()
    if not re.fullmatch("[0-9]*", text):
        raise StartupError(
            "proxies-format",
            f"TRUSTED_PROXIES says {text!r}; it is the number of proxies before the service",
            "export TRUSTED_PROXIES=1",
        )
    return int(text or 0)


def check(request: Request) -> None:
    """Answer 400 where Flask found the host untrusted; it has then not looked at the address either."""
    if isinstance(request.routing_exception, SecurityError):
        # The error page has links, and those need an adapter; its server name shows in none of them.
        request_ctx.url_adapter = current_app.url_map.bind("localhost", request.root_path)
        host = request.headers.get("Host", "")[:100]
        refused = f"This service does not answer to {host!r}, which is not in TRUSTED_HOSTS."
        log.warning(refused)
        hint = " To add it: TRUSTED_HOSTS=localhost,127.0.0.1,... in .env." if current_app.debug else ""
        abort(400, refused + hint)


class AnyHost:
    """The application, whose health checks answer on any host, as probes come by an address; and hosts in one form."""

    def __init__(self, wsgi_app: "WSGIApplication", host: str) -> None:
        self.wsgi_app, self.host = wsgi_app, host

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "")
        if environ.get("PATH_INFO") in health.PATHS:
            environ["HTTP_HOST"] = self.host
        elif not host.islower() or host.endswith(".") or ".:" in host:
            environ["HTTP_HOST"] = canonical(host)
        return self.wsgi_app(environ, start_response)
