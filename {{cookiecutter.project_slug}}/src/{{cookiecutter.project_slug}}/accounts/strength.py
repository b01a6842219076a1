"""How hard a password is to guess: common passwords, runs and words of the context count little.

The time is bounded: at each character a few slices are looked up in a set.
"""

from functools import cache
from importlib.resources import files

BITS_NEEDED = 40  # a trillion guesses; the service hashes a hundred in a second

# What each piece of a password adds, in bits.
COMMON_WORD = 13.0  # one of ten thousand
RUN = 7.0  # 1234, abcd, aaaa, or a row of keys
YEAR = 7.0  # one of a hundred
DIGIT = 3.3
CHARACTER = 4.0
AGAIN = 0.5  # what the password has had before

SHORTEST_WORD, LONGEST_WORD = 4, 16
SHORTEST_RUN = 3
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "azertyuiop", "qsdfghjklm", "yxcvbnm")
SUBSTITUTIONS = str.maketrans("@4013$57!", "aaoiessti")


@cache
def common_passwords() -> frozenset[str]:
    """The most common passwords, most of which are short: parts of longer ones."""
    return lines_of("common_passwords.txt")


@cache
def common_long_passwords() -> frozenset[str]:
    """The most common of those that are long enough (OWASP ASVS 5.0, 6.2.4)."""
    return lines_of("common_long_passwords.txt")


def lines_of(name: str) -> frozenset[str]:
    """The lines of a file beside this module, but for its comments."""
    text = files(__package__).joinpath(name).read_text("utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))


def is_easy_to_guess(password: str, context: list[str]) -> bool:
    """Whether `password`, of bounded length, is common, or made of what attackers try first.

    `context` has the words that are tried for this account: its address, the service's name.
    """
    text = password.lower()
    if text in common_long_passwords():
        return True
    for word in sorted(context, key=len, reverse=True):
        if len(word) >= SHORTEST_RUN:
            text = text.replace(word.lower(), "")
    return bits(text) < BITS_NEEDED


def bits(text: str) -> float:
    """An estimate of the entropy of `text`, which is in lower case."""
    plain = text.translate(SUBSTITUTIONS)
    if len(plain) != len(text):
        plain = text
    seen: set[str] = set()
    total = 0.0
    place = 0
    while place < len(text):
        piece, worth = piece_at(text, plain, place)
        total += AGAIN if piece in seen else worth
        seen.add(piece)
        place += len(piece)
    return total


def piece_at(text: str, plain: str, place: int) -> tuple[str, float]:
    """The longest piece of `text` that begins at `place`, and what it adds."""
    word = word_at(text, place) or word_at(plain, place)
    run = run_at(text, place)
    if len(run) > len(word):
        return run, RUN
    if word:
        return word, COMMON_WORD
    year = text[place : place + 4]
    if year.isdecimal() and year[:2] in ("19", "20") and len(year) == 4:
        return year, YEAR
    character = text[place]
    return character, DIGIT if character.isdecimal() else CHARACTER


def word_at(text: str, place: int) -> str:
    """The longest common password that stands at `place`; "" if there is none."""
    for length in range(LONGEST_WORD, SHORTEST_WORD - 1, -1):
        word = text[place : place + length]
        if len(word) == length and word in common_passwords():
            return word
    return ""


def run_at(text: str, place: int) -> str:
    """The characters from `place` on that follow, repeat or neighbour each other; "" for few."""
    stop = place + 1
    step = step_between(text, place)
    while step and step_between(text, stop - 1) == step:
        stop += 1
    return text[place:stop] if stop - place >= SHORTEST_RUN else ""


def step_between(text: str, place: int) -> str:
    """How the character at `place` leads to the next one; "" if it does not."""
    pair = text[place : place + 2]
    if len(pair) < 2:
        return ""
    distance = ord(pair[1]) - ord(pair[0])
    if distance in (-1, 0, 1):
        return f"{distance:+}"
    if any(pair in row for row in ROWS):
        return "along a row of keys"
    if any(pair in row[::-1] for row in ROWS):
        return "back along a row of keys"
    return ""
