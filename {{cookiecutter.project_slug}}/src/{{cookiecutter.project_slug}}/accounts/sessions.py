"""Sessions: a row for each browser that has signed in, so that one that is signed out is over.

Of the account the cookie holds a random id and nothing else; the row has a hash of it. Who has no
such id in the cookie is asked nothing of the database.
"""

import logging
import secrets
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

import sqlalchemy as sa
from flask import Flask, abort, current_app, flash, g, redirect, request, session, url_for
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from ..database import db
from . import browsers, devices, outbox
from .models import Account, AccountSession

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

KEY = "account_session"  # in Flask's session; release 0.3 kept something else under "account"
QUIET = 60  # seconds in which a session that is used again is not written again


class Current(NamedTuple):
    """This browser's session, and the account that it is signed in to."""

    token: str
    row: AccountSession
    user: Account


def init_app(app: Flask) -> None:
    """Give `app` the connection on which the time of last use is written."""
    with app.app_context():
        url = db.engine.url
    waits: dict[str, dict[str, Any]] = {
        "sqlite": {"timeout": 0.2},
        "postgresql": {"connect_timeout": 2},
    }
    app.extensions["accounts.engine"] = sa.create_engine(
        url,
        connect_args=waits.get(url.get_backend_name(), {}),
        hide_parameters=True,
        # One for each process, apart from those of requests: no two of them wait for each other.
        poolclass=sa.QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=1,
        pool_pre_ping=True,
    )


def current() -> Current | None:
    """This browser's session; None if it is not signed in, or not any more."""
    token = session.get(KEY)
    found: Current | None = g.get("account_session")
    # In tests, requests of two clients may share what is kept for one request.
    if found is None or found.token != token:
        found = find(token)
        g.account_session = found
    return found


def current_user() -> Account | None:
    """The account that the visitor has signed in to, or None."""
    found = current()
    return found.user if found else None


def required_user() -> Account:
    """The account that is signed in. Other visitors sign in first, and then return."""
    user = current_user()
    if user is not None:
        return user
    flash("Sign in to see this page.")
    target = request.full_path if request.method in ("GET", "HEAD") else None
    abort(redirect(url_for("accounts.sign_in", next=target)))


def login_required(view: Callable[P, R]) -> Callable[P, R]:
    """Decorate a view that only a signed-in visitor may see."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        required_user()
        return view(*args, **kwargs)

    return guarded


def forget() -> None:
    """Let the next question for the current session ask the database again."""
    g.pop("account_session", None)


def find(token: object) -> Current | None:
    """The session with the id in a cookie, if it has not expired or been ended."""
    if not isinstance(token, str):
        return None
    query = sa.select(AccountSession, Account).join(Account)
    query = query.where(AccountSession.token_hash == browsers.hashed(token))
    with db.session.no_autoflush:  # so that the owner's changes stay as unfinished as they are
        found = db.session.execute(query).first()
    if found is None or not browsers.is_alive(*found):
        session.pop(KEY)
        return None
    row, user = found
    if browsers.now() - row.used >= QUIET:
        touch(row.id)
    return Current(token, row, user)


def touch(number: int) -> None:
    """Write that a session is used now, in a transaction of its own.

    A view that fails, or that has not decided yet, neither loses this nor has half of its own work
    committed. A database that is busy does not hold up the page: the next one writes it.
    """
    engine: sa.Engine = current_app.extensions["accounts.engine"]
    change = sa.update(AccountSession).where(AccountSession.id == number)
    try:
        with engine.begin() as connection:
            connection.execute(change.values(used=browsers.now()))
    except (DBAPIError, PoolTimeoutError) as error:
        log.info("the time of last use of a session was not written: %s", type(error).__name__)


def commit() -> bool:
    """Commit, and tell whether that worked.

    If not, nothing is done: another request has deleted or changed the account in the meantime, or
    made it with the same address.
    """
    try:
        db.session.commit()
    except (IntegrityError, StaleDataError):
        db.session.rollback()
        return False
    return True


def start_session(
    user: Account,
    *,
    alone: bool = False,
    is_expected: bool = False,
) -> bool:
    """Begin a session of `user` in this browser, in which nothing from before stays, and commit.

    `alone` ends all others. The owner gets a notice of a browser in which the account has not
    signed in before, unless it `is_expected`. Gives back False, and begins none, if the account was
    changed or deleted in the meantime.
    """
    end_current()
    token = secrets.token_urlsafe(32)  # 256 bits
    try:
        db.session.flush()
        if alone:
            browsers.end_all(user)
        add_row(user, token)
        if not is_expected and not devices.known_device(user):
            in_words = browsers.in_words(request.user_agent.string)
            outbox.put("new-browser", user.email, user=user, about=in_words)
        devices.remember(user)
    except (IntegrityError, StaleDataError):
        db.session.rollback()
        return False
    if not commit():
        return False
    session.permanent = True
    session[KEY] = token
    return True


def add_row(user: Account, token: str) -> None:
    """Add the session with the id `token`, and remove expired and surplus ones."""
    # Sign-ins to one account wait for each other here, so that the maximum is one.
    same = sa.select(Account.id).where(Account.id == user.id)
    db.session.execute(same.with_for_update(key_share=True))
    row = AccountSession(
        token_hash=browsers.hashed(token),
        account_id=user.id,
        stamp=user.stamp,
        began=browsers.now(),
        used=browsers.now(),
        browser=browsers.in_words(request.user_agent.string),
    )
    db.session.add(row)
    db.session.flush()
    browsers.end_surplus(user)
    browsers.remove_expired()


def end_current() -> None:
    """End this browser's session, and leave nothing of it in the cookie. The caller commits."""
    found = current()
    if found is not None:
        ours = AccountSession.token_hash == browsers.hashed(found.token)
        db.session.execute(sa.delete(AccountSession).where(ours))
    session.clear()
    forget()
