"""Requests that another site's page has sent with the visitor's cookies are refused (CSRF).

The browser itself says where a request comes from, in headers that no page can set: Sec-Fetch-Site, and where
that is missing (old browsers, plain http) Origin. So there is no token to put into forms, and no key to rotate.
The rule is that of Go's net/http.CrossOriginProtection. A client that sends neither header is no browser, so it
carries no visitor's cookies: curl and webhooks pass.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Request, abort, current_app

from ..settings import StartupError

log = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}  # RFC 9110, 9.2.1: a view must change nothing for these


def init_app(app: Flask) -> None:
    """Look at CSRF_TRUSTED_ORIGINS, whose pages may send requests too.

    Raises StartupError when one of those is not an origin.
    """
    for origin in app.config["CSRF_TRUSTED_ORIGINS"]:
        parts = urlsplit(str(origin))
        if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}":
            raise StartupError(
                "csrf-origins",
                f"CSRF_TRUSTED_ORIGINS has {origin!r}, which is no origin",
                "An origin is a scheme, a host and nothing more: https://app.example.org",
            )


def exempt(view: View) -> View:
    """Decorate a view that any site may post to: it must not go by the visitor's cookies."""
    view.csrf_exempt = True  # type: ignore[attr-defined]
    return view


def check(request: Request) -> None:
    """Answer 403, and say which rule refused, where the request comes from another site."""
    if request.method in SAFE_METHODS:
        return
    view = current_app.view_functions.get(request.endpoint or "")
    if getattr(view, "csrf_exempt", False):
        return
    if rule := refusal(request):
        log.warning("cross-site request refused: %s", rule)
        abort(403, f"A page of another site has sent this, so nothing was done. The rule: {rule}.")


def refusal(request: Request) -> str | None:
    """The rule that refuses this request; None when it may pass."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if origin in current_app.config["CSRF_TRUSTED_ORIGINS"]:
        return None
    if site:
        return None if site in ("same-origin", "none") else f"Sec-Fetch-Site is {site}, not same-origin"
    if origin:
        scheme, _, host = origin.partition("://")
        host = host.removesuffix(":443" if scheme == "https" else ":80")
        return None if host == request.host else f"Origin is {origin}, not {request.host}"
    return None
