"""Which environment this is, and what says so.

The argument of `init_app`, then APP_ENV, then `app.testing` as code has set it, then `.env` where
it counts, and production if nothing says anything.
"""

import os
import sys
from pathlib import Path

import click
from flask import Flask
from flask.cli import ScriptInfo

from . import environment
from .env_file import read_dotenv
from .environment import Environment
from .problems import Problem, StartupError

BY_CODE = "app.testing"


def is_flask_command() -> bool:
    """Whether the `flask` command has read files of variables: here, or where this was started.

    Its subprocesses inherit the variable, and what it has read.
    """
    return os.environ.get("FLASK_RUN_FROM_CLI") == "true"


def is_command_running() -> bool:
    """Whether this code runs inside the `flask` command or `python -m flask_secure`.

    It asks click and no variable: a server that a `flask` command starts inherits its variables.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return False
    if context.find_object(ScriptInfo) is not None:
        return True
    module = getattr(context.command.callback, "__module__", "")
    return module.partition(".")[0] == __package__


def wants_debugger() -> bool:
    """Whether this is `flask run --debugger`."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.params.get("debugger"))


def is_under_pytest() -> bool:
    return "pytest" in sys.modules


def choose(
    app: Flask, env: str | None, config_folder: Path, dotenv: Path
) -> tuple[Environment, str]:
    """The environment, and what says so; "" if nothing does. Raises StartupError."""
    said_by, fix = "create_app()", 'create_app("production")'
    if env is None:
        said_by, fix = "APP_ENV", "export APP_ENV=production"
        env = said_by_variable(dotenv)
    if env is None and is_testing_by_code(app):
        return environment.TESTING, BY_CODE
    if env is None and is_command_running():
        said_by, fix = str(dotenv), f"Set it in {dotenv}: APP_ENV=development"
        env = read_environment(dotenv)
    if env is None:
        return environment.PRODUCTION, ""
    chosen = environment.find(env, config_folder, said_by=said_by, fix=fix)
    if chosen.is_strict and is_testing_by_code(app):
        message = f"{said_by} says {env!r}, and the application has set TESTING"
        raise StartupError(Problem("env-testing", message, "export APP_ENV=testing"))
    return chosen, said_by


def said_by_variable(dotenv: Path) -> str | None:
    """What APP_ENV says, but for an APP_ENV that another process has read from .env."""
    env = os.environ.get("APP_ENV")
    is_inherited = is_flask_command() and not is_command_running()
    if env is not None and is_inherited and read_environment(dotenv) == env:
        return None
    return env


def is_testing_by_code(app: Flask) -> bool:
    """Whether code has set TESTING before `init_app`; the variable FLASK_TESTING never counts."""
    return bool(app.testing) and "FLASK_TESTING" not in os.environ


def read_environment(dotenv: Path) -> str | None:
    """What .env says of the environment: nothing, if it belongs to another user.

    Raises StartupError for text that nobody can read: its owner means it to be read.
    """
    if not os.access(dotenv, os.R_OK):
        return None
    return read_dotenv(dotenv).get("APP_ENV")
