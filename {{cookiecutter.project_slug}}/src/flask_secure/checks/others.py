"""Checks of other extensions: a rotation logs out whom they remember."""

from collections.abc import Iterator

from ..loading import Record
from ..others import ignoring_the_ring
from . import Wrong, check


@check("ring-ignored", level="warning", is_local=False)
def ring_ignored(record: Record) -> Iterator[Wrong]:
    """Some extensions use only SECRET_KEY, so what they have signed is invalid after a rotation."""
    if record.environment.is_test:
        return
    for module, what in ignoring_the_ring(record.config).items():
        message = f"{module} is installed, and ignores older keys: {what} will not survive promote"
        yield Wrong(message, f"Sign in again after promote, or do without {what}.")
