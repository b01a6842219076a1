"""Checks of the signing keys, whatever their source. Nothing reaches `app.config` before them."""

import os
import re
from collections.abc import Iterator
from typing import Any

from .. import sources
from ..key_text import parse_fallbacks
from ..loading import Record
from ..problems import Problem, StartupError, command, quoted
from ..ring import Ring, Role, hidden
from ..secret_files import KEY_VARIABLES
from ..strength import weakness

PREFIXED = re.compile("FLASK_SECRET_KEY(_NEXT|_FALLBACKS)?(_FILE|__.*)?")


def check(record: Record) -> tuple[Ring | None, list[Problem]]:
    """The keys that the application gets, each once, and what is wrong with them.

    No ring comes back if start-up has to reject one of the keys.
    """
    prefixed = prefixed_variables()
    if prefixed:
        return None, prefixed
    try:
        ring = sources.read(record)
    except StartupError as error:
        return None, error.problems
    found = list(problems_of(ring, record))
    if any(problem.is_error for problem in found):
        return None, found
    return in_safe_types(ring), found


def load(record: Record) -> Ring:
    """The keys that the application gets. Raises StartupError."""
    ring, found = check(record)
    if ring is None:
        raise StartupError(*found)
    return ring


def in_safe_types(ring: Ring) -> Ring:
    """`ring` with keys that their `repr` does not show, none of them twice."""
    following = None if ring.next is None else hidden(ring.next)
    fallbacks = []
    for key in dict.fromkeys(ring.fallbacks):
        if key not in (ring.current, ring.next):
            fallbacks.append(hidden(key))
    return Ring(ring.source, hidden(ring.current), following, tuple(fallbacks), ring.since)


def prefixed_variables() -> list[Problem]:
    """FLASK_SECRET_KEY and the like, the first of them: Flask would read them as JSON."""
    for name in sorted(os.environ):
        if PREFIXED.fullmatch(name):
            message = f"Flask reads {name} as JSON, which turns digits into a number"
            fix = f"unset {quoted(name)}"
            return [Problem("key-prefixed", f"{message}; without FLASK_ it is verbatim", fix)]
    return []


def problems_of(ring: Ring, record: Record) -> Iterator[Problem]:
    """The problems of the keys in `ring`, in any role."""
    if not isinstance(ring.fallbacks, list | tuple):
        # Flask extends a list by them, so that each character of a text would be a key.
        message = f"SECRET_KEY_FALLBACKS in {ring.source.name} is not a list of keys"
        yield Problem("fallbacks-type", message, ring.source.list_fix(ring, record))
    development = development_keys(record)
    seen: list[Any] = []
    for role in ring.roles():
        problem = weakness(role.key) or unfit(role, ring, development, seen)
        if problem:
            yield explained(problem, role, ring, record)
        seen.append(role.key)


def unfit(
    role: Role, ring: Ring, development: list[str], seen: list[Any]
) -> tuple[str, str] | None:
    """Why a strong key can't have its role: a problem's id and a clause; None if it can."""
    key = role.key
    text = key.decode(errors="replace") if isinstance(key, bytes) else key
    if text in development:
        return "key-development", "is the development key of this project's .env"
    if key in seen:
        return "key-repeated", "repeats another key"
    mistake = ring.source.mistake(text)
    return ("key-characters", mistake) if mistake else None


def explained(problem: tuple[str, str], role: Role, ring: Ring, record: Record) -> Problem:
    """The problem of a role, with its fix. A promotion that was stopped half-way is a warning."""
    id, clause = problem
    message = f"{role.variable} in {ring.source.name} {clause}"
    if id == "key-repeated" and ring.source.writes_one_by_one:
        return Problem(id, message, command("key promote"), "warning")
    return Problem(id, message, ring.source.fix(role, ring, record))


def development_keys(record: Record) -> list[str]:
    """The keys of a developer's .env, which must not sign where others reach the service."""
    if record.environment.is_strict and record.is_developers_dotenv:
        return dotenv_keys(record)
    return []


def dotenv_keys(record: Record) -> list[str]:
    """Every key in the project's .env."""
    found: list[str] = []
    for name in KEY_VARIABLES:
        entries = parse_fallbacks(record.dotenv.get(name))  # each of the three, since any may leak
        found.extend([entries] if isinstance(entries, str) else entries)
    return [key for key in found if key]
