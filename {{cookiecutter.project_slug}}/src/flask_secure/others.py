"""Other extensions: what they do themselves, and what of theirs does not survive a rotation."""

import sys
from importlib.util import find_spec

from flask import Config, Flask

# The headers that Flask-Talisman sets, or that its owner has switched off there.
TALISMAN = frozenset(
    {
        "content-security-policy",
        "document-policy",
        "permissions-policy",
        "referrer-policy",
        "strict-transport-security",
        "x-content-type-options",
        "x-frame-options",
        "x-xss-protection",
    }
)

# What signs with SECRET_KEY alone, past SECRET_KEY_FALLBACKS.
IGNORES_THE_RING = {
    "flask_login": "Flask-Login's remember cookie",
    "flask_jwt_extended": "Flask-JWT-Extended's tokens",
    "flask_session": "Flask-Session's signed ids (SESSION_USE_SIGNER)",
    "flask_security": "Flask-Security's tokens and links",
}


def sent_by_others(app: Flask) -> frozenset[str]:
    """The headers that another extension of `app` decides on, by their names in lower case."""
    for function in app.after_request_funcs.get(None, []):
        owner = type(getattr(function, "__self__", None))
        if owner.__module__.partition(".")[0] == "flask_talisman":
            return TALISMAN
    return frozenset()


def ignoring_the_ring(config: Config) -> dict[str, str]:
    """The installed extensions that sign past the ring: module, and what of theirs is void."""
    found = {}
    for module, what in IGNORES_THE_RING.items():
        if module == "flask_session" and not config.get("SESSION_USE_SIGNER"):
            continue
        if module in sys.modules or find_spec(module) is not None:
            found[module] = what
    return found
