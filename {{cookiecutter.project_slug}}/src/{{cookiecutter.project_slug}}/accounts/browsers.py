"""The rows of sessions: which browsers an account has signed in with, and how their sessions end.

The caller commits what these functions do.
"""

import time
from datetime import timedelta
from hashlib import sha256

import sqlalchemy as sa
from flask import current_app

from ..database import db
from .models import Account, AccountSession

AT_ONCE = 100  # expired rows that a sign-in removes

# What a browser's User-Agent has, and what a visitor reads. The first that is found counts.
BROWSERS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox": "Firefox",
    "FxiOS": "Firefox",
    "CriOS": "Chrome",
    "Chrome": "Chrome",
    "Safari": "Safari",
    "curl": "curl",
}
SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "CrOS": "ChromeOS",
    "Mac OS X": "macOS",
    "Linux": "Linux",
}


def in_words(user_agent: str) -> str:
    """Such as "Firefox on Linux": only words of this module, whatever the browser says."""
    user_agent = user_agent[:500]
    browser = next((BROWSERS[mark] for mark in BROWSERS if mark in user_agent), "Some browser")
    system = next((SYSTEMS[mark] for mark in SYSTEMS if mark in user_agent), "")
    return f"{browser} on {system}" if system else browser


def is_alive(row: AccountSession, user: Account) -> bool:
    """Whether the session is within its lifetimes, and the account as it was when it began."""
    if user.locked or row.stamp != user.stamp:  # release 0.3 ends sessions by a new stamp
        return False
    oldest_use, oldest_beginning = limits_of_age()
    return row.used > oldest_use and row.began > oldest_beginning


def limits_of_age() -> tuple[int, int]:
    """Sessions that were last used, or that began, before these times are over."""
    config = current_app.config
    idle = seconds(config["ACCOUNT_SESSION_IDLE"])
    lifetime = seconds(config["ACCOUNT_SESSION_LIFETIME"])
    return now() - idle, now() - lifetime


def sessions_of(user: Account) -> list[AccountSession]:
    """The sessions of `user` that are not over, the last used first."""
    query = sa.select(AccountSession).where(AccountSession.account_id == user.id)
    rows = db.session.scalars(query.order_by(AccountSession.used.desc(), AccountSession.id.desc()))
    return [row for row in rows if is_alive(row, user)]


def end_all(user: Account) -> None:
    """End every session of `user`. The caller gives the account a new stamp."""
    db.session.execute(sa.delete(AccountSession).where(AccountSession.account_id == user.id))


def end_one(user: Account, number: int) -> None:
    """End the session of `user` with this number, if there is one."""
    ours = (AccountSession.account_id == user.id) & (AccountSession.id == number)
    db.session.execute(sa.delete(AccountSession).where(ours))


def end_surplus(user: Account) -> None:
    """End the sessions of `user` that were used least lately, above the maximum."""
    query = sa.select(AccountSession.id).where(AccountSession.account_id == user.id)
    query = query.order_by(AccountSession.used.desc(), AccountSession.id.desc())
    numbers = db.session.scalars(query).all()
    surplus = numbers[current_app.config["ACCOUNT_SESSIONS_MAXIMUM"] :]
    if surplus:
        db.session.execute(sa.delete(AccountSession).where(AccountSession.id.in_(surplus)))


def remove_expired() -> None:
    """Remove some rows of expired sessions, of any account."""
    oldest_use, oldest_beginning = limits_of_age()
    is_over = (AccountSession.used <= oldest_use) | (AccountSession.began <= oldest_beginning)
    query = sa.select(AccountSession.id).where(is_over).limit(AT_ONCE)
    # Rows that another request removes at this moment are left to it.
    numbers = db.session.scalars(query.with_for_update(skip_locked=True)).all()
    if numbers:
        db.session.execute(sa.delete(AccountSession).where(AccountSession.id.in_(numbers)))


def hashed(token: str) -> str:
    """What the row has of a session's id. It is random, so it needs no slow hash (ASVS 6.5.2)."""
    return sha256(token.encode()).hexdigest()


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


def seconds(duration: timedelta | int) -> int:
    """A setting that is a duration, in seconds: a variable gives it as a number of them."""
    return int(duration.total_seconds()) if isinstance(duration, timedelta) else duration
