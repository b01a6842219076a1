"""Logs: one JSON object a line in production, readable lines in development, no secret in either."""

import json
import logging
import os
import re
from datetime import UTC, datetime
from typing import Any

from flask import Flask, got_request_exception, has_request_context, request

from .redaction import REDACTED, is_secret, redacted

REQUEST_ID = "flask_secure.request_id"
STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}

# The fields of gunicorn's access log, by the names of its access_log_format. No query string, no headers.
ATOMS = {"request_id": "{x-request-id}o", "method": "m", "path": "U", "bytes": "B", "milliseconds": "M", "address": "h"}


def init_app(app: Flask) -> None:
    """Give the process a handler, unless it has one: from gunicorn.conf.py, from pytest or from the application."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter() if app.config["APP_ENV"] == "development" else JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])  # does nothing where there is one
    if app.debug:
        got_request_exception.connect(redact_exception, app)


def redact_exception(_: Flask, exception: BaseException) -> None:
    """Take the secrets out of the text of an exception and of its causes, which the debugger shows."""
    seen: list[BaseException | None] = [None]
    while exception not in seen:
        texts = [redacted(str(each)) for each in exception.args]
        exception.args = tuple(b if str(a) != b else a for a, b in zip(exception.args, texts, strict=True))
        seen.append(exception)
        exception = exception.__cause__ or exception.__context__ or exception


def request_id(environ: dict[str, Any] | None = None) -> str:
    """The id of this request in log lines, response and error page; a trusted reverse proxy's, where it sends one."""
    environ = request.environ if environ is None else environ
    given = environ.get("HTTP_X_REQUEST_ID", "") if "werkzeug.proxy_fix.orig" in environ else ""
    if REQUEST_ID not in environ:
        environ[REQUEST_ID] = given if re.fullmatch(r"(?a)[\w.:=+/-]{1,128}", given) else os.urandom(16).hex()
    return str(environ[REQUEST_ID])


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII, so that no text in it can begin another line."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": time, "level": record.levelname, "logger": record.name}
        if record.name == "gunicorn.access" and isinstance(record.args, dict):
            # Made of the atoms one by one: a path can't forge a field.
            line |= {name: record.args.get(atom) for name, atom in ATOMS.items()}
            line |= {"status": int(str(record.args["s"])[:3]), "path": redacted(str(line["path"]))}
            return json.dumps(line | {"message": f"{line['method']} {line['path']} {line['status']}"})
        line["message"] = redacted(message(record))
        if has_request_context():
            line |= {"request_id": request_id(), "method": request.method, "path": redacted(request.path)}
        for name in vars(record).keys() - STANDARD - line.keys():
            value = getattr(record, name)
            shown = value if value is None or isinstance(value, bool | int) else redacted(str(value))
            line[name] = REDACTED if is_secret(name) else shown
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line)


class LineFormatter(logging.Formatter):
    """Lines to read at a terminal. Control characters are escaped: a client must not steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        suffix = f" (request {request_id()})" if has_request_context() else ""
        text = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname} {record.name}: {message(record)}{suffix}"
        if record.name == "werkzeug":  # its lines say it all, have colours, and escape what comes from a client
            return redacted(message(record))
        text += f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], redacted(text))


def message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # its arguments do not fit; logging itself would print them
        return f"{record.msg!r}, with arguments that do not fit"
