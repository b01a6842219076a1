"""Two addresses for whatever watches over the service. They read no session and set no cookie."""

from flask import Blueprint

bp = Blueprint("health", __name__)

PATHS = ("/healthz", "/readyz")  # answered on any host


@bp.get("/healthz")
def alive() -> dict[str, str]:
    """The process answers. If this fails, restart it."""
    return {"status": "ok"}


@bp.get("/readyz")
def ready() -> dict[str, str]:
    """The service can do its work. Whatever it can't work without, a database say, is asked here."""
    return {"status": "ok"}
