"""The versions that the library has been tried with: also where it is a copied folder."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from .problems import Problem, StartupError

# The lowest version of each, and why. The wheel's pyproject.toml has the same bounds; tests/others
# runs tests with them.
LOWEST = {
    "flask": ((3, 1, 3), "an older one signs with the wrong key, or misses forged hosts"),
    "werkzeug": ((3, 1, 8), "an older one raises errors for some hosts with an IPv6 address"),
    "python-dotenv": ((1, 0), "an older one was not tried"),
}


def problems() -> Iterator[Problem]:
    """A problem for each dependency that is too old. One that has no metadata is not judged."""
    for name, (lowest, reason) in LOWEST.items():
        try:
            text = version(name)
        except PackageNotFoundError:
            continue
        if numbers(text) < lowest:
            bound = ".".join(str(number) for number in lowest)
            message = f"{name} {text} is installed; {reason}"
            yield Problem("dependency-old", message, f'pip install "{name}>={bound}"')


def numbers(text: str) -> tuple[int, ...]:
    """The release of a version: (3, 1, 3) of "3.1.3rc1"."""
    release = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(number) for number in release[0].split(".")) if release else ()


def reject_old() -> None:
    """Raise StartupError with one problem, before anything else can fail."""
    for problem in problems():
        raise StartupError(problem)
