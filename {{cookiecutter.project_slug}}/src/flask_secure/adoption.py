"""How the library comes into an application: once, and in one of two ways."""

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask.helpers import get_debug_flag

from .layers import EXTENDED, MERGED, has_own_files, set_by_application
from .loading import Record
from .parts import off
from .problems import Problem, StartupError
from .redaction import protect
from .ring import Ring

log = logging.getLogger("flask_secure")

WAYS = "flask_secure.ways_in"
INSTALLED = "flask_secure.installed"

_told: set[str] = set()  # the lines of this process


def reject_second(app: Flask, way: str) -> None:
    """Raise what to do about a second `init_app` or `observe` of one application."""
    before = app.extensions.get(WAYS)
    if before is not None:
        message = f"flask_secure.{way}() of {app.name!r}, which had flask_secure.{before}()"
        raise StartupError(Problem("init-twice", message, f"Remove one of the two calls: {way}()"))


def mark(app: Flask, way: str) -> None:
    """Remember that `app` has come by this way, and with which settings."""
    app.extensions[WAYS] = way
    app.extensions[INSTALLED] = dict(app.config)


def show_toolbar(app: Flask, record: Record, keys: Ring | None, *, is_asked_for: bool) -> None:
    """Show the toolbar, unless the application has its own; it is optional if nobody asks for it.

    Raises StartupError if it is asked for, by its name in `parts`, and not installed.
    """
    if "debugtoolbar" in app.blueprints or not (keys or app.config.get("SECRET_KEY")):
        return
    try:
        from . import toolbar  # its extension is a development dependency
    except StartupError as error:
        if is_asked_for:
            raise
        log.info("without a toolbar: %s", error)
        return
    toolbar.init_app(app, record, keys)


def own_settings(app: Flask) -> dict[str, Any]:
    """What the application has set before `init_app`, to compare with what is there after it."""
    found = set_by_application(app)
    if app.debug and not get_debug_flag():  # from which Flask sets it
        found["DEBUG"] = True
    return found


def not_kept(record: Record, own: Mapping[str, Any], keys: Ring | None) -> list[str]:
    """What the application has set in `own`, and has another value now: `NAME: old, now new`."""
    found = []
    for name, value in own.items():
        now = record.config.get(name)
        if name in (*MERGED, *EXTENDED) or now == value:
            continue
        found.append(f"{name}: {protect(name, value)!r}, now {now!r}")
    if keys is not None:
        installed = {"SECRET_KEY": keys.current, "WTF_CSRF_SECRET_KEY": keys.oldest_first()}
        for name, now in installed.items():
            if own.get(name) not in (None, now):
                found.append(f"{name}, now that of {keys.source.name}")
    return found


def tell(record: Record, lost: list[str]) -> None:
    """One line, once a process: what is off, what is not kept, and the cookie's new name.

    A project of the template has all of it in its own files, and a test is told nothing.
    """
    if record.environment.is_test or has_own_files(record.config_folder):
        return
    parts = []
    names_off = off(record.parts)
    if names_off:
        parts.append(f"off: {', '.join(names_off)}")
    if lost:
        parts.append(f"not kept: {'; '.join(lost)}")
    if record.origins.get("SESSION_COOKIE_NAME", "").startswith("flask_secure/"):
        name = record.config["SESSION_COOKIE_NAME"]
        keep = 'init_app(settings={"SESSION_COOKIE_NAME": "session"}) keeps the sessions'
        parts.append(f"the session cookie is called {name}, not session: {keep}")
    line = f"{record.name}: {'. '.join(parts)}"
    if parts and line not in _told:
        _told.add(line)
        log.log(logging.WARNING if lost else logging.INFO, "%s", line)
