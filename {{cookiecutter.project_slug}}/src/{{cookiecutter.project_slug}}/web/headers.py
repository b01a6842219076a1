"""The headers by which a browser protects its user: on every answer, unless its view has set them itself.

This is all there is of them. It wraps the application as WSGI middleware, so that error pages, redirects,
static files and streams have them too; as an `after_request` function it would cost ten times as much.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from flask import Flask, request

from ..logs import request_id
from ..settings import StartupError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Policy = Mapping[str, Iterable[str]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

EXTENSION = "headers"
NONCE, ALLOWED = "service.csp_nonce", "service.csp_allowed"


def init_app(app: Flask) -> None:
    """Put SECURITY_HEADERS, STRICT_TRANSPORT_SECURITY and CONTENT_SECURITY_POLICY on every answer of `app`.

    Raises StartupError when one of them is malformed.
    """
    app.wsgi_app = app.extensions[EXTENSION] = Headers(app)  # type: ignore[method-assign]
    app.add_template_global(csp_nonce)


def csp_nonce() -> str:
    """What an inline script or style needs to be run: `<script nonce="{{ csp_nonce() }}">`. One a request."""
    return nonce(request.environ)


def allow(directive: str, *sources: str) -> None:
    """Widen the policy of the answer to this request: `allow("img-src", "https://maps.example.org")`."""
    widen(request.environ, directive, *sources)


def nonce(environ: "WSGIEnvironment") -> str:
    """The nonce of a request: 128 random bits, as the CSP standard asks, made when they are first asked for."""
    if NONCE not in environ:
        environ[NONCE] = secrets.token_urlsafe(16)
        for directive in ("script-src", "style-src"):
            widen(environ, directive, f"'nonce-{environ[NONCE]}'")
    return str(environ[NONCE])


def widen(environ: "WSGIEnvironment", directive: str, *sources: str) -> None:
    """Note `sources` for the policy of the answer to the request of `environ`."""
    environ.setdefault(ALLOWED, {}).setdefault(directive, []).extend(sources)


def written(policy: Policy, allowed: Policy | None = None) -> str:
    """The value of a Content-Security-Policy header: `policy`, widened by the sources `allowed`."""
    policy = dict(policy)
    for directive, sources in (allowed or {}).items():
        # A directive that is not there is replaced by default-src, so that is what is widened.
        present = policy.get(directive, policy.get("default-src", []))
        policy[directive] = [*(source for source in present if source != "'none'"), *sources]
    return "; ".join(" ".join([directive, *sources]) for directive, sources in policy.items())


def checked_policy(policy: object) -> Policy:
    """CONTENT_SECURITY_POLICY: directives, each with a list of sources. Raises StartupError."""
    if not isinstance(policy, Mapping | None):
        raise malformed(f"is {type(policy).__name__}, not directives with a list of sources each")
    for directive, sources in (policy or {}).items():
        if not re.fullmatch(r"[a-z]+(-[a-z]+)*", str(directive)):
            raise malformed(f"has {directive!r}, which is no directive; they look like img-src")
        if isinstance(sources, str) or not isinstance(sources, Iterable):
            raise malformed(f"has {sources!r} for {directive}, which is no list of sources")
        for source in sources:
            if not re.fullmatch(r"[^\s;,]+", str(source)):
                raise malformed(f"has {source!r} for {directive}, which is not one source")
            if re.match(r"(self|none|unsafe-\w+|strict-dynamic|report-sample|(nonce|sha\d+)-.*)$", str(source)):
                raise malformed(f"has {source} for {directive} without its quotes", f"\"'{source}'\"")
    return policy or {}


def malformed(problem: str, cure: str = '"img-src": ["\'self\'", "https://images.example.org"],') -> StartupError:
    """What is wrong with the policy."""
    return StartupError("csp-format", f"CONTENT_SECURITY_POLICY {problem}", cure)


def checked_headers(headers: object) -> Mapping[str, str]:
    """SECURITY_HEADERS: the name and the value of each. Raises StartupError."""
    if isinstance(headers, Mapping | None):
        headers = headers or {}
        wrong = [
            name
            for name, value in headers.items()
            if value is not None and not (isinstance(value, str) and re.fullmatch(r"[ -~]*", value))
        ]
        if not wrong:
            return headers
        headers = wrong[0]
    raise StartupError(
        "header-format",
        f"SECURITY_HEADERS has {headers!r}, where a header's text belongs",
        '"X-Frame-Options": "DENY",',
    )


class Headers:
    """The application with these headers on all of its answers."""

    def __init__(self, app: Flask) -> None:
        self.wsgi_app: WSGIApplication = app.wsgi_app
        self.policy = checked_policy(app.config["CONTENT_SECURITY_POLICY"])
        self.policy_text = written(self.policy)
        hsts = {"Strict-Transport-Security": app.config["STRICT_TRANSPORT_SECURITY"]}
        headers = checked_headers({**checked_headers(app.config["SECURITY_HEADERS"]), **hsts})
        self.always = [(name.lower(), (name, value)) for name, value in headers.items() if value]
        self.session_cookie = f"{app.config['SESSION_COOKIE_NAME']}="

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(
            status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
        ) -> Callable[[bytes], Any]:
            self.complete(environ, status, headers)
            return start_response(status, headers, exc_info)

        return self.wsgi_app(environ, start)

    def complete(self, environ: "WSGIEnvironment", status: str, headers: list[tuple[str, str]]) -> None:
        """Add to the `headers` of an answer those that it does not have."""
        given = {name.lower(): value for name, value in headers}
        headers.extend([header for name, header in self.always if name not in given])
        if "x-request-id" in given:
            headers[:] = [(name, value) for name, value in headers if name.lower() != "x-request-id"]
        headers.append(("X-Request-ID", request_id(environ)))
        is_stream = "content-length" not in given
        if self.policy and "content-security-policy" not in given:
            if is_stream and not status.startswith(("204", "3")):
                nonce(environ)  # its template will ask when the headers have gone
            allowed = environ.get(ALLOWED)
            text = written(self.policy, allowed) if allowed else self.policy_text
            headers.append(("Content-Security-Policy", text))
        # An answer that was made from a session stays between the service and this browser. Flask says
        # `Vary: Cookie` where the session was read; a stream may read it later.
        has_session = "set-cookie" in given or self.session_cookie in environ.get("HTTP_COOKIE", "")
        if has_session and "cache-control" not in given and (is_stream or "Cookie" in given.get("vary", "")):
            headers.append(("Cache-Control", "no-store"))
