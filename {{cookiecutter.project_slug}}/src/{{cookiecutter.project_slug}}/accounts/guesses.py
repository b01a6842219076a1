"""The one place that compares passwords, and that counts who has tried how often."""

from sqlalchemy import select

from ..database import db
from . import devices, limits, passwords, sessions
from .limits import Count
from .models import Account, account_of


def account_with(email: str, password: str) -> Account | None:
    """The account with this address, if that is its password.

    Signing in asks this, and so does whatever asks for the password again. Attempts are counted
    before, by account or by device and by network, and given back if the password is right. Raises
    429 if there were too many, 503 if too many passwords are being compared.

    The transaction is rolled back: a password waits for its turn without a connection.
    """
    known = copy_of(email)
    with limits.attempt(*counts(email, known)) as taken:
        db.session.rollback()
        sessions.forget()
        if not passwords.is_right(known, password):
            return None
    limits.give_back(taken)
    user = unchanged(known)
    if user and known and user.password_hash != known.password_hash:
        user.password_hash = known.password_hash  # hashed again
    return user


def counts(email: str, user: Account | None) -> list[Count]:
    """What an attempt at the account with this address counts as."""
    by_network = Count("guesses-of-network", limits.GUESSES_OF_NETWORK, limits.network())
    device = devices.known_device(user)
    if device:
        return [Count("guesses-of-device", limits.GUESSES_OF_DEVICE, device), by_network]
    if email:  # whether it has an account or not
        return [Count("guesses-at-account", limits.GUESSES_AT_ACCOUNT, email), by_network]
    return [by_network]


def copy_of(email: str) -> Account | None:
    """What the account with this address has, in an object that needs no connection."""
    columns = (Account.id, Account.email, Account.password_hash, Account.stamp)
    found = db.session.execute(select(*columns).where(Account.email == email)).first()
    return None if found is None else Account(**found._asdict())


def unchanged(known: Account | None) -> Account | None:
    """The account as it is now, unless it was changed or deleted since `known` was copied."""
    user = account_of(known.email) if known else None
    is_same = user is not None and known is not None and user.stamp == known.stamp
    return user if is_same and user and not user.locked else None
