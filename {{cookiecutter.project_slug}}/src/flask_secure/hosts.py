"""Hosts: the service answers only to its names, and believes TRUSTED_PROXIES proxies."""

import ipaddress
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from flask import Config, Flask, Response
from werkzeug.exceptions import SecurityError
from werkzeug.middleware.proxy_fix import ProxyFix

from .lists import names_in
from .logs import request_id

log = logging.getLogger(__name__)

LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
NAME = re.compile(rf"\.?{LABEL}(\.{LABEL})*", re.IGNORECASE)
AS_SENT = re.compile(r"[a-z0-9.-]+|\[[0-9a-f:.]+\]")  # a name or an address in a Host header
ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^:/?#\[\]@]+)(:[0-9]{1,5})?")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}

REJECTED = "This host is not in TRUSTED_HOSTS.\n"


def init_app(app: Flask) -> None:
    """Protect `app`, whose settings have been checked, from forged Host and X-Forwarded headers."""
    hosts = [host.lower() for host in names_in(app.config["TRUSTED_HOSTS"])]
    proxies = int(app.config["TRUSTED_PROXIES"] or 0)
    has_ipv6 = any(host.startswith("[") for host in hosts)
    # Flask checks again, unless there is an IPv6 address, of which Werkzeug takes the first colon
    # for the beginning of a port.
    app.config["TRUSTED_HOSTS"] = None if has_ipv6 else hosts or None
    app.config["TRUSTED_PROXIES"] = proxies
    app.register_error_handler(SecurityError, reject)
    health_checks = names_in(app.config["HEALTH_CHECKS"])
    middleware = HostsMiddleware(app.wsgi_app, hosts, health_checks)
    app.wsgi_app = middleware  # type: ignore[method-assign]


def reject(error: SecurityError | None = None) -> Response:
    """A response without a page, whose links would need the host."""
    return Response(REJECTED, 400, mimetype="text/plain")


def believe_proxies(app: Flask) -> None:
    """Take the client's address and scheme from as many reverse proxies as TRUSTED_PROXIES says.

    Each adds an address to X-Forwarded-For. nginx and ingress controllers overwrite -Proto and
    -Host, so their last value is the nearest proxy's. The prefix is not taken: few proxies set or
    remove that header, so a client could send it.
    """
    count = app.config["TRUSTED_PROXIES"]
    if count:
        proxy_fix = ProxyFix(app.wsgi_app, x_for=count, x_proto=1, x_host=1)
        app.wsgi_app = proxy_fix  # type: ignore[method-assign]


class HostsMiddleware:
    """A WSGI application that only sees requests for `hosts`, with the Host header in one form."""

    def __init__(
        self, wsgi_app: Callable[..., Iterable[bytes]], hosts: list[str], health_checks: list[str]
    ) -> None:
        self.wsgi_app = wsgi_app
        self.names = frozenset(host for host in hosts if not host.startswith("."))
        self.suffixes = tuple(host for host in hosts if host.startswith("."))
        self.first = hosts[0].removeprefix(".") if hosts else ""
        self.health_checks = frozenset(health_checks)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        host = normalized(environ.get("HTTP_HOST", ""))
        environ["HTTP_HOST"] = host
        if not self.first:
            return self.wsgi_app(environ, start_response)
        if environ.get("PATH_INFO") in self.health_checks:  # probes come by IP address
            environ["HTTP_HOST"] = self.first
        elif not self.is_trusted(without_port(host)):
            message = "request for the host %r rejected: it is not in TRUSTED_HOSTS"
            log.warning(message, host[:100], extra={"request_id": request_id(environ)})
            return reject()(environ, start_response)
        return self.wsgi_app(environ, start_response)

    def is_trusted(self, name: str) -> bool:
        """Whether the service answers to `name`. `.example.org` is that name and all below it."""
        if name in self.names:
            return True
        if not self.suffixes or not AS_SENT.fullmatch(name):  # evil.example/.example.org
            return False
        return f".{name}".endswith(self.suffixes)


def normalized(host: str) -> str:
    """`host` in lower case, without the dot of the root: both mean the same (RFC 9110, 4.2.3)."""
    host = host.lower()
    if host.endswith(".") or ".:" in host:
        return re.sub(r"\.(?=:|$)", "", host)
    return host


def without_port(host: str) -> str:
    """The name of `host`, with the brackets of an IPv6 address."""
    if host.endswith("]"):
        return host
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdigit() or not port) else host


def mistake_in_host(entry: str) -> str | None:
    """Why no request can have `entry` of TRUSTED_HOSTS as its host; None if one can."""
    if not entry.isascii():
        sent = as_sent(entry)
        return f"browsers send it as {sent}" if sent else "is not a host name"
    if entry.startswith("["):
        return None if is_ipv6(entry) else "is not an IPv6 address in brackets"
    if is_ipv6(f"[{entry}]"):
        return f"an IPv6 address needs brackets: [{entry}]"
    if "_" in entry:
        return "a host name has no underscore (RFC 1123), so Werkzeug rejects each request for it"
    if not NAME.fullmatch(entry):
        return "is not a host name, without scheme, port and path"
    return None


def as_sent(entry: str) -> str:
    """The form in which browsers send an internationalized name (IDNA); "" for what is none."""
    try:
        sent = entry.encode("idna").decode()
    except UnicodeError:
        return ""
    return sent if NAME.fullmatch(sent) else ""


def is_ipv6(entry: str) -> bool:
    try:
        ipaddress.IPv6Address(entry.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return entry.endswith("]") and "%" not in entry


def mistake_in_origin(entry: str) -> str | None:
    """Why no browser sends `entry` as the Origin of a page; None if one does (RFC 6454, 6.2)."""
    parts = ORIGIN.fullmatch(entry)
    if parts is None:
        return "is not an origin, such as https://app.example.org"
    scheme, host, port = parts[1], parts[2], parts[3]
    if port and port == DEFAULT_PORTS[scheme]:
        return f"browsers leave the default port out: {entry.removesuffix(port)}"
    if host != host.lower():
        return f"browsers send it in lower case: {entry.lower()}"
    if host.startswith("."):
        return "is not an origin: an origin is one host, or every host below one: https://*.example.org"
    if host.startswith("*."):
        host = host.removeprefix("*.")
        if "." not in host:
            return f"would be every host below {host}"
    return mistake_in_host(host)


def first_exact_host(config: Config) -> str:
    """The one exact name in TRUSTED_HOSTS; "" if there is none, or more than one."""
    exact = [host for host in names_in(config["TRUSTED_HOSTS"]) if not host.startswith(".")]
    return exact[0] if len(exact) == 1 else ""
