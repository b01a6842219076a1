"""Problems: what is wrong with a setting or a file, and the command that fixes it."""

import os
import shlex
import shutil
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import click
from flask.cli import NoAppException


class Problem(NamedTuple):
    """One thing that is wrong: an id that never changes, what and where, the command that fixes it, error or not."""

    id: str
    message: str
    fix: str
    level: str = "error"

    def __str__(self) -> str:
        return f"{self.message} [{self.id}]. {self.fix}"


class StartupError(NoAppException, RuntimeError):
    """Why the application does not start, a problem a line. `flask` and gunicorn print it without a traceback."""

    exit_code = 1

    def __init__(self, *problems: Problem) -> None:
        self.problems = [Problem(*map(printable, problem)) for problem in problems]
        super().__init__("\n".join(map(str, self.problems)))

    def show(self, file: Any = None) -> None:
        click.echo("\n".join(f"Error: {problem}" for problem in self.problems), err=True)


def project_root(folder: str | os.PathLike[str]) -> Path:
    """The nearest folder, from `folder` upwards, with a pyproject.toml; without one, the working folder."""
    folder = Path(folder).resolve()
    return next((each for each in (folder, *folder.parents) if (each / "pyproject.toml").is_file()), Path.cwd())


def command(arguments: str) -> str:
    """The command line that runs `flask ARGUMENTS`, in the form that exists here."""
    installed = any(each.value.startswith("flask_secure.") for each in entry_points(group="flask.commands"))
    uses_uv = shutil.which("uv") and (project_root(Path.cwd()) / "pyproject.toml").is_file()
    return f"{'uv run ' if uses_uv else ''}{'flask' if installed else 'python -m flask_secure'} {arguments}"


def printable(text: str) -> str:
    """`text` with `?` in the place of control characters: no path or variable steers the terminal."""
    return "".join(each if each.isprintable() else "?" for each in text)


def quoted(text: object) -> str:
    """`text`, whoever wrote it, as one word of a command line."""
    return shlex.quote(printable(str(text)))
