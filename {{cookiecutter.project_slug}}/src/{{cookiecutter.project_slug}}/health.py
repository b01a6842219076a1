"""Health checks, for whatever watches over the service. They answer to any Host header."""

import logging
import time
from collections.abc import Callable
from threading import Lock

from flask import Blueprint, Flask, current_app
from werkzeug.exceptions import ServiceUnavailable

VALID_FOR = 1  # second, for which a result is given to all who ask
RETRY_AFTER = 5  # seconds

bp = Blueprint("health", __name__)
log = logging.getLogger(__name__)


class Readiness:
    """The checks of a process, and their last result. One thread at a time runs them.

    So whoever asks, and however often: it costs the database one connection for each process.
    """

    def __init__(self) -> None:
        self.checks: list[Callable[[], None]] = []
        self.is_ready = True
        self.checked_at = float("-inf")
        self.turn = Lock()

    def is_fresh(self) -> bool:
        return time.monotonic() - self.checked_at < VALID_FOR

    def ask(self) -> bool:
        """Whether the service is ready, within a second unless this thread runs the checks.

        While they run for longer than that, the service does not count as ready.
        """
        if self.is_fresh():
            return self.is_ready
        patience = VALID_FOR if self.is_ready else 0
        if not self.turn.acquire(timeout=patience):
            self.is_ready = False
            return False
        try:
            if not self.is_fresh():
                self.is_ready = self.run()
                self.checked_at = time.monotonic()
            return self.is_ready
        finally:
            self.turn.release()

    def run(self) -> bool:
        """Run the checks up to the first one that fails, and log why it does."""
        try:
            for check in self.checks:
                check()
        except Exception as error:  # whatever a check of the owner's raises
            log.error("the service is not ready: %s", error)
            return False
        return True


def init_app(app: Flask) -> None:
    """Give `app` its two health checks."""
    app.extensions["readiness"] = Readiness()
    app.register_blueprint(bp)


def require(app: Flask, check: Callable[[], None]) -> None:
    """Let `app` be ready only if `check()` raises nothing, such as one that asks a database.

    It must end by itself, within seconds.
    """
    app.extensions["readiness"].checks.append(check)


@bp.get("/healthz")
def alive() -> dict[str, str]:
    """The process answers. If this fails, restart it."""
    return {"status": "ok"}


@bp.get("/readyz")
def ready() -> dict[str, str]:
    """The service can do its work. If this fails, send it no requests."""
    if not current_app.extensions["readiness"].ask():
        raise ServiceUnavailable("The service is not ready.", retry_after=RETRY_AFTER)
    return {"status": "ok"}
