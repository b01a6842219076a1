"""Secret files, which a platform mounts: systemd, Docker and Kubernetes do."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from .files import replacing, unusable
from .problems import Problem, StartupError

KEY_VARIABLES = ("SECRET_KEY", "SECRET_KEY_NEXT", "SECRET_KEY_FALLBACKS")
MAXIMUM_SIZE = 4096  # bytes of a secret file

# A file beside the one of SECRET_KEY has its name with one of these at the end. The order is that
# of reading: writing goes the other way, so that a reader between two writes has every key.
ENDINGS = {"SECRET_KEY_NEXT": "_next", "SECRET_KEY": "", "SECRET_KEY_FALLBACKS": "_fallbacks"}


def key_files(variables: Mapping[str, str]) -> dict[str, Path]:
    """The file of each key, in the order in which they are read; none without secret files.

    The first is what SECRET_KEY_FILE names, or `secret_key` where systemd ($CREDENTIALS_DIRECTORY)
    or Docker (/run/secrets) mounts it; `variables` are the environment's. Raises StartupError.
    """
    first = first_key_file(variables)
    if not first:
        return {}
    files = {}
    for name, ending in ENDINGS.items():
        files[name] = Path(variables.get(f"{name}_FILE", f"{first}{ending}"))
    return files


def first_key_file(variables: Mapping[str, str]) -> str:
    """The path of the file with SECRET_KEY; "" if there is none. Raises StartupError."""
    named = [f"{name}_FILE" for name in KEY_VARIABLES if f"{name}_FILE" in variables]
    if named:
        first = variables.get("SECRET_KEY_FILE", "")
        if not first:
            message = f"{named[0]} is set, and SECRET_KEY_FILE names no file"
            raise StartupError(Problem("file-name", message, f"unset {' '.join(named)}"))
        return first
    for folder in (variables.get("CREDENTIALS_DIRECTORY"), "/run/secrets"):
        if folder and os.path.exists(f"{folder}/secret_key"):
            return f"{folder}/secret_key"
    return ""


def read_secret(path: Path, name: str) -> str:
    """The text of the secret file of `name`, verbatim but for one newline at its end.

    Raises StartupError for what is no regular file of at most 4 kB of UTF-8: a fifo would block.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAXIMUM_SIZE:
            raise OSError(0, f"it is not a regular file of at most {MAXIMUM_SIZE} bytes")
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise unusable("file-unreadable", path, error, f"{name}: ") from None
    return text.removesuffix("\n").removesuffix("\r")


def write_key_files(files: Mapping[str, Path], values: Mapping[str, str | None]) -> None:
    """Put the keys in `values` into their `files`, each in one step, in that order.

    A file whose text stays keeps its time, which says since when its key signs.
    Raises StartupError.
    """
    for name, value in values.items():
        path = files[name]
        before = read_secret(path, name) if path.exists() else ""
        if (value or "") == before:
            continue
        model = path if path.exists() else files["SECRET_KEY"]
        with replacing(path, like=model) as draft:
            draft.write_text(f"{value}\n" if value else "")
