"""What a process serves with: the keys that were checked, no debugger, the right environment."""

import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from flask import Flask
from werkzeug.debug import DebuggedApplication
from werkzeug.wrappers import Response

from .choosing import BY_CODE, wants_debugger
from .loading import Record
from .problems import Problem, StartupError
from .ring import Ring

log = logging.getLogger("flask_secure")

DEBUGGER = "werkzeug.debug.preserve_context"  # DebuggedApplication sets it for each request
FIRST_REQUEST = "flask_secure.first_request"
REFUSED = "This service is misconfigured; its log says how.\n"


def init_app(app: Flask, record: Record, keys: Ring | None) -> None:
    """Let `app` respond only with the keys of `keys`, and without a debugger."""
    if not record.environment.is_local:
        forbid_debugger(app)
    guard = Guard(app, record, keys)
    app.wsgi_app = guard  # type: ignore[method-assign]


def reject_debugger(app: Flask, record: Record) -> None:
    """Raise if a debugger is asked for, or stands around the application already."""
    is_around = isinstance(app.wsgi_app, DebuggedApplication)
    if not record.environment.is_local and (is_around or wants_debugger()):
        raise StartupError(no_debugger(record.environment.name))


def no_debugger(environment: str) -> Problem:
    message = f"A debugger in {environment} lets whoever reaches it run code"
    return Problem("debugger", message, "Remove the debugger, or: export APP_ENV=development")


def forbid_debugger(app: Flask) -> None:
    """Let `app.run` start no debugger: its console responds before a request reaches `app`."""
    run = app.run

    def run_without_debugger(
        host: str | None = None,
        port: int | None = None,
        debug: bool | None = None,
        load_dotenv: bool = True,
        **options: Any,
    ) -> None:
        if debug or options.get("use_debugger"):
            raise StartupError(no_debugger(str(app.config["APP_ENV"])))
        run(host, port, False, load_dotenv, **options)  # whatever FLASK_DEBUG says

    app.run = run_without_debugger  # type: ignore[method-assign]


def at_first_request(app: Flask, prepare: Callable[[], None]) -> None:
    """Call `prepare` once all extensions are there, whatever their order."""
    app.extensions.setdefault(FIRST_REQUEST, []).append(prepare)


class Mount(NamedTuple):
    """Where an application of this process lies, and what reads its session cookie."""

    prefix: str
    cookie: str
    path: str
    key: Any


_mounts: list[Mount] = []


class Guard:
    """A WSGI application that responds 500 where something else signs than what was checked."""

    def __init__(self, app: Flask, record: Record, keys: Ring | None) -> None:
        self.app = app
        self.wsgi_app = app.wsgi_app
        self.config = app.config
        self.record = record
        # A suite may set a key of its own after create_app(): nothing that a test signs is worth
        # anything. A process that serves as testing says so in its log.
        self.is_key_guarded = keys is not None and not record.environment.is_test
        self.current = app.config["SECRET_KEY"]
        self.fallbacks = list(app.config["SECRET_KEY_FALLBACKS"] or [])
        self.is_known = False  # what the first request has shown
        self.reason = ""  # why no request gets a response
        self.logged: set[str] = set()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if not self.is_known:
            self.look_at_first(environ)
        reason = self.reason or self.mistake(environ)
        if not reason:
            return self.wsgi_app(environ, start_response)
        if reason not in self.logged:
            self.logged.add(reason)
            log.error("%s", reason)
        return Response(REFUSED, 500, mimetype="text/plain")(environ, start_response)

    def mistake(self, environ: dict[str, Any]) -> str:
        """Why this request gets no response; "" if it does. Identity comes first: it is cheap."""
        config = self.config
        if self.is_key_guarded:
            key = config["SECRET_KEY"]
            if key is not self.current and key != self.current:
                return later("SECRET_KEY")
            fallbacks = config["SECRET_KEY_FALLBACKS"]
            if fallbacks != self.fallbacks and not self.are_checked(fallbacks):
                return later("SECRET_KEY_FALLBACKS")
        if DEBUGGER in environ and is_debugged(environ) and not self.record.environment.is_local:
            return str(no_debugger(self.record.environment.name))
        return ""

    def are_checked(self, fallbacks: Any) -> bool:
        """Whether each of `fallbacks` is of the ring; some of it may have been left out since."""
        if not isinstance(fallbacks, list | tuple):
            return fallbacks is None
        return all(key in self.fallbacks for key in fallbacks)

    def look_at_first(self, environ: dict[str, Any]) -> None:
        """What the first request shows: which server it is, and the application's prefix.

        Werkzeug's test client is no server, and says so by leaving SERVER_SOFTWARE out.
        """
        for prepare in self.app.extensions.pop(FIRST_REQUEST, []):
            prepare()
        server = environ.get("SERVER_SOFTWARE", "")
        is_served = bool(server) or "uwsgi.version" in environ
        environment = self.record.environment
        if environment.is_strict or is_served:
            self.is_known = True
            self.compare_mounts(environ.get("SCRIPT_NAME", ""))
        if is_served:
            self.name_environment(server)

    def name_environment(self, server: str) -> None:
        """Say that this is not production; refuse what only the code has called testing.

        `server` is the text of SERVER_SOFTWARE. A laptop under `flask run` is no cause for worry.
        """
        environment = self.record.environment
        is_werkzeug = server.startswith("Werkzeug")
        if environment.name != "production":
            level = logging.INFO if environment.is_local and is_werkzeug else logging.WARNING
            message = "this process serves in the environment %s, not in production"
            log.log(level, message, environment.name)
        if self.record.said_by == BY_CODE and not is_werkzeug:
            message = f"{server or 'uwsgi'} serves what code alone has called testing (app.testing)"
            self.reason = f"{message}. Remove TESTING from the code, or: export APP_ENV=testing"

    def compare_mounts(self, prefix: str) -> None:
        """Say how to part two applications whose sessions would overwrite each other."""
        config = self.config
        name, path = config["SESSION_COOKIE_NAME"], config["SESSION_COOKIE_PATH"]
        own = Mount(prefix, name, path or config["APPLICATION_ROOT"], config["SECRET_KEY"])
        for other in _mounts:
            is_same_cookie = (other.cookie, other.path, other.key) == own[1:]
            if is_same_cookie and other.prefix != own.prefix:
                message = "the applications under %r and %r share the session cookie %s and its key"
                fix = 'To part them: init_app(app, settings={"APPLICATION_ROOT": PREFIX}) in each'
                log.warning(f"{message}. {fix}", other.prefix, own.prefix, name)
        if own not in _mounts:
            _mounts.append(own)


def is_debugged(environ: dict[str, Any]) -> bool:
    """Whether a debugger sent this: Flask's test client sets the same name, and is no server."""
    return "SERVER_SOFTWARE" in environ


def later(setting: str) -> str:
    return f"{setting} was set after init_app, so it was not checked. Set it before init_app"
