"""gunicorn's part: a worker that slow clients can't occupy, and logs of its own in the service's form.

`gunicorn.conf.py` in the project's folder names these two; the application itself needs neither.
"""

import contextlib
import json
import logging
import socket
import struct
import threading
import time
from datetime import timedelta
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers import gthread

from .logs import JsonLines, timestamp
from .logs.redaction import redacted_text

FIRST_BYTE_SECONDS = 0.05  # that a thread waits for it; a connection that says nothing then waits without one
REQUEST_SECONDS = 20  # in which a request, its body included, has to arrive
PRESSED_SECONDS = 2  # the same while every thread is taken, so that slow clients can't keep others out
SEND_SECONDS = 5  # in which a client has to take some of its answer

ENCODE = json.JSONEncoder().encode


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gthread, whose threads otherwise wait for ever for a client that sends a byte now and then."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begun: dict[Any, float] = {}
        self.looked = 0.0

    def handle(self, conn: Any) -> Any:
        """Answer one request, in a thread."""
        if not conn.initialized:
            if not (conn.data_ready or conn.wait_for_data(FIRST_BYTE_SECONDS)):
                return gthread._DEFER  # it waits outside of the threads
            with contextlib.suppress(OSError):  # for a client that does not read what it has asked for
                conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
        self.begun[conn] = time.monotonic()
        try:
            return super().handle(conn)
        except SystemExit:  # of a view; it would end the worker, and with some codes the master
            self.log.exception("a view has tried to end the service")
            return False
        finally:
            del self.begun[conn]

    def notify(self) -> None:
        """Tell the master that the worker lives; once a second, stop listening to clients that are too slow."""
        super().notify()
        now = time.monotonic()
        if now - self.looked < 1:
            return
        self.looked = now
        requests = list(self.begun.items())
        limit = REQUEST_SECONDS if len(requests) < self.cfg.threads else PRESSED_SECONDS
        for conn, begun in requests:
            if now - begun > limit:
                with contextlib.suppress(OSError):  # it has gone
                    conn.sock.shutdown(socket.SHUT_RD)  # what is answered is still sent


class JsonLogger(Logger):  # type: ignore[misc]
    """gunicorn's logs as JSON lines, and a line for each request, without its query string and its headers."""

    def setup(self, cfg: Config) -> None:
        """Set up gunicorn's own handlers, with the service's format."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonLines())
        for handler in self.access_log.handlers:
            handler.setFormatter(logging.Formatter("%(message)s"))  # a line is made below
        logging.captureWarnings(True)
        threading.excepthook = self.thread_failed

    def thread_failed(self, failed: threading.ExceptHookArgs) -> None:
        """Log the exception that has ended a thread, where Python would print it."""
        if failed.exc_value is not None:
            self.error_log.error("a thread failed", exc_info=failed.exc_value)

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Log one request, in a line that is made and written here: by way of `logging` it would cost twice as much."""
        # gunicorn's own refusals have no PATH_INFO.
        path = redacted_text(environ.get("PATH_INFO") or environ.get("RAW_URI", "").partition("?")[0])
        method, status = environ.get("REQUEST_METHOD", ""), int(str(resp.status)[:3])
        line = {
            "time": timestamp(time.time()),
            "level": "INFO",
            "logger": "gunicorn.access",
            "message": f"{method} {path} {status}",
            "request_id": next((value for name, value in reversed(resp.headers) if name == "X-Request-ID"), None),
            "method": method,
            "path": path,
            "status": status,
            "bytes": getattr(resp, "sent", None),
            "milliseconds": round(request_time.total_seconds() * 1000, 1),
            "address": environ.get("REMOTE_ADDR"),
        }
        text = ENCODE(line)
        for handler in self.access_log.handlers:
            if type(handler) is logging.StreamHandler:
                handler.acquire()
                with contextlib.suppress(OSError):  # a full disk is no reason not to answer
                    handler.stream.write(f"{text}\n")
                    handler.stream.flush()
                handler.release()
            else:  # a file, syslog
                handler.handle(logging.makeLogRecord({"levelno": logging.INFO, "msg": text}))
