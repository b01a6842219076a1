"""Signing what is not a session, such as the links of a mail: over the whole ring of keys."""

from datetime import timedelta
from typing import Any

from flask import current_app
from itsdangerous import URLSafeTimedSerializer


class Signer:
    """Signs values for one purpose, and reads them until they expire.

    It takes the keys of the current application when it signs or reads, so it can be made when a
    module is imported, and what it has signed survives `flask key promote` as sessions do.
    """

    def __init__(self, purpose: str, max_age: timedelta) -> None:
        self.purpose = purpose
        self.max_age = max_age

    def dumps(self, value: Any) -> str:
        """`value`, which JSON can hold, as signed text for a URL. It is not encrypted."""
        return str(self._serializer().dumps(value))

    def loads(self, text: str | bytes) -> Any:
        """The value that `dumps` has signed for this purpose.

        Raises itsdangerous.BadData for text that is forged, expired or for another purpose.
        """
        return self._serializer().loads(text, max_age=int(self.max_age.total_seconds()))

    def _serializer(self) -> URLSafeTimedSerializer:
        lifetime = current_app.permanent_session_lifetime
        if self.max_age > lifetime:
            raise ValueError(
                f"max_age of signer({self.purpose!r}) is {self.max_age}, longer than"
                f" PERMANENT_SESSION_LIFETIME ({lifetime}): `flask key retire` would end it early"
            )
        config = current_app.config
        keys = [
            *config["SECRET_KEY_FALLBACKS"],
            config["SECRET_KEY"],
        ]  # the order of Ring.oldest_first
        return URLSafeTimedSerializer(keys, salt=f"flask_secure.signer:{self.purpose}")


def signer(purpose: str, *, max_age: timedelta | int) -> Signer:
    """A signer for one purpose, over every key of the ring; the current key signs.

    `purpose` is any text: two purposes do not read each other's values. `max_age` is a timedelta or
    a number of seconds, at most PERMANENT_SESSION_LIFETIME. Raises ValueError for an empty purpose
    or an age that is not positive; signing and reading raise it for an age that is too long.
    """
    age = max_age if isinstance(max_age, timedelta) else timedelta(seconds=max_age)
    if not purpose:
        raise ValueError("signer() needs a purpose, such as 'accounts.links'")
    if age < timedelta(seconds=1):
        raise ValueError(f"max_age of signer({purpose!r}) must be at least a second, not {age}")
    return Signer(purpose, age)
