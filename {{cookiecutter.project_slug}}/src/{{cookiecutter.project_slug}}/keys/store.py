"""The keys in the secret files that a platform mounts: Kubernetes, Docker, systemd, Vault's agent."""

import os
from collections.abc import Mapping
from pathlib import Path

from .. import settings
from .ring import SINCE, VARIABLES, Found, KeyRing, changed_at

PLACE = "secret files"
VARIABLE = "SECRET_KEY_FILE"


def file_paths(environ: Mapping[str, str]) -> dict[str, Path]:
    """The secret file of each variable that has one.

    SECRET_KEY_FILE and the like name them; else they are secret_key, secret_key_next and
    secret_key_fallbacks in systemd's $CREDENTIALS_DIRECTORY or Docker's /run/secrets, the first that has a secret_key.
    """
    named = {variable: environ[f"{variable}_FILE"] for variable in VARIABLES if f"{variable}_FILE" in environ}
    for variable, path in named.items():
        if not path:
            raise settings.StartupError("file-name", f"{variable}_FILE is set but empty", f"unset {variable}_FILE")
    if named and "SECRET_KEY" not in named:
        raise settings.StartupError(
            "file-name", f"{next(iter(named))}_FILE is set without SECRET_KEY_FILE", "Set it too."
        )
    if named:
        return {variable: Path(path) for variable, path in named.items()}
    for folder in [Path(each) for each in (environ.get("CREDENTIALS_DIRECTORY"), "/run/secrets") if each]:
        if os.path.exists(folder / "secret_key"):  # False too where it may not be looked at
            paths = {variable: folder / variable.lower() for variable in VARIABLES}
            return {variable: path for variable, path in paths.items() if os.path.exists(path)}
    return {}


def find(environ: Mapping[str, str]) -> Found | None:
    """The ring in secret files, the fallbacks one a line; None where there are none. Raises settings.StartupError."""
    paths = file_paths(environ)
    if not paths:
        return None
    values = {variable: read_file(variable, path) for variable, path in paths.items()}
    current, following, fallbacks = (values.get(variable) for variable in VARIABLES)
    previous = () if fallbacks is None else fallbacks.splitlines()
    return Found(PLACE, current, following, previous, environ.get(SINCE, changed_at(paths["SECRET_KEY"])))


def files(environ: Mapping[str, str]) -> list[Path]:
    """The files that this store reads. Raises settings.StartupError."""
    return list(file_paths(environ).values())


def read_file(variable: str, path: Path) -> str:
    """The text of a secret file, without one newline at its end. Raises settings.StartupError."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        why = (error.strerror or "it can't be read").lower()
    except UnicodeDecodeError:
        why = "it is not UTF-8 text"
    else:
        text = text.removesuffix("\n").removesuffix("\r")
        if text:
            return text
        why = "it is empty"
    raise settings.StartupError("file-unreadable", f"{variable} can't be read from {path}: {why}", f"See: ls -l {path}")


def save(before: KeyRing, after: KeyRing) -> bool:
    """Make `after` the ring in use, if that can be done from here. It can't: the platform writes its files."""
    return False
