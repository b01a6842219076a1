"""The key ring: one key signs, the others only verify.

The order is the same everywhere: the oldest key first, the current one last. itsdangerous signs
with the last key of a list, and Flask tries the last of SECRET_KEY_FALLBACKS first.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2s
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask

from .problems import command
from .redaction import SecretBytes, SecretText, hide

if TYPE_CHECKING:
    from .loading import Record


def fingerprint(key: str | bytes) -> str:
    """Twelve hex digits that tell keys apart, and say nothing about a key of 128 bits."""
    data = key.encode() if isinstance(key, str) else key
    return blake2s(data, digest_size=6, person=b"flaskkey").hexdigest()


class TextKey(SecretText):
    """A key whose `repr` is its fingerprint: in tracebacks, in the toolbar, in `flask config`."""

    @property
    def fingerprint(self) -> str:
        return fingerprint(self)

    def __repr__(self) -> str:
        return f"<key {self.fingerprint}>"


class BytesKey(SecretBytes):
    """The same for a key of bytes, such as os.urandom gives."""

    @property
    def fingerprint(self) -> str:
        return fingerprint(self)

    def __repr__(self) -> str:
        return f"<key {self.fingerprint}>"

    def __str__(self) -> str:
        return repr(self)


Key = TextKey | BytesKey


def hidden(key: str | bytes) -> Key:
    """`key` in a type that does not show it."""
    return TextKey(key) if isinstance(key, str) else BytesKey(key)


def generate() -> TextKey:
    """A new key: 256 bits from the operating system, as 64 hex digits."""
    return TextKey(secrets.token_hex(32))


class Role(NamedTuple):
    """A key, the variable that it has, and its place among the fallbacks (from 1)."""

    variable: str
    key: Any
    place: int = 0


class Source:
    """Where keys can come from. The classes of sources.py override what differs."""

    name: str  # as in "SECRET_KEY in the environment"
    writes_one_by_one = False  # whether a command that is stopped may leave a key there twice

    def applies(self, record: "Record") -> bool:
        """Whether this environment takes keys from here."""
        return True

    def read(self, record: "Record") -> "Ring | None":
        """The keys that are here; None if there are none, so that the next source is asked.

        Raises StartupError for what can't be read.
        """
        raise NotImplementedError

    def write(self, ring: "Ring", record: "Record") -> Path | None:
        """Keep the keys of `ring` here, and give back the folder that they are in.

        None if nothing can be written here: then the caller prints the variables to set.
        Raises StartupError, and click.ClickException for copies that only their owner changes.
        """
        return None

    def mistake(self, text: str) -> str | None:
        """Why a strong key can't be kept here, as a clause; None if it can."""
        if has_separator(text):
            return "has white space or a comma, which SECRET_KEY_FALLBACKS can't hold"
        return None

    def fix(self, role: Role, ring: "Ring", record: "Record") -> str:
        """What replaces a bad key of `ring`, and keeps the good ones beside it."""
        return f"{command('key generate')}  # for {role.variable} in {ring.source.name}"

    def list_fix(self, ring: "Ring", record: "Record") -> str:
        """What makes a list of fallbacks that are none."""
        return "Write the keys with commas between them, without brackets and quotes."


@dataclass(frozen=True)
class Ring:
    """The keys of one source.

    What a source has read may be of any type; `flask_secure.checks.keys` makes sure that `current`,
    `next` and each of `fallbacks` is a Key, and that none is there twice.
    """

    source: Source
    current: Any  # signs; the others only verify
    next: Any = None  # staged; `promote` makes it sign
    fallbacks: Any = ()  # older keys, the oldest first
    since: datetime | None = None  # when `current` began to sign

    def roles(self) -> Iterator[Role]:
        """Every key with its variable. Fallbacks that are no list are none."""
        yield Role("SECRET_KEY", self.current)
        if self.next is not None:
            yield Role("SECRET_KEY_NEXT", self.next)
        if isinstance(self.fallbacks, list | tuple):
            for place, key in enumerate(self.fallbacks, 1):
                yield Role("SECRET_KEY_FALLBACKS", key, place)

    def verifying(self) -> list[Key]:
        """The keys that only verify, oldest first: what Flask calls SECRET_KEY_FALLBACKS."""
        if self.next is None or self.next == self.current:
            return list(self.fallbacks)
        return [*self.fallbacks, self.next]

    def oldest_first(self) -> list[Key]:
        """Every key, the current one last: what itsdangerous takes."""
        return [*self.verifying(), self.current]


def has_separator(key: str) -> bool:
    """Whether `key` has a comma or white space, which part the keys in SECRET_KEY_FALLBACKS."""
    return "," in key or any(character.isspace() for character in key)


def install(app: Flask, ring: Ring) -> None:
    """Give `app` the keys of `ring`, which has been checked, and hide them from the logs."""
    for key in ring.oldest_first():
        hide(key, repr(key))
    app.config["SECRET_KEY"] = ring.current
    app.config["SECRET_KEY_FALLBACKS"] = ring.verifying()
    # Flask-WTF ignores the fallbacks, but takes a list of keys. An owner's own stays.
    app.config.setdefault("WTF_CSRF_SECRET_KEY", ring.oldest_first())
