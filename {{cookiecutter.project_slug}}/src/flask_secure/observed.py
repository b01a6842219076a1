"""The library's policy, tried in an application that is only observed: nothing is blocked."""

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

from .headers import NONCE, Headers
from .policies import REPORT_ONLY, library_policy
from .policy import Policy
from .report_copies import Copies
from .report_store import Counts, Lines, Store
from .reports import take
from .sent import Sent


def observe_policy(app: Flask, *, report: bool = True) -> None:
    """Let browsers report what the library's policy would block: one header and one path more.

    Reports are taken from clients on this machine; with CSP_REPORTS in `app.config` from all, and
    counted unless the application is in debug mode. Without `report` nothing is added. Raises
    StartupError if the path is a route of the application's.
    """
    if not report:
        return
    is_for_all = bool(app.config.get("CSP_REPORTS"))
    copies = Copies(app.config, None)
    store: Store = Lines(copies.describe)
    if is_for_all and not app.debug:
        store = Counts()
    take(app, store, copies, is_for_all=is_for_all)
    middleware = PolicyMiddleware(app.wsgi_app, Policy.of(library_policy(app.config)))
    app.wsgi_app = middleware  # type: ignore[method-assign]


class PolicyMiddleware:
    """A WSGI application whose responses have a policy that is only tried."""

    def __init__(self, wsgi_app: Callable[..., Iterable[bytes]], policy: Policy) -> None:
        self.wsgi_app = wsgi_app
        # As if it were local: report-uri alone, which needs no second header.
        self.sent = Sent({}, {REPORT_ONLY: policy}, takes_reports=True, is_local=True)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            given = {name.lower() for name, _ in headers}
            headers.extend(self.sent.policy_headers(environ, environ.get(NONCE), given))
            return start_response(status, headers, exc_info)

        return self.wsgi_app(environ, start)
