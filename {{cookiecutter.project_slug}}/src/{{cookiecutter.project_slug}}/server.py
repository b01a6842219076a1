"""gunicorn's part: a worker that slow clients can't occupy, and logs of its own in the service's form.

`gunicorn.conf.py` in the project's folder names these two; the application itself needs neither.
"""

import contextlib
import socket
import time
from datetime import timedelta
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from .logs import JsonLines

REQUEST_SECONDS = 20  # in which a request, its body included, has to arrive


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gthread, whose threads otherwise wait for ever for a client that sends a byte now and then."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.arriving: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        """Answer one request, in a thread."""
        self.arriving[conn] = time.monotonic() + REQUEST_SECONDS
        try:
            return super().handle(conn)
        finally:
            del self.arriving[conn]

    def notify(self) -> None:
        """Tell the master that the worker lives, every second; and stop listening to clients that are too slow."""
        super().notify()
        now = time.monotonic()
        for conn, deadline in list(self.arriving.items()):
            if now > deadline:
                with contextlib.suppress(OSError):  # it has gone
                    conn.sock.shutdown(socket.SHUT_RD)  # what is answered is still sent


class JsonLogger(Logger):  # type: ignore[misc]
    """gunicorn's logs as JSON lines, and an access line without the query string and without headers."""

    def setup(self, cfg: Config) -> None:
        """Set up gunicorn's own handlers, with the service's format."""
        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.setFormatter(JsonLines())

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """One line for one request."""
        method, path = environ.get("REQUEST_METHOD", ""), environ.get("PATH_INFO", "")
        line = {
            "request_id": next((value for name, value in resp.headers if name == "X-Request-ID"), None),
            "method": method,
            "path": path,
            "status": resp.status_code,
            "bytes": getattr(resp, "sent", None),
            "milliseconds": round(request_time.total_seconds() * 1000, 1),
            "address": environ.get("REMOTE_ADDR"),
        }
        self.access_log.info("%s %s %s", method, path, resp.status_code, extra=line)
