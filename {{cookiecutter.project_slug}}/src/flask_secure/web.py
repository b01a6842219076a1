"""What stands between the service and the web: security headers, trusted hosts, cross-site requests, limits."""

import logging
import re
import secrets
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from flask import Config, Flask, Response, abort, current_app, request
from werkzeug.exceptions import BadRequest, SecurityError
from werkzeug.middleware.proxy_fix import ProxyFix

from . import settings
from .logs import request_id
from .problems import Problem

log = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

NONCE = "flask_secure.csp_nonce"

RULES = tomllib.loads(Path(__file__).with_name("rules.toml").read_text())


def csp_nonce(environ: dict[str, Any] | None = None) -> str:
    """The nonce of this request, 128 random bits (CSP Level 3, 7.1): `<script nonce="{{ csp_nonce() }}">`."""
    environ = request.environ if environ is None else environ
    return str(environ.get(NONCE) or environ.setdefault(NONCE, secrets.token_urlsafe(16)))


def csrf_exempt(view: View) -> View:
    """Decorate a view that any site may post to, such as a webhook: it must not rely on the visitor's cookies."""
    view.csrf_exempt = True  # type: ignore[attr-defined]
    return view


def check(config: Config) -> Iterator[Problem]:
    """Settings with entries that would not mean what they say, and production without TRUSTED_HOSTS."""
    for id, (setting, form, example) in RULES["start-up"].items():
        value = config[setting]
        texts = (
            str(value).split(",") if isinstance(value, str | int) else value if isinstance(value, list | tuple) else ()
        )
        if isinstance(value, dict):
            texts = [f"{name}: {text_of(item, is_list=id == 'csp-format')}".rstrip(" ") for name, item in value.items()]
        for text in map(str, texts):
            if not re.fullmatch(form, text) or ("," in str(value) and isinstance(example, str | int)):  # not a list
                yield Problem(id, f"{setting} has {text!r}", settings.fix(config, setting, example))
    if config["APP_ENV"] == "production" and not any(settings.entries(config["TRUSTED_HOSTS"])):
        message = "TRUSTED_HOSTS is not set, and production answers only to the names in it"
        yield Problem("hosts-missing", message, "export TRUSTED_HOSTS=www.example.org")


def text_of(item: Any, is_list: bool) -> str:
    """A header's text, or the sources of a directive; for what is neither, a character that no form allows."""
    parts = item if isinstance(item, list | tuple) else [item]
    fits = isinstance(item, list | tuple) == is_list and all(isinstance(part, str) for part in parts)
    return " ".join(parts) if fits else "\0"


def init_app(app: Flask) -> None:
    """Protect `app`, whose settings `check` has passed."""
    hosts = [host.lower() for host in settings.entries(app.config["TRUSTED_HOSTS"]) if host] or None
    proxies = int(app.config["TRUSTED_PROXIES"] or 0)
    origins = settings.entries(app.config["CSRF_TRUSTED_ORIGINS"])
    app.config.update(TRUSTED_HOSTS=hosts, TRUSTED_PROXIES=proxies, CSRF_TRUSTED_ORIGINS=origins)
    app.wsgi_app = Middleware(app.wsgi_app, app.config)  # type: ignore[method-assign]
    if proxies:  # not the prefix: few proxies set or remove that header, so a client could
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies)  # type: ignore[method-assign]
    app.add_template_global(csp_nonce)
    app.before_request(reject_cross_site)
    app.register_error_handler(SecurityError, reject_host)
    if gunicorn := sys.modules.get("gunicorn.http.errors"):  # what it raises when a view reads a malformed body
        app.register_error_handler(gunicorn.ParseException, lambda _: app.handle_http_exception(BadRequest()))


