"""What makes a key good enough to sign with. Each refusal has an id that does not change."""

import re
from collections import Counter
from collections.abc import Collection
from itertools import pairwise
from math import log2
from typing import NamedTuple

MINIMUM_BITS = 128  # 16 random bytes, the floor that Flask's documentation and OWASP name
MINIMUM_VARIETY = 8  # different characters; 32 random hex digits have fewer once in 10 million keys
MAXIMUM_FALLBACKS = 8  # each one costs a signature on every forged cookie

# Keys that documentation, articles and templates print. Letter case, and what is neither a letter
# nor a digit, do not count; one of six characters or more is also refused as a part of a key.
SAMPLES = [
    "f3cfe9ed8fae309f02079dbf",
    "3d6f45a5fc12445dbac2f59c3b6c7cb1",
    "Drmhze6EPcv0fN_81Bj-nA",
    "8f42a73054b1749f8f58848be5e6502c",
    "d5fb8c4fa8bd46638dadc4e751e0d68d",
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    "_5#y2L'F4Q8z",  # and bytes that are no letters
    "Define_The_Key",
    "default_fallback_key",
    "not-so-secret",
    "changeme",
    "changethis",
    "insecure_key_for_dev",
    "you-will-never-guess",
    "django-insecure-",
    "update-data-with-keygen",
    "secret",
    "replace-me",
    "dev",
    "development",
    "password",
]
PLACEHOLDERS = [re.sub(r"[^a-z0-9]", "", sample.lower()) for sample in SAMPLES]

# An alphabet, and the bits that one character of it is worth.
ALPHABETS = [
    (re.compile(r"[0-9]+"), log2(10)),
    (re.compile(r"[0-9a-f]+|[0-9A-F]+"), 4.0),
    (re.compile(r"[0-9A-Za-z_-]+"), 6.0),
    (re.compile(r"[ -~]+"), log2(95)),
]


class Refusal(NamedTuple):
    """Why a key is not used: a stable id, and a clause that follows the variable's name."""

    id: str
    reason: str


def bits(key: str | bytes) -> int:
    """The bits that `key` is worth at most, in the smallest alphabet that it is written in."""
    if isinstance(key, bytes):
        if not re.fullmatch(rb"[ -~]*", key):
            return 8 * len(key)
        key = key.decode()  # somebody has typed it: random bytes are all printable once in seven million times
    return next((int(len(key) * each) for alphabet, each in ALPHABETS if alphabet.fullmatch(key)), 0)


def is_patterned(data: bytes) -> bool:
    """Whether `data` repeats a part of itself throughout, or mostly counts up or down."""
    if any(data[period:] == data[:-period] for period in range(1, len(data) // 2 + 1)):
        return True
    steps = Counter(after - before for before, after in pairwise(data))
    return max(steps.values()) * 2 > len(data)


def refusal(key: object) -> Refusal | None:
    """Why `key` can't be a signing key; None when it can. No part of the key is in the answer."""
    if key is None:
        return Refusal("key-missing", "is not set")
    if not isinstance(key, str | bytes):
        return Refusal("key-type", f"is neither text nor bytes, but {type(key).__name__}")
    if not key:
        return Refusal("key-empty", "is empty")
    if isinstance(key, str):
        if key != key.strip():
            return Refusal("key-white-space", "begins or ends with white space")
        if not (key.isascii() and key.isprintable()):
            return Refusal("key-characters", "has control or non-ASCII characters")
    data = key.encode() if isinstance(key, str) else key
    plain = re.sub(rb"[^a-z0-9]", b"", data.lower()).decode()
    if any(plain == sample or (len(sample) >= 6 and sample in plain) for sample in PLACEHOLDERS):
        return Refusal("key-placeholder", "is, or contains, a sample that documentation prints")
    if bits(key) < MINIMUM_BITS:
        return Refusal("key-short", f"is worth at most {bits(key)} bits, and a signing key needs {MINIMUM_BITS}")
    if len(set(data)) < MINIMUM_VARIETY or is_patterned(data):
        return Refusal("key-patterned", "repeats itself or follows a pattern, so that it can be guessed")
    return None


def fallbacks_refusal(keys: object) -> Refusal | None:
    """Why `keys` can't be SECRET_KEY_FALLBACKS, whatever each of them is; None when they can."""
    if not isinstance(keys, list | tuple):
        # Flask extends a list by it, so that every character of a string becomes a key.
        return Refusal("fallbacks-type", f"is no list of keys, but {type(keys).__name__}")
    if len(keys) > MAXIMUM_FALLBACKS:
        return Refusal("fallbacks-many", f"has more than {MAXIMUM_FALLBACKS} keys")
    return None


def repeated(key: object, current: object) -> Refusal | None:
    """A fallback that is the current key would never be retired."""
    return Refusal("key-repeated", "holds the key that SECRET_KEY is already") if key == current else None


def development(key: object, own: Collection[str]) -> Refusal | None:
    """Whether `key`, of production, is one of `own`, which lie in the project's .env: many have had that."""
    if key in own or key in [each.encode() for each in own]:
        return Refusal("key-development", "is the development key of this project's .env")
    return None
