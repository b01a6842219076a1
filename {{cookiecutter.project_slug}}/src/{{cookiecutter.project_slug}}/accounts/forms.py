"""What the views share: their blueprint, and how they read and show a form."""

from datetime import UTC, datetime

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue as View
from werkzeug.exceptions import BadRequest

NO_ADDRESS = "This is not an address. It looks like ann@example.org, in letters without accents."

bp = Blueprint("accounts", __name__, url_prefix="/accounts")


def field(name: str) -> str:
    """The text of the field `name`, which a form has once. Raises 400 otherwise."""
    values = request.form.getlist(name)
    if len(values) != 1:
        raise BadRequest(f"The form needs its field {name!r} once.")
    return values[0]


def show(page: str, errors: dict[str, str] | None = None, **values: object) -> View:
    """The page with its form; with 422 and the errors beside their fields, if there are some."""
    text = render_template(f"accounts/{page}.html", errors=errors or {}, **values)
    return text, 422 if errors else 200


@bp.app_template_filter("day_and_time")
def day_and_time(seconds: int) -> str:
    """Seconds since 1970, for a visitor to read."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0")


def changed_meanwhile() -> View:
    """Nothing was done: another request has changed or deleted the account at the same time."""
    flash("The account was changed in the meantime. Sign in to see how it is now.")
    return redirect(url_for("accounts.sign_in"))
