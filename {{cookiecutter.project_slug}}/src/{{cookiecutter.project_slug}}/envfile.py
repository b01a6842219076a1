"""The project's `.env`: read as its writer meant it, changed without losing a line."""

import contextlib
import io
import logging
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flask.helpers import get_load_dotenv

if TYPE_CHECKING:
    from dotenv.parser import Binding


class EnvFileError(ValueError):
    """What is wrong with an .env file, and in which line; never what stands there."""


def read(path: Path) -> dict[str, str]:
    """The variables in the file at `path`, their values verbatim; none where there is no file.

    Raises OSError, or EnvFileError for a file that does not say clearly what it means.
    """
    return parse(path.read_bytes()) if os.path.lexists(path) else {}


def parse(data: bytes) -> dict[str, str]:
    """The variables in the bytes of an .env file. Raises EnvFileError."""
    values: dict[str, str] = {}
    for binding, line in _parsed(_text(data)):
        name, value = binding.key, binding.value
        if name is None or value is None:
            continue
        if name.startswith("SECRET_KEY") and values.get(name, value) != value:
            raise EnvFileError(f"line {line} sets {name} a second time, to another value")
        values[name] = value
    return values


def names(data: bytes) -> list[str]:
    """The name that each assignment in the bytes of an .env file is to. Raises EnvFileError."""
    return [binding.key for binding, _line in _parsed(_text(data)) if binding.key is not None]


def read_as_flask() -> dict[str, str]:
    """What the `flask` command reads by itself: the nearest `.env`, with ${NAME} expanded."""
    from dotenv import dotenv_values, find_dotenv

    path = find_dotenv(".env", usecwd=True) if get_load_dotenv() else ""
    logging.getLogger("dotenv.main").disabled = True  # `flask` has warned already of what can't be read
    values = dotenv_values(path, encoding="utf-8") if path else {}
    return {name: value for name, value in values.items() if value is not None}


def changed(data: bytes, values: Mapping[str, str | None]) -> bytes:
    """The bytes of an .env file with each of `values` set, or removed where it is None.

    Every other line stays as it is, and so do line ends and a comment behind a value.
    Raises EnvFileError.
    """
    text = _text(data)
    left = dict(values)
    parts = []
    for binding, _line in _parsed(text):
        part = binding.original.string
        if binding.key is not None and binding.key in values:
            value = left.pop(binding.key, None)  # a second line for the same name goes
            if value != binding.value:
                part = _with_value(part, binding.key, value)
        parts.append(part)
    end = "\r\n" if "\r\n" in text else "\n"
    result = "".join(parts)
    for name, value in left.items():
        if value is not None:
            result += f"{'' if not result or result.endswith(end) else end}{name}={_written(value)}{end}"
    said = parse(result.encode())
    if any(said.get(name) != value for name, value in values.items()):
        raise EnvFileError("a value has characters that it can't hold")
    return data[: len(data) - len(data.removeprefix(b"\xef\xbb\xbf"))] + result.encode()


def _with_value(part: str, name: str, value: str | None) -> str:
    """`part`, which sets `name` and may begin with blank lines, setting it to `value`."""
    before = rf"(\s*)((?:export[^\S\r\n]+)?'?{re.escape(name)}'?)[^\S\r\n]*=[^\S\r\n]*"
    quoted = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
    line = rf"(?s){before}(?:{quoted}|[^\r\n]*?)([^\S\r\n]+\#[^\r\n]*)?[^\S\r\n]*(\r\n|\n|\r|)"
    match = re.fullmatch(line, part)
    if match is None or value is None:
        return re.match(r"\s*", part)[0] if value is None else part  # type: ignore[index]  # it matches any text
    blank, before, comment, end = match.groups(default="")
    return f"{blank}{before}={_written(value)}{comment}{end}"


def _written(value: str) -> str:
    """A value as a line holds it: without quotes, which other readers would take for a part of it, where it can."""
    if re.fullmatch(r"[^\s'\"#]*", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def create(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read, from its first instant.

    Raises FileExistsError, and leaves that file as it is.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        path.unlink()
        raise


def replace(path: Path, data: bytes, mode: int | None = None) -> None:
    """Put `data` in the place of the file at `path` in one step; it keeps its mode unless one is given.

    Whatever happens, the file is whole: the old one or the new one.
    """
    path = path.resolve()  # of a link, the file it leads to
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".env.")  # private, and ignored by git
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        old = path.stat()
        if hasattr(os, "chown") and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(draft, old.st_uid, old.st_gid)  # under sudo, the service's own user
        os.chmod(draft, stat.S_IMODE(old.st_mode) if mode is None else mode)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone with the file at `path`, among the processes that ask for it. Raises EnvFileError after ten seconds."""
    lock = path.with_name(f"{path.name}.lock")  # ignored by git, as all that begins with .env
    for _ in range(200):
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
            break
        except FileExistsError:
            time.sleep(0.05)
    else:
        raise EnvFileError(f"another command is changing it; if none is: rm {lock}")
    try:
        yield
    finally:
        os.unlink(lock)


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EnvFileError(f"line {line} is not UTF-8 text; save the file as UTF-8") from None
    if "\0" in text:
        raise EnvFileError("it is UTF-16 or binary; save the file as UTF-8")
    return text


def _parsed(text: str) -> Iterator[tuple["Binding", int]]:
    """The parts of an .env file as python-dotenv reads them, and the line each begins in. Raises EnvFileError."""
    from dotenv.parser import parse_stream  # not needed, so not loaded, in production

    for binding in parse_stream(io.StringIO(text, newline="")):
        part = binding.original.string
        blank = part[: len(part) - len(part.lstrip())]
        line = binding.original.line + len(re.findall(r"\r\n|\n|\r", blank))
        if binding.error:
            quote = re.search(r"=\s*(['\"])", part)
            raise EnvFileError(f"line {line} {f'has a {quote[1]} that is not closed' if quote else 'is no assignment'}")
        if binding.key is not None and binding.value is None:
            raise EnvFileError(f"line {line} has no =")
        yield binding, line
