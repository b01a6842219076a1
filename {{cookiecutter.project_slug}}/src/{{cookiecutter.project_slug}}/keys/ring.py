"""Keys that do not show, and the ring of those in use."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2s
from pathlib import Path

VARIABLES = ("SECRET_KEY", "SECRET_KEY_NEXT", "SECRET_KEY_FALLBACKS")
SINCE = "SECRET_KEY_SINCE"


def fingerprint(key: str | bytes) -> str:
    """Twelve hex digits that tell keys apart and tell nothing about a key of 128 bits."""
    data = key.encode() if isinstance(key, str) else key
    return blake2s(data, digest_size=6, person=b"flaskkey").hexdigest()


class TextKey(str):
    """A key that shows as its fingerprint in tracebacks, logs and the toolbar."""

    fingerprint = property(fingerprint)

    def __repr__(self) -> str:
        return f"<key {fingerprint(self)}>"


class BytesKey(bytes):
    """The same for a key of bytes, such as os.urandom gives."""

    fingerprint = property(fingerprint)

    def __repr__(self) -> str:
        return f"<key {fingerprint(self)}>"

    __str__ = __repr__


Key = TextKey | BytesKey


def redacted(key: str | bytes) -> Key:
    """The same key, in a type that does not show it."""
    return TextKey(key) if isinstance(key, str) else BytesKey(key)


@dataclass(frozen=True)
class KeyRing:
    """The keys in use: `current` signs and verifies, the others only verify.

    `previous` is in the order of Flask's SECRET_KEY_FALLBACKS, the oldest first; `since` is when `current`
    began to sign, as far as that is known.
    """

    current: Key
    next: Key | None = None
    previous: tuple[Key, ...] = ()
    since: datetime | None = None

    def fallbacks(self) -> list[Key]:
        """The keys that only verify; Flask tries the last one first."""
        return [*self.previous, *([self.next] if self.next else [])]

    def __iter__(self) -> Iterator[Key]:
        """Every key, the current one last: the order in which itsdangerous takes them."""
        yield from self.fallbacks()
        yield self.current


def mint() -> TextKey:
    """A fresh key: 256 bits from the operating system, as 64 hex digits."""
    return TextKey(secrets.token_hex(32))


def changed_at(path: Path) -> datetime:
    """When the file at `path` was last written, or moved there."""
    status = path.stat()
    return datetime.fromtimestamp(int(max(status.st_mtime, status.st_ctime)), UTC)


@cache
def process_key() -> TextKey:
    """A key for this process alone, which is what tests sign with."""
    return mint()


@dataclass(frozen=True, repr=False)
class Found:
    """What a source holds, before the policy has seen it, so of any type."""

    place: str
    current: object
    next: object = None
    previous: object = ()
    since: object = None
