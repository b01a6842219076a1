"""User accounts: `@login_required` for a view, `current_user()` in it. What a visitor sees is in views.py."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Config, Flask, abort, flash, redirect, request, session, url_for

from flask_secure import Problem

from ..database import db
from .models import Account

P = ParamSpec("P")
R = TypeVar("R")


def init_app(app: Flask) -> None:
    """Give `app` its accounts: their pages, the limits on them, and `current_user` in templates."""
    from . import views

    app.register_blueprint(views.bp)
    app.add_template_global(current_user)
    views.limiter.init_app(app)


def current_user() -> Account | None:
    """The account that the visitor has signed in to, or None."""
    number, stamp = session.get("account", (None, None))
    user = db.session.get(Account, number) if number else None  # asks the database once a request
    return user if user and user.stamp == stamp else None


def required_user() -> Account:
    """The same; whoever is not signed in does so first, and comes back."""
    if user := current_user():
        return user
    flash("Sign in to see this page.")
    abort(redirect(url_for("accounts.sign_in", next=request.full_path if request.method == "GET" else None)))


def login_required(view: Callable[P, R]) -> Callable[P, R]:
    """Decorate a view that only a signed-in visitor may see."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        required_user()
        return view(*args, **kwargs)

    return guarded


def start_session(user: Account) -> None:
    """Begin a new session, in which nothing from before stays."""
    session.clear()
    session.permanent = True
    session["account"] = (user.id, user.stamp)


def check(config: Config) -> Iterator[Problem]:
    """What `flask doctor` says of accounts, besides its own."""
    if config["APP_ENV"] == "production" and not config["MAIL_URL"].startswith(("smtp://", "smtps://")):
        yield Problem("mail-missing", "MAIL_URL names no mail server", "export MAIL_URL=smtp://USER:PASSWORD@HOST")
    if config["APP_ENV"] == "production" and config["RATELIMIT_STORAGE_URI"].startswith("memory:"):
        message = "Each process counts attempts to sign in by itself, so that the limits are higher by their number"
        yield Problem("limits-in-memory", message, "export RATELIMIT_STORAGE_URI=redis://localhost", "warning")
