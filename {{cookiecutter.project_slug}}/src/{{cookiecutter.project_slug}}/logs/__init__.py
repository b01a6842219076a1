"""Logs: one JSON object a line in production, readable lines in development, secrets in neither."""

import json
import logging
import os
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flask import Flask, has_request_context, request
from flask.logging import wsgi_errors_stream

from .redaction import REDACTED, is_secret, redacted, redacted_text

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

REQUEST_ID = "service.request_id"
USUAL_FIELDS = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def init_app(app: Flask) -> None:
    """Give the process one handler for the logs of the service and of its libraries; under test, none."""
    if app.testing:
        return
    handler = logging.StreamHandler(wsgi_errors_stream)  # type: ignore[call-overload]  # as Flask itself does
    handler.setFormatter(ReadableLines() if app.config["APP_ENV"] == "development" else JsonLines())
    handler.name = app.import_name
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if each.name != handler.name]
    root.addHandler(handler)
    logging.getLogger(app.import_name).setLevel(logging.INFO)


def request_id(environ: "WSGIEnvironment") -> str:
    """What a request is called in the logs, the answer and the error page: by a trusted proxy, or 128 random bits."""
    name: str = environ.get(REQUEST_ID, "")
    if not name:
        if "werkzeug.proxy_fix.orig" in environ:
            name = environ.get("HTTP_X_REQUEST_ID", "")
        if not name or not re.fullmatch(r"[\w.:=+/-]{1,128}", name, re.ASCII):
            name = os.urandom(16).hex()
        environ[REQUEST_ID] = name
    return name


def timestamp(seconds: float) -> str:
    """A time since the epoch as RFC 3339 writes it, in UTC, to the millisecond."""
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat(timespec='milliseconds')[:-6]}Z"


class Redacting(logging.Formatter):
    """What both forms share: nothing secret in a message or in a traceback."""

    def message(self, record: logging.LogRecord) -> str:
        try:
            return redacted_text(record.getMessage())
        except Exception:  # logging itself would print the arguments
            return redacted_text(f"{record.msg!r}, with arguments that do not fit it")

    def trace(self, record: logging.LogRecord) -> str:
        parts = [self.formatException(record.exc_info) if record.exc_info else "", record.stack_info or ""]
        return redacted_text("\n".join(filter(None, parts)))


class JsonLines(Redacting):
    """One JSON object a line, in ASCII, so that no text of a person's can begin another line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": self.message(record),
        }
        if has_request_context():
            line |= {
                "request_id": request_id(request.environ),
                "method": request.method,
                "path": redacted_text(request.path),
            }
        for name, value in vars(record).items():
            if name not in USUAL_FIELDS:
                shown = f"extra_{name}" if name in line else name
                line[shown] = REDACTED if is_secret(name) else redacted(value)
        if trace := self.trace(record):
            line["exception"] = trace
        return json.dumps(line)


class ReadableLines(Redacting):
    """Lines for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        message, trace = self.message(record), self.trace(record)
        if record.name != "werkzeug":  # its lines say it all
            now = time.strftime("%H:%M:%S", time.localtime(record.created))
            of = f" (request {request_id(request.environ)})" if has_request_context() else ""
            message = f"{now} {record.levelname} {record.name}: {message}{of}"
        return f"{message}\n{trace}" if trace else message
