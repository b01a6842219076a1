"""The environments as data. What is neither development nor testing is as strict as production.

An owner adds one by adding a file: with `config/staging.py` there is APP_ENV=staging.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from flask import Config

from .problems import Problem, StartupError

NAME = re.compile("[a-z][a-z0-9_]*")
NOT_AN_ENVIRONMENT = "default"  # config/default.py is the layer that all environments share


@dataclass(frozen=True)
class Environment:
    """Where the service runs, and what that allows."""

    name: str
    is_local: bool = False  # a developer's machine: plain http, the key in .env, the toolbar
    is_test: bool = False  # a key for this process, and every host

    @property
    def is_strict(self) -> bool:
        """Whether others can reach the service, so that it needs all of production's defenses."""
        return not self.is_local and not self.is_test


DEVELOPMENT = Environment("development", is_local=True)
TESTING = Environment("testing", is_test=True)
PRODUCTION = Environment("production")
BUILT_IN = {each.name: each for each in (DEVELOPMENT, TESTING, PRODUCTION)}


def available(config_folder: Path) -> dict[str, Environment]:
    """The environments by name: the built-in ones, and the owner's files in `config_folder`."""
    found = dict(BUILT_IN)
    for path in sorted(config_folder.glob("*.py")):
        if NAME.fullmatch(path.stem) and path.stem != NOT_AN_ENVIRONMENT:
            found.setdefault(path.stem, Environment(path.stem))
    return found


def find(name: str, config_folder: Path, *, said_by: str, fix: str) -> Environment:
    """The environment called `name`. Raises StartupError, which lists those that exist."""
    found = available(config_folder)
    if name in found:
        return found[name]
    message = f"{said_by} says {name!r}; it is one of {', '.join(found)}"
    raise StartupError(Problem("env-unknown", message, fix))


def is_strict(config: Config) -> bool:
    """Whether others can reach the environment of `config`: it is neither development nor testing.

    A service's own checks ask this, so that an environment such as staging is not forgotten.
    """
    return BUILT_IN.get(config["APP_ENV"], PRODUCTION).is_strict
