"""The links in mails: signed with the ring of keys, for an hour, once.

A link is void when the account changes. The token stands behind the `#` of the link, which browsers
send to no server, so it is in no log and no Referer.
"""

import time
from datetime import timedelta
from hashlib import sha256
from typing import NamedTuple

import sqlalchemy as sa
from flask import current_app
from itsdangerous import BadData

import flask_secure

from ..database import db
from .models import Account, AccountDeletion, account_of

LIFETIME = timedelta(hours=1)
AT_ONCE = 100  # deletions that are forgotten at the next one


class Link(NamedTuple):
    """Whom a link is for: an address, and its account if there is one."""

    email: str
    user: Account | None


def lifetime() -> timedelta:
    """How long a link is good; none is for longer than a session."""
    return min(LIFETIME, current_app.permanent_session_lifetime)


def signer() -> flask_secure.Signer:
    return flask_secure.signer("accounts.links", max_age=lifetime())


def token_for(email: str, user: Account | None) -> str:
    """What a link to choose a password holds; without a `user`, it makes the account."""
    return signer().dumps([email, user.stamp if user else "", milliseconds()])


def read(token: str) -> Link | None:
    """The address and the account of a link; None if it is forged, expired or used."""
    try:
        email, stamp, made = signer().loads(token)
    except (BadData, ValueError):
        return None
    user = account_of(email)
    if stamp != (user.stamp if user else ""):
        return None
    if user is not None and user.locked:
        return None
    if user is None and was_deleted_since(email, made):
        return None
    return Link(email, user)


def was_deleted_since(email: str, made: int) -> bool:
    """Whether an account with this address was deleted after a link to make it was mailed."""
    deleted = db.session.get(AccountDeletion, hashed(email))
    return deleted is not None and deleted.at >= made


def delete(user: Account) -> None:
    """Delete `user`, and void the links to make an account with this address. The caller commits.

    What refers to the account goes, or is kept without it, as the foreign key's `ondelete` says.
    """
    forget_deletions()
    db.session.merge(AccountDeletion(email_hash=hashed(user.email), at=milliseconds()))
    db.session.delete(user)


def forget_deletions() -> None:
    """Remove some of the rows whose links have all expired."""
    oldest = milliseconds() - int(LIFETIME.total_seconds() * 1000)
    query = sa.select(AccountDeletion.email_hash).where(AccountDeletion.at < oldest).limit(AT_ONCE)
    hashes = db.session.scalars(query.with_for_update(skip_locked=True)).all()
    if hashes:
        expired = sa.delete(AccountDeletion).where(AccountDeletion.email_hash.in_(hashes))
        db.session.execute(expired)


def hashed(email: str) -> str:
    """What is kept of an address whose account is gone."""
    return sha256(email.encode()).hexdigest()


def milliseconds() -> int:
    """Since 1970."""
    return time.time_ns() // 1_000_000
