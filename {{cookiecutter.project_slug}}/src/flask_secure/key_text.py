"""The keys as text: what SECRET_KEY_FALLBACKS means, and what a variable can hold.

One parser and one writer, whether the variables are in the environment, in `.env` or in files.
"""

from .problems import Problem, StartupError, command
from .ring import Ring, has_separator


def parse_fallbacks(text: str | None) -> list[str] | str:
    """The keys in SECRET_KEY_FALLBACKS: commas between them, or one a line; spaces do not count.

    An empty entry between commas stays, so that the checks name it. A list in JSON or in quotes
    comes back as it is: no key is a list, and the checks say so.
    """
    if text is None:
        return []
    if is_enclosed(text.strip()):
        return text
    lines = [line for line in text.splitlines() if line.strip()] or [""]
    return [entry.strip() for line in lines for entry in line.split(",")]


def is_enclosed(text: str) -> bool:
    """Whether brackets or quotes are around the whole `text`."""
    return len(text) > 1 and text[0] + text[-1] in ("[]", "()", '""', "''")


def to_variables(ring: Ring) -> dict[str, str | None]:
    """The variables of `ring` in the order in which to write them; None for one to remove.

    Raises StartupError for a key that no variable can hold: one of bytes, or with a separator.
    """
    for key in ring.oldest_first():
        if not isinstance(key, str) or has_separator(key):
            message = "A key of bytes, or with white space or a comma, can't be kept in variables"
            fix = f"{command('key generate')}  # for SECRET_KEY_NEXT in {ring.source.name}"
            raise StartupError(Problem("key-characters", message, fix))
    return {
        "SECRET_KEY_FALLBACKS": ",".join(ring.fallbacks) or None,
        "SECRET_KEY": str(ring.current),
        "SECRET_KEY_NEXT": ring.next,
    }
