"""SILENCED_CHECKS: problems that the owner lives with, each with a reason to print."""

from collections.abc import Iterator
from typing import NamedTuple

from ..loading import Record, is_variable
from ..problems import Problem
from . import REGISTERED
from .elsewhere import FOUND_ELSEWHERE

SETTING = "SILENCED_CHECKS"

# A key in a file that others read, or in git, is never somebody's decision to live with.
NEVER_SILENCED = ("file-mode", "git-not-ignored", "git-history", "git-unreadable", "git-partial")


# What others read before it is deployed, unlike a variable or a file of one machine.
REVIEWED = ("config/", "the application", "flask_secure/", "init_app(")


class Silenced(NamedTuple):
    """A problem that was found, and why the owner lives with it."""

    problem: Problem
    reason: str


def sort_out(record: Record, found: list[Problem]) -> tuple[list[Problem], list[Silenced]]:
    """`found` without what is silenced, with the problems of SILENCED_CHECKS; and the silenced."""
    setting = record.config[SETTING] or {}
    kept: list[Problem] = []
    silenced: list[Silenced] = []
    for problem in found:
        if problem.id in setting and not mistake_in(record, problem.id, found):
            silenced.append(Silenced(problem, setting[problem.id]))
        else:
            kept.append(problem)
    return [*kept, *mistakes_in(record, found)], silenced


def mistakes_in(record: Record, found: list[Problem]) -> Iterator[Problem]:
    """What is wrong with SILENCED_CHECKS itself."""
    if not is_reviewed(record):
        origin = record.origins[SETTING]
        message = f"{SETTING} is set by {origin}; only a file in config/ can silence a check"
        fix = f"Remove it from {origin}."
        if is_variable(origin, SETTING):
            fix = record.fix_variable(origin, None)
        yield Problem("silenced-checks", message, fix)
        return
    for id in record.config[SETTING] or {}:
        message = mistake_in(record, str(id), found)
        if message:
            yield Problem("silenced-checks", message, without(record, str(id)))
        elif is_unused(record, str(id), found):
            message = f"{SETTING} has {id!r}, which is not found here any more"
            yield Problem("silenced-checks", message, without(record, str(id)), "warning")


def is_reviewed(record: Record) -> bool:
    """Whether a file that others read sets SILENCED_CHECKS."""
    return record.origins[SETTING].startswith(REVIEWED)


def mistake_in(record: Record, id: str, found: list[Problem]) -> str:
    """Why an entry can't silence what it names; "" if it can."""
    if not is_reviewed(record):
        return f"{SETTING} is not set in config/"
    if id in NEVER_SILENCED:
        return f"{SETTING} has {id!r}: a secret that others can read can't be silenced"
    registered = [each.at_startup for each in REGISTERED if each.id == id]
    if registered and all(registered):
        return f"{SETTING} has {id!r}, which start-up rejects: it can't be silenced"
    if not registered and not is_owners(record, id, found):
        return f"{SETTING} has {id!r}, and no check that can be silenced has that id"
    reason = record.config[SETTING][id]
    if not isinstance(reason, str) or not reason.strip():
        return f"{SETTING} has {id!r} without a reason"
    return ""


def is_owners(record: Record, id: str, found: list[Problem]) -> bool:
    """Whether `id` is, or may be, one of the service's own checks, whose ids nobody lists."""
    if any(known == id for known, _, _ in FOUND_ELSEWHERE):
        return False
    return bool(record.config["CHECKS"]) or any(problem.id == id for problem in found)


def is_unused(record: Record, id: str, found: list[Problem]) -> bool:
    """Whether the check ran here, and has found nothing. Only production runs them all."""
    if any(problem.id == id for problem in found):
        return False
    if record.environment.is_strict:
        return True
    return any(each.id == id and each.is_local for each in REGISTERED)


def without(record: Record, id: str) -> str:
    """What takes the entry `id` out of SILENCED_CHECKS, and leaves the others."""
    place = record.place(record.origins[SETTING])
    others = {name: reason for name, reason in record.config[SETTING].items() if name != id}
    return f"{SETTING} = {others!r}  # in {place}"
