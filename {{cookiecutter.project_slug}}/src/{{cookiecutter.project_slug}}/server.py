"""gunicorn's part: a worker that slow clients can't occupy, and logs of its own in the service's form.

`gunicorn.conf.py` in the project's folder names these two; the application itself needs neither.
"""

import contextlib
import json
import socket
import time
from datetime import timedelta
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from .logs import JsonLines, timestamp
from .logs.redaction import redacted_text

REQUEST_SECONDS = 20  # in which a request, its body included, has to arrive
PRESSED_SECONDS = 2  # the same while every thread is taken, so that slow clients can't keep others out


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gthread, whose threads otherwise wait for ever for a client that sends a byte now and then."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begun: dict[Any, float] = {}
        self.looked = 0.0

    def handle(self, conn: Any) -> Any:
        """Answer one request, in a thread."""
        self.begun[conn] = time.monotonic()
        try:
            return super().handle(conn)
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
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.setFormatter(JsonLines())

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Log one request. The line is made here: through `logging` it would cost a request three times as much."""
        method, path = environ["REQUEST_METHOD"], redacted_text(environ["PATH_INFO"])
        line = json.dumps(
            {
                "time": timestamp(time.time()),
                "level": "INFO",
                "logger": "gunicorn.access",
                "message": f"{method} {path} {resp.status_code}",
                "request_id": next((value for name, value in resp.headers if name == "X-Request-ID"), None),
                "method": method,
                "path": path,
                "status": resp.status_code,
                "bytes": resp.sent,
                "milliseconds": round(request_time.total_seconds() * 1000, 1),
                "address": environ["REMOTE_ADDR"],
            }
        )
        for handler in self.access_log.handlers:
            with handler.lock:
                handler.stream.write(f"{line}\n")
                handler.flush()
