"""Logs: a JSON object a line in production, readable lines in development, no secret in either."""

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from copy import copy
from datetime import UTC, datetime
from typing import Any, TextIO

from flask import Flask, got_request_exception, has_request_context, request
from flask.logging import default_handler

from .environment import Environment
from .redaction import REDACTED, is_secret, is_worth_hiding, redacted, replace_secrets

REQUEST_ID = "flask_secure.request_id"
SAFE_ID = re.compile(r"[\w.:=+/-]{1,128}", re.ASCII)
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
FORMATTER = logging.Formatter()
STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}

# The fields of gunicorn's access log, by the names of its access_log_format. There is no query
# string and no header of the client's.
ATOMS = {
    "request_id": "{x-request-id}o",
    "method": "m",
    "path": "U",
    "bytes": "B",
    "milliseconds": "M",
    "address": "h",
}


def init_app(app: Flask, environment: Environment, *, is_own_project: bool) -> None:
    """Give the process a handler, unless gunicorn.conf.py, pytest or the application has.

    In an application that others wrote, it is no handler of the root logger, so a later
    `logging.basicConfig` does what it does without the library. A project of the template has one
    there. Whoever's handler writes a line, the line has no secret.
    """
    redact_records()
    if app.debug:
        got_request_exception.connect(redact_exception, app)
    logger = logging.getLogger(app.name)
    found = list(handlers_of(logger))
    if not all(isinstance(handler, OwnHandler) for handler in found):
        return
    if not found and is_own_project:
        logging.basicConfig(level=logging.INFO, handlers=[own_handler(environment)])
    elif not found:
        stand_in(logger, environment)
    logger.removeHandler(default_handler)  # Flask adds it to a logger that is used before


def own_handler(environment: Environment) -> "OwnHandler":
    handler = OwnHandler()
    handler.setFormatter(LineFormatter() if environment.is_local else JsonFormatter())
    return handler


def stand_in(logger: logging.Logger, environment: Environment) -> None:
    """Write the lines that no other handler takes: those of `logger`, Werkzeug and the rest.

    Flask and Werkzeug would give their loggers a handler, so these have this one.
    """
    handler = logging.lastResort
    if not isinstance(handler, OwnHandler):
        handler = own_handler(environment)
        handler.add_to(logging.getLogger("werkzeug"))
        logging.lastResort = handler
    handler.add_to(logger)
    logging.getLogger().setLevel(logging.INFO)


def handlers_of(logger: logging.Logger) -> Iterator[logging.Handler]:
    """The handlers that somebody has set up for `logger`: Flask's default one does not count."""
    for handler in logger.handlers:
        if handler is not default_handler and not isinstance(handler, logging.NullHandler):
            yield handler
    if logger.propagate and logger.parent is not None:
        yield from handlers_of(logger.parent)


class OwnHandler(logging.StreamHandler[TextIO]):
    """The handler of a process in which nobody has set up logging, or not yet."""

    def __init__(self) -> None:
        super().__init__()
        self.loggers: list[logging.Logger] = []

    def add_to(self, logger: logging.Logger) -> None:
        logger.addHandler(self)
        self.loggers.append(logger)

    def join_root(self) -> None:
        """Stand beside the handlers of the root logger, once there are any.

        Python asks the handler of last resort only if there is no other. The toolbar's collects
        lines and writes none, for example.
        """
        root = logging.getLogger()
        if not root.handlers or self in root.handlers:
            return
        for logger in self.loggers:
            logger.removeHandler(self)
        root.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, unless a handler that was added later writes it to the terminal too."""
        for handler in handlers_of(logging.getLogger(record.name)):
            if is_for_terminal(handler) and handler is not self and handler.level <= record.levelno:
                return
        super().emit(record)


def is_for_terminal(handler: logging.Handler) -> bool:
    stream = getattr(handler, "stream", None)
    return isinstance(handler, logging.StreamHandler) and stream in (sys.stderr, sys.stdout)


def redact_records() -> None:
    """Make the records of this process without secrets, for handlers of the application's own."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, SafeRecords):
        logging.setLogRecordFactory(SafeRecords(make))