class Middleware:
    """A WSGI application whose requests are in one form, and whose responses, all of them, have the headers."""

    def __init__(self, wsgi_app: Callable[..., Iterable[bytes]], config: Config) -> None:
        self.wsgi_app = wsgi_app
        headers = dict(config["SECURITY_HEADERS"] or {})
        headers["Strict-Transport-Security"] = config["STRICT_TRANSPORT_SECURITY"]
        self.headers = [(name.lower(), (name, value)) for name, value in headers.items() if value]
        self.policy = config["CONTENT_SECURITY_POLICY"] or {}
        self.policy_text = written(self.policy)
        self.health_checks = frozenset(settings.entries(config["HEALTH_CHECKS"]))
        self.host = (config["TRUSTED_HOSTS"] or [""])[0].removeprefix(".")
        self.cookie = f"{config['SESSION_COOKIE_NAME']}="

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            given = {name.lower() for name, _ in headers}
            headers.extend([header for name, header in self.headers if name not in given])
            is_stream = "content-length" not in given
            if self.policy and "content-security-policy" not in given:
                if is_stream and status[0] == "2" and status[:3] != "204":
                    csp_nonce(environ)  # a stream, whose template asks for it when the headers have gone
                text = written(self.policy, environ[NONCE]) if NONCE in environ else self.policy_text
                headers.append(("Content-Security-Policy", text))
            # Flask says Vary: Cookie of a response that was made from a session; a stream may be.
            varies = is_stream or any("Cookie" in value for name, value in headers if name == "Vary")
            has_session = "set-cookie" in given or self.cookie in environ.get("HTTP_COOKIE", "")
            if has_session and varies and "cache-control" not in given:
                headers.append(("Cache-Control", "no-store"))
            if "x-request-id" not in given:
                headers.append(("X-Request-ID", request_id(environ)))
            return start_response(status, headers, exc_info)

        host = environ.get("HTTP_HOST", "").lower()
        # WWW.Example.org. and www.example.org are the same (RFC 9110, 4.2.3). Probes come by IP address.
        environ["HTTP_HOST"] = re.sub(r"\.(?=:|$)", "", host) if host.endswith(".") or ".:" in host else host
        if self.host and environ.get("PATH_INFO") in self.health_checks:
            environ["HTTP_HOST"] = self.host
        if environ.get("CONTENT_LENGTH"):  # or Werkzeug would take a body that ends early for the whole
            environ.pop("wsgi.input_terminated", None)
        return self.wsgi_app(environ, start)


def written(policy: Mapping[str, list[str]], nonce: str = "") -> str:
    """The value of a Content-Security-Policy header, with `nonce` for inline scripts and styles."""
    for name in ("script-src", "style-src") if nonce else ():
        sources = policy.get(name, policy.get("default-src", []))  # which replaces a missing directive
        policy = {**policy, name: [*(each for each in sources if each != "'none'"), f"'nonce-{nonce}'"]}
    return "; ".join(" ".join([name, *sources]) for name, sources in policy.items())


def reject_host(error: SecurityError) -> Response:
    """Answer a request for a host that is not in TRUSTED_HOSTS, without a page, whose links would need the host."""
    log.warning("request for the host %r rejected: it is not in TRUSTED_HOSTS", request.headers.get("Host", "")[:100])
    return Response("This host is not in TRUSTED_HOSTS.\n", 400, mimetype="text/plain")


def reject_cross_site() -> None:
    """Answer 403 to what another site's page has sent with the visitor's cookies: Go's CrossOriginProtection."""
    if request.method in ("GET", "HEAD", "OPTIONS"):  # for which a view must change nothing (RFC 9110, 9.2.1)
        return
    if request.mimetype == "application/x-www-form-urlencoded":
        # Werkzeug reads such a form into memory whole; it holds only the fields of multipart forms to this.
        limits = request.max_content_length, current_app.config["MAX_FORM_MEMORY_SIZE"]
        request.max_content_length = min((limit for limit in limits if limit is not None), default=None)
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    own = (None, "", f"https://{request.host}", f"http://{request.host}")  # TLS may have ended at a reverse proxy
    rule = f"Sec-Fetch-Site is {site}, not same-origin" if site else f"Origin is {origin}, not {request.host}"
    allowed = site in ("same-origin", "none") if site else origin in own
    view = current_app.view_functions.get(request.endpoint or "")
    if allowed or getattr(view, "csrf_exempt", False) or origin in current_app.config["CSRF_TRUSTED_ORIGINS"]:
        return
    log.warning("cross-site request rejected: %s. To allow it: CSRF_TRUSTED_ORIGINS or @csrf_exempt", rule)
    abort(403, f"A page of another site has sent this, so nothing was done. The rule: {rule}.")
