"""The policy to copy, as lines for where the owner sets it."""

from collections.abc import Iterable

from flask import Config

from .advice import Violation, to_copy, what_to_do
from .loading import Record, is_variable
from .policies import ENFORCED, REPORT_ONLY, directives, library_policy
from .policy import Policy

APPLICATION = "the application"


class Copies:
    """What would allow the violations that were reported, as settings to copy.

    Make it before the toolbar adds its own hashes to the policies in `config`. `record` is None for
    an application that is only observed: what is copied is for the day on which it is protected.
    """

    def __init__(self, config: Config, record: Record | None) -> None:
        self.record = record
        if record is None:
            self.enforced, self.tried = Policy({}), Policy.of(library_policy(config))
        else:
            self.enforced = Policy.of(directives(config, ENFORCED))
            self.tried = Policy.of(directives(config, REPORT_ONLY))
        # True is no dict that items could be added to, so all of it is copied.
        self.is_whole = record is not None and config[REPORT_ONLY] is True

    def describe(self, violation: Violation, others: Iterable[Violation]) -> str:
        """The violation and what to do; what is copied allows those of `others` as well."""
        lines = [f"{violation}. {what_to_do(violation)}"]
        if violation.source:
            lines += self.lines(each for each in others if is_alike(each, violation))
        return "\n    ".join(lines)

    def lines(self, violations: Iterable[Violation]) -> list[str]:
        """The settings that together allow `violations`, as far as they may be allowed."""
        violations = list(violations)
        enforced = to_copy(self.enforced, [each for each in violations if each.is_enforced])
        tried = to_copy(self.tried, [each for each in violations if not each.is_enforced])
        if self.record is None:
            return [f"{ENFORCED} = {tried!r}  # in {APPLICATION}"] if tried else []
        lines = self.by_place(ENFORCED, enforced)
        if self.is_whole and tried:
            place = self.record.place(self.record.origins[REPORT_ONLY])
            whole = {**self.tried.directives, **tried}
            return [*lines, f"{REPORT_ONLY} = {whole!r}  # in {place}"]
        return lines + self.by_place(REPORT_ONLY, tried)

    def by_place(self, setting: str, changes: dict[str, list[str]]) -> list[str]:
        """A line for each file that sets one of the directives, which keeps its others."""
        if self.record is None:
            return []
        places: dict[str, dict[str, list[str]]] = {}
        lines = []
        for name, sources in changes.items():
            origin = self.record.item_origins.get((setting, name), self.record.origins[setting])
            if is_variable(origin, setting):
                lines.append(f"Add to {origin}: {name} {' '.join(sources)}")
            else:
                places.setdefault(self.record.place(origin), {})[name] = sources
        for place, items in places.items():
            has_others = isinstance(self.record.value_in(place, setting), dict)
            kept = f"{setting} | " if has_others else ""
            lines.append(f"{setting} = {kept}{items!r}  # in {place}")
        return lines


def is_alike(one: Violation, other: Violation) -> bool:
    """Whether both are of the same directive of the same policy."""
    return one.directive == other.directive and one.is_enforced == other.is_enforced
