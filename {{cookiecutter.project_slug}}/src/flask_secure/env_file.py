"""The project's `.env`, for one developer's machine. python-dotenv reads and writes it."""

import os
from codecs import BOM_UTF8
from collections.abc import Mapping
from pathlib import Path

from .files import replacing, unusable
from .problems import Problem, StartupError, command, quoted

DEFAULT_TEXT = "APP_ENV=development\n"  # of a new .env, in a project without .env.example


def read_dotenv(path: Path, *, interpolate: bool = False) -> dict[str, str]:
    """The variables in the file at `path`, their values verbatim; none without the file.

    With `interpolate`, ${NAME} is replaced, as the `flask` command does. Raises StartupError for a
    file that can't be read or is not UTF-8.
    """
    if not path.is_file():
        return {}
    from dotenv import dotenv_values  # production, which has no .env, does not pay for the import

    try:
        # utf-8-sig: a byte order mark is not a part of the first name.
        values = dotenv_values(path, interpolate=interpolate, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise unusable("env-file", path, error) from None
    return {name: value for name, value in values.items() if value is not None}


def read_dotenv_if_possible(path: Path) -> dict[str, str]:
    """The same, for an environment that only compares with it: what can't be read holds nothing."""
    try:
        return read_dotenv(path)
    except (StartupError, OSError):
        return {}


def change_dotenv(root: Path, values: Mapping[str, str | None]) -> None:
    """Set `values` in `root`/.env, or remove those that are None. Raises StartupError.

    A new file begins as .env.example. Nothing changes if a value would not be read as it was set.
    """
    from dotenv import set_key, unset_key

    path = root / ".env"
    with replacing(path, like=path) as draft:
        if not path.exists():
            draft.write_text(initial_text(root), "utf-8")
        encoding = "utf-8-sig" if draft.read_bytes().startswith(BOM_UTF8) else "utf-8"
        for name, value in values.items():
            if value is not None:
                set_key(draft, name, value, quote_mode="never", encoding=encoding)
            elif name in read_dotenv(draft):
                unset_key(draft, name, encoding=encoding)
        reject_changed_values(draft, values)


def say_development(path: Path) -> str:
    """The command that adds APP_ENV=development to the .env at `path`, whatever its last line."""
    return rf"printf '\nAPP_ENV=development\n' >> {quoted(path)}"


def initial_text(root: Path) -> str:
    example = root / ".env.example"
    if example.is_file():
        return example.read_text("utf-8")
    return DEFAULT_TEXT


def reject_changed_values(draft: Path, values: Mapping[str, str | None]) -> None:
    """Raise StartupError if a reader of `draft` would not find `values` in it."""
    found = read_dotenv(draft)
    for name, value in values.items():
        if found.get(name) != value:
            message = f"{name} has characters that a line of .env can't hold"
            raise StartupError(Problem("key-characters", message, command("key revoke")))


def foreign_dotenv(root: Path, application: str) -> Problem | None:
    """What to do about a `.env` of another folder, which the `flask` command reads from here.

    python-dotenv looks in the working folder and in those above it, and takes the first that it
    finds. `application` is the import name that FLASK_APP needs once no file is read.
    """
    if is_skipped():
        return None
    nearest = root
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / ".env").is_file():
            nearest = folder
            break
    if nearest == root:
        return None
    path = nearest / ".env"
    values = read_dotenv_if_possible(path)
    runs = " and whose FLASK_APP it runs" if "FLASK_APP" in values else ""
    message = f"The flask command reads {path}, which is not this project's{runs}"
    said_here = os.environ.get("APP_ENV") not in (None, values.get("APP_ENV"))
    if said_here or not (root / ".env.example").is_file():
        return Problem("env-foreign", message, skip_command(application))
    return Problem("env-foreign", message, command("key init"))


def skip_command(application: str) -> str:
    """The command after which `flask` reads no .env, and still finds the application."""
    return f"export FLASK_SKIP_DOTENV=1 FLASK_APP={quoted(application)}"


def is_skipped() -> bool:
    """Whether the `flask` command leaves .env out, by the rule of flask.helpers.get_load_dotenv."""
    return os.environ.get("FLASK_SKIP_DOTENV", "").lower() in ("1", "true", "yes")
