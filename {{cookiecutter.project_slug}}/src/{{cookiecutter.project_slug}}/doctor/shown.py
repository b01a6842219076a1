"""Settings as they may be shown: secrets left out, keys as fingerprints."""

from collections.abc import Mapping
from typing import NamedTuple

from flask import Flask

from .. import settings
from ..keys import ring, sources
from ..logs.redaction import REDACTED, is_secret, redacted, redacted_text

KEYS = (*ring.VARIABLES, "WTF_CSRF_SECRET_KEY")


class Setting(NamedTuple):
    """A setting in effect, its value as text, and the layer that set it."""

    name: str
    value: str
    layer: str


def effective(app: Flask) -> list[Setting]:
    """Every setting of `app`, by name."""
    place = sources.loaded(app).place if sources.EXTENSION in app.extensions else None
    rows = []
    for name in sorted(app.config):
        layer = settings.layer_of(app, name)
        rows.append(Setting(name, shown(name, app.config[name]), place if name in KEYS and place else layer))
    return rows


def shown(name: str, value: object) -> str:
    """The value of the setting `name` as text."""
    if name in KEYS:
        return fingerprints(value)
    if value and is_secret(name):
        return REDACTED
    is_data = isinstance(value, str | Mapping | list | tuple | set | frozenset)
    return repr(redacted(value)) if is_data else redacted_text(repr(value))


def fingerprints(value: object) -> str:
    """A key, or a list of them, as fingerprints."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(fingerprints, value))}]"
    return repr(ring.redacted(value) if isinstance(value, str | bytes) and value else value)
