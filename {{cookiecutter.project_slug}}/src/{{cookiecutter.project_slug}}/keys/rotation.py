"""What becomes of a ring: pure functions from one ring to the next. None of them loses a session but `revoke`.

stage      every instance learns the next key, and only verifies with it
promote    the next key signs; the one before it verifies
retire     the ones before it are forgotten, when no session that they signed can be valid any more
revoke     a key has leaked: a new one, and nothing kept
"""

from dataclasses import replace
from datetime import datetime, timedelta

from .policy import MAXIMUM_FALLBACKS
from .ring import Key, KeyRing


class RotationError(ValueError):
    """Why a step can't be taken now, with what to do instead."""


def stage(ring: KeyRing, new: Key) -> KeyRing:
    """`ring` with `new` to verify with. Raises RotationError where a key is staged already."""
    if ring.next is not None:
        raise RotationError("A key is staged already. Make it sign: flask key promote")
    if len(ring.previous) >= MAXIMUM_FALLBACKS:
        raise RotationError(f"There are {MAXIMUM_FALLBACKS} older keys already. Drop them first: flask key retire")
    return replace(ring, next=new)


def promote(ring: KeyRing, now: datetime) -> KeyRing:
    """`ring` signing with its next key from `now` on. Raises RotationError where none is staged."""
    if ring.next is None:
        raise RotationError("No key is staged. Stage one, and let every instance have it: flask key stage")
    return KeyRing(ring.next, None, (*ring.previous, ring.current), now)


def retire(ring: KeyRing, now: datetime, lifetime: timedelta, *, force: bool = False) -> KeyRing:
    """`ring` without its older keys.

    `lifetime` is PERMANENT_SESSION_LIFETIME, for which a session that an older key signed can be valid.
    Raises RotationError before it has passed since the promotion, unless `force`.
    """
    if not ring.previous:
        raise RotationError("There is no older key to retire.")
    due = retirement(ring, lifetime)
    if not force and due is None:
        raise RotationError(
            "Since when the current key signs is not known (SECRET_KEY_SINCE), so sessions may be lost."
            f" If it has signed for {lifetime}: flask key retire --force"
        )
    if not force and due is not None and now < due:
        raise RotationError(
            f"Sessions that an older key signed are valid until {due:%Y-%m-%d %H:%M} UTC."
            " Wait until then, or log their users out: flask key retire --force"
        )
    return replace(ring, previous=())


def retirement(ring: KeyRing, lifetime: timedelta) -> datetime | None:
    """When the older keys can be retired; None without any, or when that is not known."""
    try:
        return ring.since + lifetime if ring.previous and ring.since else None
    except OverflowError:
        return None


def rotate(ring: KeyRing, new: Key, now: datetime) -> KeyRing:
    """`ring` signing with `new` at once: for one instance alone, since others could not read its sessions yet."""
    return promote(stage(ring, new), now)


def revoke(new: Key, now: datetime) -> KeyRing:
    """A ring of `new` alone: every session that there was is void."""
    return KeyRing(new, since=now)
