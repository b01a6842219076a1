"""What start-up rejects, all of it at once."""

from ..choosing import is_under_pytest
from ..env_file import say_development
from ..loading import Record
from ..problems import Problem, quoted
from ..ring import Ring
from . import cookies, csp, headers, hosts, keys, others, routes, run, settings, templates, types

# Importing a module registers its checks, in the order of README.md's table.
MODULES = (settings, hosts, cookies, headers, csp, routes, templates, others)


def at_startup(record: Record) -> tuple[Ring | None, list[Problem]]:
    """The keys, and what start-up has to say: it rejects errors, and there is no ring then.

    Without the part `key` there is no ring either.
    """
    ring: Ring | None = None
    problems: list[Problem] = []
    if "key" in record.parts:
        ring, problems = keys.check(record)
    wrong_types = list(types.problems(record))
    problems += wrong_types or list(run(record, at_startup=True))
    if any(problem.is_error for problem in problems):
        return None, what_to_fix_first(record, problems)
    return ring, problems


def what_to_fix_first(record: Record, problems: list[Problem]) -> list[Problem]:
    """Those of `problems` that are to be told, and what explains them.

    A developer who has no key yet needs that alone, and not what production asks.
    """
    about_key = [each for each in problems if each.is_error and each.id.startswith("key-")]
    if record.is_bare_clone and about_key:
        return about_key
    return problems + environment_unset(record)


def environment_unset(record: Record) -> list[Problem]:
    """What explains the other problems where nothing says which environment this is."""
    if record.said_by:
        return []
    if is_under_pytest():
        message = "pytest runs, and nothing says that this is testing"
        in_fixture = 'os.environ["APP_ENV"] = "testing"'
        fix = f"export APP_ENV=testing  # or {in_fixture} before the fixture calls create_app()"
        return [Problem("env-unset", message, fix)]
    said = record.dotenv.get("APP_ENV")
    if said is not None:
        message = f"{record.env_path} says APP_ENV={said} to the flask command alone"
        return [Problem("env-unset", message, f"export APP_ENV={quoted(said)}")]
    if "SECRET_KEY" in record.dotenv:
        message = f"{record.env_path} does not say APP_ENV, so this is production"
        return [Problem("env-unset", message, say_development(record.env_path))]
    return []
