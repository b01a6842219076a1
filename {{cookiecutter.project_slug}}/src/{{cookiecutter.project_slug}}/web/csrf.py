"""Requests that another site's page has sent with the visitor's cookies are refused (CSRF).

The browser itself says where a request comes from, in headers that no page can set: Sec-Fetch-Site, and where
that is missing (old browsers, plain http) Origin. So there is no token to put into forms, and no key to rotate.
The rule is that of Go's net/http.CrossOriginProtection. A client that sends neither header is no browser, so it
carries no visitor's cookies: curl and webhooks pass.
"""

import logging
import re
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Request, abort, current_app

from ..settings import StartupError
from .hosts import canonical

log = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

# For the developer, not for the visitor.
HINT = "To let it in: add its origin to CSRF_TRUSTED_ORIGINS, or @csrf.exempt to a view that does not go by cookies."

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}  # RFC 9110, 9.2.1: a view must change nothing for these


def init_app(app: Flask) -> None:
    """Look at CSRF_TRUSTED_ORIGINS, whose pages may send requests too.

    Raises StartupError when one of those is not an origin.
    """
    origins = app.config["CSRF_TRUSTED_ORIGINS"]
    problem = "" if isinstance(origins, list | tuple) else f"is no list, but {type(origins).__name__}"
    for origin in [] if problem else origins:
        if origin != origin_of(str(origin)):
            problem = f"has {origin!r}, which is no origin: a scheme, a host in lower case and nothing more"
    if problem:
        cure = 'CSRF_TRUSTED_ORIGINS = ["https://app.example.org"]'
        raise StartupError("csrf-origins", f"CSRF_TRUSTED_ORIGINS {problem}", cure)


def origin_of(address: str) -> str | None:
    """The origin of an address as browsers write it (RFC 6454); None where it has none."""
    scheme, _, rest = address.partition("://")
    if scheme not in ("http", "https"):
        return None
    host = canonical(rest.partition("/")[0]).removesuffix(":443" if scheme == "https" else ":80")
    return f"{scheme}://{host}" if re.fullmatch(r"[\w.-]+(:[0-9]+)?|\[[0-9a-f:.]+\](:[0-9]+)?", host) else None


def exempt(view: View) -> View:
    """Decorate a view that any site may post to: it must not go by the visitor's cookies.

    Raises TypeError for a class of views, which has `decorators = [csrf.exempt]` instead.
    """
    if isinstance(view, type):
        raise TypeError(f"@csrf.exempt does nothing for a class; in {view.__name__}: decorators = [csrf.exempt]")
    view.csrf_exempt = True  # type: ignore[attr-defined]
    return view


def check(request: Request) -> None:
    """Answer 403, and say which rule refused, where this request, of an unsafe method, comes from another site."""
    view = current_app.view_functions.get(request.endpoint or "")
    if getattr(view, "csrf_exempt", False):
        return
    if rule := refusal(request):
        log.warning("cross-site request refused: %s. %s", rule, HINT)
        hint = f" {HINT}" if current_app.debug else ""
        abort(403, f"A page of another site has sent this, so nothing was done. The rule: {rule}.{hint}")


def refusal(request: Request) -> str | None:
    """The rule that refuses this request; None when it may pass."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if origin in current_app.config["CSRF_TRUSTED_ORIGINS"]:
        return None
    if site:
        return None if site in ("same-origin", "none") else f"Sec-Fetch-Site is {site}, not same-origin"
    if origin:
        # TLS may have ended at a proxy, so it is the host that counts.
        scheme, sent = origin.partition("://")[0], origin_of(origin)
        is_own = sent is not None and sent == origin_of(f"{scheme}://{request.host}")
        return None if is_own else f"Origin is {origin}, not {request.host}"
    return None
