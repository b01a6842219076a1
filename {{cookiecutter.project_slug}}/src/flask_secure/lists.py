"""Lists in settings: `["a", "b"]` in Python, `a, b` in a variable."""

from collections.abc import Iterable


def split_list(value: str | int | float | Iterable[object] | None) -> list[str]:
    """The entries of a list in a setting, without the spaces around them.

    Takes a list, text with commas between the entries, a number (one entry), or None (none).
    """
    if value is None:
        return []
    if isinstance(value, str) and not value.strip():
        return []
    if isinstance(value, str | int | float):
        return [entry.strip() for entry in str(value).split(",")]
    return [str(entry).strip() for entry in value]


def names_in(value: str | Iterable[object] | None) -> list[str]:
    """The same without empty entries, such as those of an empty variable."""
    return [entry for entry in split_list(value) if entry]
