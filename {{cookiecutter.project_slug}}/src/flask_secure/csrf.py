"""Cross-site requests: what another site's page sends with the visitor's cookies is rejected.

The rule is that of Go's CrossOriginProtection: Sec-Fetch-Site, which browsers send and pages can't
set, then Origin. It needs no token in forms, and no key, so that a rotation breaks no open form.
"""

import logging
from types import MethodType
from typing import Any, TypeVar

from flask import Blueprint, Flask, abort, current_app, request
from flask.views import View

from .lists import names_in, split_list

log = logging.getLogger(__name__)

Exempt = TypeVar("Exempt")

# A view must change nothing for these (RFC 9110, 9.2.1).
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
EXEMPT = "csrf_exempt"
STATE = "flask_secure.csrf"

# What csrf_exempt can't mark: nothing would come of it.
WRAPPERS = (staticmethod, classmethod, property)


def csrf_exempt(view: Exempt) -> Exempt:
    """Let any site post to a view, such as a webhook: it must not rely on cookies.

    Takes a view function; a class of views, itself and not those derived from it, or one of its
    methods; or a blueprint with all in it. Gives it back. Raises TypeError for anything else.
    """
    marked: Any = view.__func__ if isinstance(view, MethodType) else view
    is_class = isinstance(marked, type)
    is_view = issubclass(marked, View) if is_class else callable(marked)
    is_wrapper = isinstance(marked, (*WRAPPERS, Flask))
    try:
        if is_wrapper or not (is_view or isinstance(marked, Blueprint)):
            raise AttributeError
        setattr(marked, EXEMPT, True)
    except (AttributeError, TypeError):
        kinds = "a view, a class of views, one of its methods, or a blueprint"
        raise TypeError(f"csrf_exempt takes {kinds}, not {view!r}") from None
    return view


class TrustedOrigins:
    """The origins of CSRF_TRUSTED_ORIGINS. `https://*.example.org` is every one below it."""

    def __init__(self, origins: list[str]) -> None:
        self.exact = frozenset(origin for origin in origins if "*" not in origin)
        self.wildcards = []
        for origin in origins:
            if "*" in origin:
                scheme, _, rest = origin.partition("*")
                self.wildcards.append((scheme, rest))

    def __contains__(self, origin: object) -> bool:
        text = str(origin)
        if text in self.exact:
            return True
        for scheme, rest in self.wildcards:
            if text.startswith(scheme) and text.endswith(rest) and len(text) > len(scheme + rest):
                return True
        return False


class Settings:
    """What `init_app` has made of the settings, for each request."""

    def __init__(self, app: Flask) -> None:
        self.origins = TrustedOrigins(app.config["CSRF_TRUSTED_ORIGINS"])
        schemes = names_in(app.config["CSRF_AUTHORIZATION_SCHEMES"])
        self.schemes = frozenset(scheme.lower() for scheme in schemes)


def init_app(app: Flask) -> None:
    """Set up the rule for `app`, whose settings have been checked."""
    app.config["CSRF_TRUSTED_ORIGINS"] = split_list(app.config["CSRF_TRUSTED_ORIGINS"])
    app.extensions[STATE] = Settings(app)


def reject_cross_site() -> None:
    """Answer 403 to a request that could change something, unless it is the service's own."""
    if is_exempt() or is_of_code():
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if origin in current_app.extensions[STATE].origins:
        return
    if site:
        is_own = site in ("same-origin", "none")  # none: typed, or from a bookmark
        rule = f"Sec-Fetch-Site is {site}, not same-origin"
    else:
        is_own = not origin or is_own_origin(origin)
        rule = f"Origin is {origin}, not {request.host}"
    if is_own:
        return
    log.warning(
        "cross-site request rejected: %s. To allow it: CSRF_TRUSTED_ORIGINS or @csrf_exempt", rule
    )
    abort(403, f"This request came from another site and was rejected. The rule: {rule}.")


def is_own_origin(origin: str) -> bool:
    """Whether `origin` is this host's, by either scheme: a reverse proxy may terminate TLS."""
    return origin in (f"https://{request.host}", f"http://{request.host}")


def is_of_code() -> bool:
    """Whether the request carries no cookie, and credentials that no browser sends by itself.

    Browsers do send Basic, Digest and Negotiate, with another site's form too (RFC 7235, 2.2).
    """
    if "Cookie" in request.headers:
        return False
    scheme = request.headers.get("Authorization", "").partition(" ")[0].lower()
    return scheme in current_app.extensions[STATE].schemes


def is_exempt() -> bool:
    """Whether csrf_exempt marks the view, its class, the method of that, or a blueprint of it."""
    view = current_app.view_functions.get(request.endpoint or "")
    if getattr(view, EXEMPT, False) or is_exempt_class(getattr(view, "view_class", None)):
        return True
    return any(
        getattr(current_app.blueprints.get(name), EXEMPT, False) for name in request.blueprints
    )


def is_exempt_class(view_class: type | None) -> bool:
    """Whether a class of views is marked itself, or its method for this request."""
    if view_class is None:
        return False
    if EXEMPT in vars(view_class):
        return True
    method = getattr(view_class, request.method.lower(), None)
    return getattr(method, EXEMPT, False)
