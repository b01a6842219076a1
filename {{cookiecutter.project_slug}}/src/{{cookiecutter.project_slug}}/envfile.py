"""The project's `.env`: read as it stands, and written without losing a line."""

import contextlib
import os
import re
import tempfile
from pathlib import Path

from flask.helpers import get_load_dotenv


def read(path: Path) -> dict[str, str]:
    """The variables in the file at `path`, their values verbatim; none where there is no file.

    Raises OSError, or UnicodeDecodeError when the file is not UTF-8.
    """
    if not path.exists():
        return {}
    from dotenv import dotenv_values  # not needed, so not loaded, in production

    values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    return {name: value for name, value in values.items() if value is not None}


def read_as_flask() -> dict[str, str]:
    """What the `flask` command reads by itself: the nearest `.env`, with ${NAME} expanded."""
    from dotenv import dotenv_values, find_dotenv

    path = find_dotenv(".env", usecwd=True) if get_load_dotenv() else ""
    values = dotenv_values(path, encoding="utf-8") if path else {}
    return {name: value for name, value in values.items() if value is not None}


def create(path: Path, text: str) -> None:
    """Write `text` to a new file that only its owner can read, from its first instant.

    Raises FileExistsError, and leaves that file as it is.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except BaseException:
        path.unlink()
        raise


def replace(path: Path, text: str) -> None:
    """Put `text` in the place of the file at `path`, in one step, readable by its owner alone."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".env.")  # mode 0600, git-ignored
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise


def with_value(text: str, name: str, value: str) -> str:
    """`text` with `name`=`value` in the place of the line that sets `name`, or at its end."""
    line = f"{name}={value}"
    pattern = rf"(?m)^[ \t]*(?:export[ \t]+)?{re.escape(name)}[ \t]*=[^\r\n]*"
    replaced, count = re.subn(pattern, line, text, count=1)
    if count:
        return replaced
    separator = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{separator}{line}\n"
