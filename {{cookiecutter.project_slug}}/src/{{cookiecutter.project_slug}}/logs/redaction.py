"""Text and values without what is secret in them, for logs and for whatever shows settings."""

import math
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from werkzeug.datastructures import Headers

REDACTED = "[redacted]"
LONGEST = 200  # entries of a list or a mapping that are shown

# What is called so is secret: api_key, csrftoken, Set-Cookie, DB_PASSWORD, but not SESSION_COOKIE_NAME or primary_key.
# Every repetition has an end, so that a long text takes no longer than its length asks for.
KEYS = r"(?:secret|api|private|access|signing|encryption|master)[_-]?(?:access[_-]?)?"
NAME = (
    rf"(?:[\w-]{{0,64}}(?:password|passwd|passphrase|passcode|secret|token|cookie|authorization|credential|{KEYS}key)"
    r"|(?:[\w-]{0,64}[_-])?(?:auth|dsn|jwt|pass|pwd|session(?:_?id)?|sig|signature)|(?:encryption|_)?key"
    r"|[\w-]{0,64}(?:secret_key|password)_\w{0,32})s?"
)
QUOTED = r"""b?"(?:\\.|[^"\\])*"|b?'(?:\\.|[^'\\])*'|\\{1,9}["'][^"']*["']|\[[^\]]*\]|\{[^}]*\}|\([^)]*\)"""
SECOND = rf"\1\2{REDACTED}"
IS_SECRET = re.compile(NAME, re.IGNORECASE)
PATTERNS = [
    # A header, to the end of its line.
    (
        re.compile(r"(?<![\w-])((?:set-)?cookie|(?:proxy-)?authorization)(\s*[:=]\s*)(?![\"'])[^\r\n]+", re.IGNORECASE),
        SECOND,
    ),
    # password=..., "token": "...", ('secret', '...'); but the fingerprint of a key stays.
    (
        re.compile(
            rf"(?<![\w-])({NAME})(\\{{0,9}}[\"']?\s{{0,9}}(?:=>|[:=])\s{{0,9}}|[\"'],\s{{0,9}}(?=b?[\"']))(?!<key )"
            rf"(?:{QUOTED}|[^\s,;&)\]}}\"']+)",
            re.IGNORECASE,
        ),
        SECOND,
    ),
    # A request line, or a request, without its query string.
    (re.compile(r"(\b[A-Z]{3,7} /[^\s?\"]*|<Request '[^'?]*)\?[^\s\"']*"), r"\1"),
    (
        re.compile(r"\b(bearer|basic|digest)\s{1,9}(?-i:(?=[\w.~+/-]{0,512}[A-Z0-9=]))[\w.~+/=-]{6,}", re.IGNORECASE),
        SECOND[:2] + f" {REDACTED}",
    ),
    # postgresql://user:password@host, https://token@host
    (re.compile(r"(://[^\s/:@]{0,256}:)[^\s@]{1,256}@"), rf"\1{REDACTED}@"),
    (re.compile(r"(://)[^\s/?#:@]{1,256}@"), rf"\1{REDACTED}@"),
    # A session of Flask's, a token of itsdangerous, a JSON web token.
    (re.compile(r"(?<![\w.-])\.?e[yJ][\w-]+\.[\w-]{5,}\.[\w-]{20,}"), REDACTED),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL), REDACTED),
]

# Most text has none of what any pattern begins with, and one search is faster than all of them.
HINT = re.compile(
    r"pass|secret|token|cookie|auth|credential|key|pwd|dsn|jwt|sig|session|bearer|basic|digest"
    r"|://|\?|e[yJ][\w-]{6}|-----BEGIN",
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


def redacted(value: object, within: tuple[int, ...] = ()) -> Any:
    """`value` as what JSON can hold, without the secrets in it, however deep; `within` are the ids of what holds it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return redacted_text(value)
    if id(value) in within or len(within) > 6:
        return "..."
    within = (*within, id(value))
    if isinstance(value, Mapping):
        pairs = islice(value.items(), LONGEST)
        return {
            redacted_text(str(name)): REDACTED if is_secret(name) else redacted(each, within) for name, each in pairs
        }
    if isinstance(value, list | tuple | set | frozenset | Headers):
        items = list(islice(value, LONGEST))
        if len(items) == 2 and isinstance(items[0], str) and is_secret(items[0]):
            return [items[0], REDACTED]
        return [redacted(each, within) for each in items]
    try:
        return redacted_text(repr(value))
    except Exception:  # somebody's __repr__
        return f"<{type(value).__name__}, which can't be shown>"
