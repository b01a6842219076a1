"""The pages. Begin here: this one is yours to replace."""

from flask import Blueprint, current_app, render_template, session

from . import keys

bp = Blueprint("pages", __name__)


@bp.get("/")
def index() -> str:
    """Show that the service runs, and that it knows its visitor again."""
    session["visits"] = session.get("visits", 0) + 1
    package = f"src/{current_app.import_name}"
    return render_template("index.html", keys=keys.loaded(current_app), package=package)
