"""Checks of the settings: one function each, with an id, a reason and a fix.

The docstring of a check is its reason: `flask doctor --explain ID` prints it, and README.md's table
is made of it. To add one, write a function in the module of its subject:

    @check("limit-body")
    def limit_body(record: Record) -> Iterator[Wrong]:
        \"\"\"A large request fills the memory.\"\"\"
        if record.config["MAX_CONTENT_LENGTH"] is None:
            yield Wrong("MAX_CONTENT_LENGTH is not set", record.fix("MAX_CONTENT_LENGTH", 2097152))
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..loading import Record
from ..parts import is_checked
from ..problems import Problem


class Wrong(NamedTuple):
    """What a check has found: what is wrong and why, and what fixes it."""

    message: str
    fix: str


Rule = Callable[[Record], Iterator[Wrong]]


@dataclass(frozen=True)
class Check:
    """A rule, and when it counts."""

    id: str
    reason: str
    rule: Rule
    level: str
    at_startup: bool  # start-up rejects what it finds
    is_local: bool  # it counts on a developer's machine too


REGISTERED: list[Check] = []


def check(
    id: str,
    *,
    level: str = "error",
    at_startup: bool = False,
    is_local: bool = True,
    reason: str = "",
) -> Callable[[Rule], Rule]:
    """Register the decorated function as the check `id`, whose reason is its docstring."""

    def register(rule: Rule) -> Rule:
        text = " ".join((reason or rule.__doc__ or "").split())
        REGISTERED.append(Check(id, text, rule, level, at_startup, is_local))
        return rule

    return register


def run(record: Record, *, at_startup: bool) -> Iterator[Problem]:
    """The problems that start-up rejects, or the ones that only the doctor finds.

    The settings have the right types: `flask_secure.checks.types` comes first.
    """
    for each in REGISTERED:
        if each.at_startup != at_startup:
            continue
        if record.environment.is_local and not each.is_local:
            continue
        if not is_checked(each.id, record.parts):
            continue
        for wrong in each.rule(record):
            yield Problem(each.id, wrong.message, wrong.fix, each.level)
