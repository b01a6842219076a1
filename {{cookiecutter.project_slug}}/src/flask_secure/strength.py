"""What makes a key good enough to sign with."""

import re
from collections import Counter
from itertools import pairwise
from math import log2
from pathlib import Path

MINIMUM_BITS = 128  # 16 random bytes: what Flask's documentation and OWASP ask at least
SAMPLES = Path(__file__).with_name("samples.txt").read_text().splitlines()[1:]  # published keys

ALPHABETS = {"[0-9]+": log2(10), "[0-9a-f]+|[0-9A-F]+": 4, "[0-9A-Za-z_-]+": 6, "[ -~]+": log2(95)}  # bits each


def weakness(key: object) -> tuple[str, str] | None:
    """Why `key` can't be a signing key, as a problem's id and a clause without the key; None when it can."""
    if not isinstance(key, str | bytes):
        return ("key-missing", "is not set") if key is None else ("key-type", "is neither text nor bytes")
    if not key:
        return "key-empty", "is empty"
    if isinstance(key, str) and (key != key.strip() or "${" in key or not (key.isascii() and key.isprintable())):
        return "key-characters", "has white space at an end, ${, control or non-ASCII characters"
    data = key.encode() if isinstance(key, str) else key
    plain = re.sub(rb"[^a-z0-9]", b"", data.lower()).decode()
    if any(plain == sample or (len(sample) >= 6 and sample in plain) for sample in SAMPLES):
        return "key-placeholder", "is, or contains, a sample that documentation prints"
    if bits(key) < MINIMUM_BITS:
        return "key-short", f"is worth at most {bits(key)} bits, and a signing key needs {MINIMUM_BITS}"
    repeats = any(data[period:] == data[:-period] for period in range(1, len(data) // 2 + 1))
    steps = Counter(after - before for before, after in pairwise(data))  # mostly one of them: it counts up or down
    if repeats or len(set(data)) < 8 or max(steps.values()) * 2 > len(data):
        return "key-patterned", "repeats itself or follows a pattern, so that it can be guessed"
    return None


def bits(key: str | bytes) -> int:
    """The bits that `key` is worth at most, in the smallest alphabet that it is written in."""
    if isinstance(key, bytes) and not re.fullmatch(rb"[ -~]*", key):
        return 8 * len(key)  # 16 random bytes are all printable once in seven million times
    text = key.decode() if isinstance(key, bytes) else key
    return next((int(len(text) * worth) for alphabet, worth in ALPHABETS.items() if re.fullmatch(alphabet, text)), 0)
