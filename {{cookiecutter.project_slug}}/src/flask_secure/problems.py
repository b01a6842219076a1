"""Problems: what is wrong with a setting or a file, and what fixes it."""

import os
import shlex
import shutil
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import click
from flask.cli import FlaskGroup, NoAppException


class Problem(NamedTuple):
    """One thing that is wrong.

    `id` never changes. `message` says what is wrong, where and why. `fix` is the command, the
    setting or the sentence that fixes it. `level` is "error" or "warning".
    """

    id: str
    message: str
    fix: str
    level: str = "error"

    def __str__(self) -> str:
        return f"{self.message} [{self.id}]. {self.fix}"

    @property
    def is_error(self) -> bool:
        return self.level == "error"

    def printable(self) -> "Problem":
        """The same problem without control characters, whatever path or value it names."""
        return Problem(*(printable(part) for part in self))


class StartupError(NoAppException, RuntimeError):
    """Why the application does not start, one problem a line.

    `flask` and gunicorn print it without a traceback: both know NoAppException's kind.
    """

    exit_code = 1

    def __init__(self, *problems: Problem) -> None:
        self.problems = [problem.printable() for problem in problems]
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def format_message(self) -> str:
        """The problems, as click asks.

        Flask prints them where it looks for a command of the application, such as `db`, and then
        says that there is no such command. They are raised again instead, so that it says one
        thing. Where it lists the commands, for `flask --help`, it goes on.
        """
        context = click.get_current_context(silent=True)
        is_listing = len(sys.argv) < 2 or "--help" in sys.argv
        if context is not None and isinstance(context.command, FlaskGroup) and not is_listing:
            raise Refused(self)
        return str(self)

    def show(self, file: Any = None) -> None:
        """Print the problems on standard error, as click asks of its exceptions."""
        for problem in self.problems:
            click.echo(f"Error: {problem}", err=True)


class Refused(click.ClickException):
    """The same for a command that only the application has: Flask does not go on after it."""

    def __init__(self, error: StartupError) -> None:
        super().__init__(str(error))
        self.error = error

    def show(self, file: Any = None) -> None:
        self.error.show(file)


def project_root(folder: str | os.PathLike[str]) -> Path:
    """The nearest folder with a pyproject.toml, from `folder` upwards; else the working folder."""
    folder = Path(folder).resolve()
    for each in (folder, *folder.parents):
        if (each / "pyproject.toml").is_file():
            return each
    return Path.cwd()


def command(arguments: str) -> str:
    """The command line that runs `flask ARGUMENTS` here: by uv or not, as a plug-in or a module."""
    program = "python -m flask_secure"
    for each in entry_points(group="flask.commands"):
        if each.value == "flask_secure.cli:main":  # of the wheel, which takes one name
            program = f"flask {each.name}"
        elif each.value.startswith("flask_secure."):
            program = "flask"
            break
    is_project = (project_root(Path.cwd()) / "pyproject.toml").is_file()
    if is_project and shutil.which("uv"):
        program = f"uv run {program}"
    return f"{program} {arguments}"


def printable(text: str) -> str:
    """`text` with `?` for each control character, so that no path or variable steers a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def quoted(text: object) -> str:
    """`text` as one word of a shell's command line, whatever it holds."""
    return shlex.quote(printable(str(text)))