class SafeRecords:
    """Makes log records that hold no secret in their message and their traceback."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self.make = make

    def __call__(self, *args: Any, **options: Any) -> logging.LogRecord:
        record = self.make(*args, **options)
        if isinstance(logging.lastResort, OwnHandler):
            logging.lastResort.join_root()
        text = message(record)
        if replace_secrets(text) != text:
            redact_message(record)
        if record.exc_info:
            text = FORMATTER.formatException(record.exc_info)
            safe = replace_secrets(text)
            if safe != text:
                record.exc_text = safe  # which a formatter takes instead of its own
        return record


def redact_message(record: logging.LogRecord) -> None:
    """Take the secrets out of the arguments, if they have names, and out of the whole text."""
    if isinstance(record.args, dict):
        record.args = copy(record.args)
        for name, value in record.args.items():
            if isinstance(value, str):
                record.args[name] = replace_secrets(value)
    text = message(record)
    safe = replace_secrets(text)
    if safe != text:
        record.msg = safe
        record.args = ()


def redact_exception(_: Flask, exception: BaseException) -> None:
    """Take the secrets out of an exception and its causes, which the debugger shows."""
    seen: list[BaseException] = []
    current: BaseException | None = exception
    while current is not None and current not in seen:
        current.args = tuple(without_secrets(argument) for argument in current.args)
        seen.append(current)
        current = current.__cause__ or current.__context__


def without_secrets(argument: Any) -> Any:
    """An argument of an exception as it is; as redacted text if it holds a secret."""
    text = str(argument)
    safe = redacted(text)
    return argument if safe == text else safe


def request_id(environ: dict[str, Any] | None = None) -> str:
    """The id of this request, in log lines, in the response and on the error page.

    A trusted reverse proxy's X-Request-ID, if it sends one; otherwise 128 random bits. `environ` is
    a WSGI environment; without it the current request's is taken.
    """
    environ = request.environ if environ is None else environ
    if REQUEST_ID not in environ:
        is_behind_proxy = "werkzeug.proxy_fix.orig" in environ
        given = environ.get("HTTP_X_REQUEST_ID", "") if is_behind_proxy else ""
        environ[REQUEST_ID] = given if SAFE_ID.fullmatch(given) else os.urandom(16).hex()
    return str(environ[REQUEST_ID])


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII, so that no text in it can begin another line."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": time, "level": record.levelname, "logger": record.name}
        if record.name == "gunicorn.access" and isinstance(record.args, dict):
            line |= access_fields(record.args)
            return json.dumps(line)
        line["message"] = redacted(message(record))
        if has_request_context():
            line["request_id"] = request_id()
            line["method"] = request.method
            line["path"] = redacted(request.path)
        for name in vars(record).keys() - STANDARD - line.keys():
            line[name] = loggable(name, getattr(record, name))
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line)


def access_fields(atoms: dict[str, Any]) -> dict[str, Any]:
    """The fields of a line of gunicorn's access log, one by one: a path can't forge a field."""
    fields = {name: atoms.get(atom) for name, atom in ATOMS.items()}
    fields["status"] = int(str(atoms["s"])[:3])
    fields["path"] = redacted(str(fields["path"]))
    fields["message"] = f"{fields['method']} {fields['path']} {fields['status']}"
    return fields


def loggable(name: str, value: Any) -> Any:
    """The value of a field that a view has added with `extra=`."""
    if is_secret(name) and is_worth_hiding(name, str(value)):
        return REDACTED
    if value is None or isinstance(value, bool | int):
        return value
    return redacted(str(value))


class LineFormatter(logging.Formatter):
    """Lines to read at a terminal. Control characters are escaped: a client must not steer it."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == "werkzeug":  # its lines say it all, and escape what comes from a client
            return redacted(message(record))
        time = self.formatTime(record, "%H:%M:%S")
        text = f"{time} {record.levelname} {record.name}: {message(record)}"
        if has_request_context():
            text += f" (request {request_id()})"
        if record.exc_info:
            text += f"\n{self.formatException(record.exc_info)}"
        return CONTROL_CHARACTERS.sub(lambda found: repr(found[0])[1:-1], redacted(text))


def message(record: logging.LogRecord) -> str:
    """The text of a record, even if its arguments do not fit: logging itself would print them."""
    try:
        return record.getMessage()
    except Exception:
        return f"{record.msg!r}, with arguments that do not fit"
