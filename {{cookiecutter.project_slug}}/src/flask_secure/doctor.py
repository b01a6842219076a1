"""What `flask doctor` says: the problems of start-up, and what start-up can't reject."""

from collections.abc import Iterator
from typing import NamedTuple

from werkzeug.utils import import_string

from . import checks
from .checks import files
from .checks.silenced import Silenced, sort_out
from .checks.startup import at_startup
from .env_file import foreign_dotenv
from .lists import names_in
from .loading import Record
from .problems import Problem, StartupError


class Report(NamedTuple):
    """What the doctor has found: the problems, errors first, and what the owner has silenced."""

    problems: list[Problem]
    silenced: list[Silenced]


def examine(record: Record) -> Report:
    """Everything that is wrong in the environment of `record`. It runs git, not the application."""
    return report(record, [*problems_of_settings(record), *problems_of_files(record)])


def examine_settings(record: Record) -> Report:
    """The same without files and git."""
    return report(record, problems_of_settings(record))


def report(record: Record, found: list[Problem]) -> Report:
    """What was found, without what is silenced, errors first."""
    found = [problem.printable() for problem in found]
    if any(problem.id == "setting-type" for problem in found):  # SILENCED_CHECKS may have any type
        return Report(by_level(found), [])
    problems, silenced = sort_out(record, found)
    return Report(by_level(problems), silenced)


def by_level(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: problem.level)


def problems_of_settings(record: Record) -> list[Problem]:
    _, found = at_startup(record)
    has_types = not any(problem.id == "setting-type" for problem in found)
    if has_types:
        found += checks.run(record, at_startup=False)
        found += owners_checks(record)
    return found


def problems_of_files(record: Record) -> list[Problem]:
    found: list[Problem] = []
    try:
        found += files.problems(record)
    except StartupError as error:  # of a file that vanishes meanwhile
        found += error.problems
    foreign = foreign_dotenv(record.root, record.name)
    if foreign:
        found.append(foreign)
    return found


def owners_checks(record: Record) -> Iterator[Problem]:
    """What the service's own checks find, which CHECKS names: "shop.stock:check"."""
    for name in names_in(record.config["CHECKS"]):
        try:
            yield from import_string(name)(record.config)
        except ImportError:
            message = f"CHECKS has {name!r}, which can't be imported"
            good = [each for each in names_in(record.config["CHECKS"]) if each != name]
            yield Problem("check-missing", message, record.fix("CHECKS", good))
        except Exception as error:  # of the owner's code: the other checks still run
            message = f"The check {name} failed: {type(error).__name__}"
            yield Problem("check-failed", message, f"Correct {name}.")
