"""What makes a key strong enough to sign with."""

import re
from collections import Counter
from itertools import pairwise
from math import log2
from pathlib import Path

MINIMUM_BITS = 128  # 16 random bytes: what Flask's documentation and OWASP ask at least
MINIMUM_VARIETY = 8  # different characters; 32 random hex digits have fewer once in 10 million keys

# Published keys: lower-case letters and digits alone. A long one counts wherever it stands.
SAMPLES = Path(__file__).with_name("samples.txt").read_text("utf-8").splitlines()[1:]
LONG_SAMPLE = 6  # characters

# The bits of one character, by the smallest alphabet that a key is written in.
ALPHABETS = {
    "[0-9]+": log2(10),
    "[0-9a-f]+|[0-9A-F]+": 4,
    "[0-9A-Za-z_-]+": 6,
    "[ -~]+": log2(95),
}


def weakness(key: object) -> tuple[str, str] | None:
    """Why `key` can't sign: a problem's id, and a clause without the key. None if it can."""
    if key is None:
        return "key-missing", "is not set"
    if not isinstance(key, str | bytes):
        return "key-type", "is neither text nor bytes"
    if not key:
        return "key-empty", "is empty"
    if isinstance(key, str) and changes_on_the_way(key):
        why = "has white space at an end, ${, control or non-ASCII characters"
        return "key-characters", f"{why}, which some program on the way changes"
    if is_published(key):
        return "key-placeholder", "is a sample that documentation prints, or contains one"
    if bits(key) < MINIMUM_BITS:
        has = f"has at most {bits(key)} bits of entropy"
        return "key-short", f"{has}; a signing key needs {MINIMUM_BITS}"
    if is_predictable(as_bytes(key)):
        return "key-patterned", "repeats itself or follows a pattern, so that it can be guessed"
    return None


def changes_on_the_way(key: str) -> bool:
    """Whether a shell, a container or the flask command would make another key of `key`."""
    is_plain = key.isascii() and key.isprintable() and key == key.strip()
    return not is_plain or "${" in key  # which the flask command expands


def is_published(key: str | bytes) -> bool:
    plain = re.sub(rb"[^a-z0-9]", b"", as_bytes(key).lower()).decode()
    for sample in SAMPLES:
        if plain == sample:
            return True
        if len(sample) >= LONG_SAMPLE and sample in plain:
            return True
    return False


def bits(key: str | bytes) -> int:
    """The most bits of entropy that `key` can have, in the smallest alphabet that it fits."""
    if isinstance(key, bytes) and not re.fullmatch(rb"[ -~]*", key):
        return 8 * len(key)  # 16 random bytes are all printable once in seven million times
    text = key.decode() if isinstance(key, bytes) else key
    for alphabet, worth in ALPHABETS.items():
        if re.fullmatch(alphabet, text):
            return int(len(text) * worth)
    return 0


def is_predictable(data: bytes) -> bool:
    """Whether `data` repeats a part of itself, has little variety, or counts up or down."""
    for period in range(1, len(data) // 2 + 1):
        if data[period:] == data[:-period]:
            return True
    if len(set(data)) < MINIMUM_VARIETY:
        return True
    steps = Counter(after - before for before, after in pairwise(data))
    return max(steps.values()) * 2 > len(data)  # most neighbors differ by the same


def as_bytes(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key
