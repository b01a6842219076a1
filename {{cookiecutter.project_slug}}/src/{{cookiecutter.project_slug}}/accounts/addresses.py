"""Another address for an account: confirmed by a link to the new one, told to the old one."""

from itsdangerous import BadData

import flask_secure

from ..database import db
from . import links, outbox
from .models import Account, new_stamp


def signer() -> flask_secure.Signer:
    """Its purpose is its own: a link to choose a password is none to change an address."""
    return flask_secure.signer("accounts.address", max_age=links.lifetime())


def token_for(user: Account, email: str) -> str:
    """What a link holds by which `user` gets the address `email`."""
    return signer().dumps([user.id, user.stamp, email])


def confirm(token: str) -> Account | None:
    """Give the account of a link its new address. The caller commits.

    It voids sessions, links and device cookies, and puts a notice to the old address into the
    outbox. Gives back None for a link that is forged, expired or void.
    """
    try:
        number, stamp, email = signer().loads(token)
    except (BadData, ValueError):
        return None
    user = db.session.get(Account, number)
    if user is None or user.stamp != stamp or user.locked:
        return None
    outbox.put("address-changed", user.email, user=user)
    user.email = email
    user.stamp = new_stamp()
    return user
