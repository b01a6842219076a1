"""Reports of violations: the path that takes them, and what becomes of them.

Reports are taken before hosts, limits and sessions, so that no setting of the application's loses
one and none of its code sees one. A response has no body.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.routing import Rule
from werkzeug.wrappers import Response
from werkzeug.wsgi import get_input_stream

from . import report_parsing
from .advice import Violation
from .limits import ChunkedBody
from .problems import Problem, StartupError
from .report_copies import Copies
from .report_parsing import CSP_REPORT, REPORTS, MalformedReportError, Report, origin_of
from .report_store import Counts, Lines, Store
from .sent import PATH
from .this_machine import is_from_this_machine, is_local_host

REPORTED = "flask_secure.reports"  # the key of the store in app.extensions

LARGEST = 8 * 1024  # bytes

NO_ROUTE = "a page without a route"
ELSEWHERE = "a page of another site"


def init_app(app: Flask, copies: Copies, *, is_local: bool) -> None:
    """Take reports of violations, if CSP_REPORTS says so. `copies` was made before the toolbar."""
    if not app.config["CSP_REPORTS"]:
        return
    store = Lines(copies.describe) if is_local else Counts()
    take(app, store, copies, is_for_all=True)


def take(app: Flask, store: Store, copies: Copies, *, is_for_all: bool) -> None:
    """Put the path of reports before `app`; without `is_for_all`, for clients on this machine."""
    reserve_path(app)
    app.extensions[REPORTED] = {"store": store, "copies": copies}
    middleware = ReportsMiddleware(app, store, is_for_all=is_for_all)
    app.wsgi_app = middleware  # type: ignore[method-assign]


def reserve_path(app: Flask) -> None:
    """Raise StartupError for a route of the application's that would never be reached."""
    for rule in app.url_map.iter_rules():
        reject_reserved(rule)

    class CheckedRule(app.url_rule_class):  # type: ignore[name-defined,misc]
        """A route that is added later."""

        def bind(self, *arguments: Any, **more: Any) -> None:
            super().bind(*arguments, **more)
            reject_reserved(self)

    app.url_rule_class = CheckedRule


def reject_reserved(rule: Rule) -> None:
    if rule.rule == PATH:
        message = f"A route of the application is {PATH}, where browsers send their reports"
        fix = "Give the route another path, or set CSP_REPORTS = False in config/default.py."
        raise StartupError(Problem("reports-route", message, fix))


class ReportsMiddleware:
    """A WSGI application that takes reports at one path."""

    def __init__(self, app: Flask, store: Store, *, is_for_all: bool) -> None:
        self.wsgi_app: Callable[..., Iterable[bytes]] = app.wsgi_app
        self.app = app
        self.store = store
        self.is_for_all = is_for_all

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return self.wsgi_app(environ, start_response)
        response = Response(status=self.take(environ), mimetype="text/plain")
        if response.status_code == MethodNotAllowed.code:
            response.headers["Allow"] = "POST"
        return response(environ, start_response)

    def take(self, environ: dict[str, Any]) -> int:
        """Keep what the request reports; the status of the response."""
        mimetype, _ = parse_options_header(environ.get("CONTENT_TYPE"))
        if environ["REQUEST_METHOD"] != "POST":
            return 405
        if not self.is_for_all and not is_from_this_machine(environ):
            return 403
        if mimetype not in (CSP_REPORT, REPORTS):
            return 415
        try:
            reports = report_parsing.parse(body_of(environ), mimetype)
        except HTTPException as error:  # too large, or cut short
            return error.code or 400
        except MalformedReportError:
            return 400
        for each in reports:
            self.store.add(violation(self.app, environ, each))
        return 204


def body_of(environ: dict[str, Any]) -> bytes:
    """The body of a request, of 8 kB at most. Raises HTTPException."""
    if "HTTP_TRANSFER_ENCODING" in environ:
        environ["wsgi.input"] = ChunkedBody(environ["wsgi.input"])
    # One byte more: Werkzeug says nothing of a body in chunks that it cuts at the limit.
    body = get_input_stream(environ, max_content_length=LARGEST + 1).read()
    if len(body) > LARGEST:
        raise RequestEntityTooLarge
    return body


def violation(app: Flask, environ: Mapping[str, Any], report: Report) -> Violation:
    """What `report` says, without what is secret or hostile in it."""
    host = environ.get("HTTP_HOST", "").lower()
    own_origin = f"{environ['wsgi.url_scheme']}://{host}"
    page_origin = origin_of(report.page_url)
    is_own_page = page_origin.partition("://")[2] == host
    is_own = is_own_page and is_from_own_page(environ, own_origin)
    page = ELSEWHERE
    if is_own_page:
        path = report.page_url[len(page_origin) :]
        page = rule_of(app, path, environ.get("SCRIPT_NAME", ""))
    blocked = "self" if report.blocked == own_origin else report.blocked
    return Violation(report.directive, blocked, page, report.is_enforced, is_own)


def is_from_own_page(environ: Mapping[str, Any], own_origin: str) -> bool:
    """Whether a browser on this machine has sent the report for a page of this very service.

    Pages can't set Sec-Fetch-Site nor Origin. The host is a name of this machine's: another name
    that leads here may be an attacker's (DNS rebinding).
    """
    if not is_from_this_machine(environ) or not is_local_host(environ.get("HTTP_HOST", "")):
        return False
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return bool(site == "same-origin")
    return bool(environ.get("HTTP_ORIGIN") == own_origin)


def rule_of(app: Flask, path: str, mounted_at: str) -> str:
    """The URL rule of a page, such as /reset/<token>: its path may hold a secret."""
    mounted_at = mounted_at.encode("latin-1", "replace").decode("utf-8", "replace")
    path = unquote(path.partition("?")[0].partition("#")[0]).removeprefix(mounted_at) or "/"
    adapter = app.url_map.bind("localhost")
    method = "GET"
    for _ in range(2):
        try:
            rule, _ = adapter.match(path, method, return_rule=True)
            return str(rule.rule)
        except MethodNotAllowed as error:  # the page is what a form was answered with
            method = next(iter(error.valid_methods or ["POST"]))
        except Exception:  # of a converter of the owner's, too
            break
    return NO_ROUTE
