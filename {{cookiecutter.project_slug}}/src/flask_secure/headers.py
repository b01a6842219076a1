"""Security headers: every response has them. A view that sets one keeps its own."""

import secrets
from collections.abc import Callable, Iterable
from typing import Any

from flask import Config, Flask, request

from .logs import request_id
from .others import sent_by_others
from .routes import OVERRIDES
from .sent import Change, Sent, of_config
from .serving import at_first_request

NONCE = "flask_secure.csp_nonce"

Headers = list[tuple[str, str]]


def init_app(app: Flask) -> None:
    """Add the headers to every response of `app`, whose settings have been checked."""
    middleware = HeadersMiddleware(app.wsgi_app, app.config)
    app.wsgi_app = middleware  # type: ignore[method-assign]
    if "csp_nonce" not in app.jinja_env.globals:  # Flask-Talisman's
        app.add_template_global(csp_nonce)
    at_first_request(app, lambda: middleware.leave(sent_by_others(app)))


def csp_nonce(environ: dict[str, Any] | None = None) -> str:
    """The nonce of this request, for `<script nonce="{{ csp_nonce() }}">`.

    128 random bits, as CSP Level 3, 7.1 asks. `environ` is a WSGI environment; without it the
    current request's is taken.
    """
    environ = request.environ if environ is None else environ
    if NONCE not in environ:
        environ[NONCE] = secrets.token_urlsafe(16)
    return str(environ[NONCE])


class HeadersMiddleware:
    """A WSGI application whose responses have the security headers."""

    def __init__(self, wsgi_app: Callable[..., Iterable[bytes]], config: Config) -> None:
        self.wsgi_app = wsgi_app
        self.sent = of_config(config)
        self.of_routes: dict[tuple[Change, ...], Sent] = {}
        self.cookie = f"{config['SESSION_COOKIE_NAME']}="

    def leave(self, names: frozenset[str]) -> None:
        """Leave the headers with these `names`, in lower case, to what else sends them."""
        self.sent = self.sent.without(names)
        self.of_routes.clear()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            self.add(environ, status, headers)
            return start_response(status, headers, exc_info)

        return self.wsgi_app(environ, start)

    def add(self, environ: dict[str, Any], status: str, headers: Headers) -> None:
        """Add to `headers` what a response with `status` needs and does not have."""
        given = {name.lower() for name, _ in headers}
        is_stream = "content-length" not in given
        sent = self.of_route(environ[OVERRIDES]) if OVERRIDES in environ else self.sent
        if is_stream and sent.policies and may_have_a_page(status):
            csp_nonce(environ)  # a stream's template may ask when the headers have gone
        headers.extend(sent.missing(environ, environ.get(NONCE), given))
        has_session = "set-cookie" in given or self.cookie in environ.get("HTTP_COOKIE", "")
        if has_session and "cache-control" not in given:
            keep_out_of_caches(headers, is_stream)
        if "x-request-id" not in given:
            headers.append(("X-Request-ID", request_id(environ)))

    def of_route(self, changes: list[Change]) -> Sent:
        """What a view with these changes is sent; put together when it is first asked for."""
        key = tuple(changes)
        if key not in self.of_routes:
            self.of_routes[key] = self.sent.changed(changes)
        return self.of_routes[key]


def keep_out_of_caches(headers: Headers, is_stream: bool) -> None:
    """Forbid caches to keep what was made from a visitor's session."""
    if is_stream or varies(headers):
        headers.append(("Cache-Control", "no-store"))


def varies(headers: Headers) -> bool:
    """Whether the response was made from the visitor's session: Flask says so by Vary: Cookie.

    A stream may still read it later.
    """
    return any(name.lower() == "vary" and "cookie" in value.lower() for name, value in headers)


def may_have_a_page(status: str) -> bool:
    """Whether a response with `status`, such as "200 OK", has a body of the view's own."""
    return status.startswith("2") and not status.startswith("204")
