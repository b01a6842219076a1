"""Checks of the other settings: sessions' lifetime, limits, exceptions."""

from collections.abc import Iterator
from datetime import timedelta

from ..loading import Record
from . import Wrong, check

DAY = 24 * 60 * 60
MONTH = 31 * DAY
LONGEST_SESSION = 1_000_000_000  # seconds, about 30 years
KIB, MIB = 1024, 1024 * 1024


@check("session-lifetime", at_startup=True)
def session_lifetime(record: Record) -> Iterator[Wrong]:
    """A session would expire before it begins, and nobody could sign in."""
    value = record.config["PERMANENT_SESSION_LIFETIME"]
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not 1 <= seconds < LONGEST_SESSION:
        message = (
            f"PERMANENT_SESSION_LIFETIME is {value!r}; a session lives from 1 second to 30 years"
        )
        yield Wrong(message, record.fix("PERMANENT_SESSION_LIFETIME", MONTH))


@check("limit-body")
def limit_body(record: Record) -> Iterator[Wrong]:
    """A few large requests fill the memory. For uploads, raise the limit on one view."""
    yield from limit(record, "MAX_CONTENT_LENGTH", at_most=100 * 1000 * 1000, good=2 * MIB)


@check("limit-form-memory")
def limit_form_memory(record: Record) -> Iterator[Wrong]:
    """A form is read into memory as a whole, so a few large ones fill it."""
    yield from limit(record, "MAX_FORM_MEMORY_SIZE", at_most=10 * 1000 * 1000, good=512 * KIB)


@check("limit-form-parts")
def limit_form_parts(record: Record) -> Iterator[Wrong]:
    """Parsing a form with many parts keeps a worker busy (CVE-2023-25577)."""
    yield from limit(record, "MAX_FORM_PARTS", at_most=10_000, good=200)


def limit(record: Record, setting: str, *, at_most: int, good: int) -> Iterator[Wrong]:
    value = record.config[setting]
    if value is None:
        message = f"{setting} is not set, so a single request can fill the memory"
        yield Wrong(message, record.fix(setting, good))
    elif not 0 < value < at_most:
        message = f"{setting} is {value}, and from {at_most} on a few requests fill the memory"
        if value <= 0:
            message = f"{setting} is {value}, so that every request with a body is rejected"
        yield Wrong(message, record.fix(setting, good))


@check("propagate", is_local=False)
def propagate(record: Record) -> Iterator[Wrong]:
    """Exceptions bypass the error page and go to the server, so visitors get no explanation."""
    if record.config["PROPAGATE_EXCEPTIONS"]:
        message = "PROPAGATE_EXCEPTIONS is True, so failures are answered without the error page"
        yield Wrong(message, record.fix("PROPAGATE_EXCEPTIONS", False))
