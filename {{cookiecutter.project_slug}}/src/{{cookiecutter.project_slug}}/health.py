"""Health checks, for whatever watches over the service. They answer to any Host header, and read no session."""

from flask import Blueprint

# % if cookiecutter.data != "nothing"
from . import database

# % endif
bp = Blueprint("health", __name__)


@bp.get("/healthz")
def alive() -> dict[str, str]:
    """The process answers. If this fails, restart it."""
    return {"status": "ok"}


@bp.get("/readyz")
def ready() -> dict[str, str]:
    """The service can do its work: check here what it can't work without, such as a database."""
    # % if cookiecutter.data != "nothing"
    database.check()
    # % endif
    return {"status": "ok"}
