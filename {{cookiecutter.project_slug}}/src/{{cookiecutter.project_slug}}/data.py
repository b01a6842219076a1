"""The data folder: for SQLite and uploads, private to the service, the same for every release."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from flask import Config

from flask_secure import Problem, StartupError, project_root, quoted


def data_folder(config: Config) -> Path:
    """The folder that DATA_FOLDER names; a relative one is in the project."""
    return project_root(config.root_path) / str(config.get("DATA_FOLDER") or "data")


def create_data_folder(config: Config) -> Path:
    """Make the data folder for the service's user alone, unless it is there, and give its path.

    Raises StartupError if this user may not make it.
    """
    folder = data_folder(config)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        message = f"The data folder {folder} can't be made: {error.strerror}"
        fix = "Name one that this user can make: export DATA_FOLDER=/path/of/the/folder"
        raise StartupError(Problem("data-folder", message, fix)) from error
    return folder


def create_private_file(path: Path) -> None:
    """Make an empty file for the service's user alone, unless it is there. Raises OSError.

    It has its mode before it has anything to read.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def check_modes(*paths: Path) -> Iterator[Problem]:
    """A problem for each of `paths` that another user of the machine gets into."""
    if os.name == "nt":
        return  # it has no such modes
    for path in paths:
        with suppress(OSError):
            mode = path.stat().st_mode
            if mode & 0o077:
                private = "700" if path.is_dir() else "600"
                message = f"Other users of this machine can open {path}, which holds data"
                yield Problem("data-mode", message, f"chmod {private} {quoted(path)}")
