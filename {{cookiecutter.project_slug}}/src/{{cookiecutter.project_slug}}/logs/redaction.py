"""Text and values without what is secret in them, for logs and for whatever shows settings."""

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"

# What is called so is secret: api_key, csrftoken, Set-Cookie, DB_PASSWORD, but not SESSION_COOKIE_NAME.
NAME = (
    r"(?:[\w-]*(?:password|passwd|passphrase|secret|token|cookie|authorization|credential|apikey)"
    r"|(?:[\w-]*[_-])?(?:key|pwd|dsn|session(?:_?id)?)|[\w-]*secret_key\w*)s?"
)
QUOTED = r"""b?"(?:\\.|[^"\\])*"|b?'(?:\\.|[^'\\])*'"""
SECOND = rf"\1\2{REDACTED}"
IS_SECRET = re.compile(NAME, re.IGNORECASE)
PATTERNS = [
    # A header, to the end of its line.
    (
        re.compile(r"(?<![\w-])((?:set-)?cookie|(?:proxy-)?authorization)(\s*[:=]\s*)(?![\"'])[^\r\n]+", re.IGNORECASE),
        SECOND,
    ),
    # password=..., "token": "..."; but the fingerprint of a key stays.
    (
        re.compile(
            rf"(?<![\w-])({NAME})([\"']?\s*(?:=>|[:=])\s*)(?!<key )(?:{QUOTED}|[^\s,;&)\]}}\"']+)", re.IGNORECASE
        ),
        SECOND,
    ),
    # A request line, without its query string.
    (re.compile(r"(?<=[A-Z] )([^\s?\"]+)\?[^\s\"]*(?= HTTP/)"), r"\1"),
    (re.compile(r"\b(bearer|basic|digest)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # postgresql://user:password@host
    (re.compile(r"(://[^\s/:@]*:)[^\s/@]+@"), rf"\1{REDACTED}@"),
    # A session of Flask's, a token of itsdangerous, a JSON web token.
    (re.compile(r"(?<![\w.-])\.?e[yJ][\w-]+\.[\w-]{5,}\.[\w-]{20,}"), REDACTED),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL), REDACTED),
]

# Most text has none of what any pattern begins with, and one search is faster than all of them.
HINT = re.compile(
    r"pass|secret|token|cookie|auth|credential|key|pwd|dsn|session|bearer|basic|digest"
    r"|://| HTTP/|e[yJ][\w-]+\.|-----BEGIN",
    re.IGNORECASE,
)

# The text of the keys in use, and what shows in its place.
_keys: dict[str, str] = {}


def hide(text: str, shown: str) -> None:
    """From now on show `shown` wherever `text`, which is secret, stands."""
    _keys[text] = shown


def redacted_text(text: str) -> str:
    """`text` without what it says of secrets: by their own text, by a name before them, or by their form."""
    for key, shown in _keys.items():
        if key in text:
            text = text.replace(key, shown)
    if HINT.search(text):
        for pattern, replacement in PATTERNS:
            text = pattern.sub(replacement, text)
    return text


def is_secret(name: object) -> bool:
    """Whether what is called `name` is secret by its name."""
    return IS_SECRET.fullmatch(str(name)) is not None


def redacted(value: object, depth: int = 6) -> Any:
    """`value` as what JSON can hold, without the secrets in it, however deep; deeper than `depth` as text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redacted_text(value)
    if depth and isinstance(value, Mapping):
        return {
            redacted_text(str(name)): REDACTED if is_secret(name) else redacted(each, depth - 1)
            for name, each in value.items()
        }
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [redacted(each, depth - 1) for each in value]
    return redacted_text(repr(value))
