"""The life of a key: each step is a pure function from one ring to the next.

stage    a new key verifies, until every instance knows it
promote  it signs, and the one before verifies
retire   the older keys go, once no session that they signed is valid
revoke   a leaked key is replaced, and nothing is kept
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from click import ClickException

from .problems import command
from .ring import Ring, generate


def stage(ring: Ring) -> Ring:
    """Add the next key, which only verifies. Raises ClickException if there is one."""
    if ring.next is not None:
        raise ClickException(f"A key is staged already. Make it sign: {command('key promote')}")
    return replace(ring, next=generate())


def promote(ring: Ring) -> Ring:
    """Let the staged key sign, and keep the one before. Raises ClickException without one."""
    if ring.next is None:
        fix = command("key stage")
        raise ClickException(f"No key is staged. Give every instance one first: {fix}")
    if ring.next == ring.current:  # an earlier promotion was stopped between two files
        return replace(ring, next=None)
    older = (*ring.fallbacks, ring.current)
    return Ring(ring.source, ring.next, fallbacks=older, since=datetime.now(UTC))


def retire(ring: Ring, lifetime: timedelta, *, force: bool = False) -> Ring:
    """Drop the older keys, once `lifetime` (of a session) has passed since the promotion.

    With `force` it does not wait. Raises ClickException before that time, or without an older key.
    """
    if not ring.fallbacks:
        raise ClickException("There is no older key to retire.")
    if not force:
        refuse_before_its_time(ring, lifetime)
    return replace(ring, fallbacks=())


def refuse_before_its_time(ring: Ring, lifetime: timedelta) -> None:
    if ring.since is None:
        until = f"for {in_words(lifetime)} after the promotion"
    elif datetime.now(UTC) < ring.since + lifetime:
        until = f"until {ring.since + lifetime:%Y-%m-%d %H:%M} UTC"
    else:
        return
    valid = f"Sessions that an older key signed are valid {until}."
    fix = command("key retire --force")
    raise ClickException(f"{valid} If that is over, or to end them now: {fix}")


def in_words(lifetime: timedelta) -> str:
    return f"{lifetime.days} days" if lifetime.days > 1 else f"{lifetime}"


def revoke(ring: Ring) -> Ring:
    """Replace the current key, and keep nothing."""
    return Ring(ring.source, generate(), since=datetime.now(UTC))
