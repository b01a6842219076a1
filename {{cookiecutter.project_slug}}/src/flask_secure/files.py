"""Files that are replaced in one step, so that a reader finds the old text or the new one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from .problems import Problem, StartupError, quoted

DRAFTS = ".env.draft-"  # begins the name of each draft's folder: git ignores .env*


def unusable(id: str, path: Path, error: Exception, subject: str = "") -> StartupError:
    """The error for a file that can't be read or written, with the system's reason."""
    reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
    return StartupError(
        Problem(id, f"{subject}{path} can't be used: {reason}", f"ls -l {quoted(path)}")
    )


@contextmanager
def replacing(path: Path, like: Path) -> Iterator[Path]:
    """A private draft with the text of the file at `path`, which it replaces when the block ends.

    `like` is the file whose mode and owner the new file gets, if it exists; otherwise it is 0600.
    A new file is never put over one that has appeared meanwhile. Raises StartupError.
    """
    target = path.resolve()  # a symbolic link stays one
    try:
        with TemporaryDirectory(dir=target.parent, prefix=DRAFTS) as folder:
            draft = Path(folder, "draft")
            draft.touch(0o600)
            exists = target.exists()
            if exists:
                shutil.copyfile(target, draft)
            yield draft
            with draft.open("r+b") as file:
                os.fsync(file.fileno())
            copy_permissions(like, draft)  # last, since a mode such as 0400 ends the writing
            if exists:
                os.replace(draft, target)
            else:
                put_where_nothing_is(draft, target)
    except (OSError, UnicodeDecodeError) as error:
        raise unusable("file-unwritable", path, error) from None


def copy_permissions(source: Path, target: Path) -> None:
    """Give `target` the mode and, where there are such, the owner and group of `source`."""
    if not source.exists():
        return
    shutil.copymode(source, target)
    if os.name == "posix":
        status = source.stat()
        shutil.chown(target, status.st_uid, status.st_gid)


def put_where_nothing_is(draft: Path, target: Path) -> None:
    """Move `draft` to `target`, never over another file. Raises FileExistsError."""
    try:
        os.link(draft, target)
    except FileExistsError:
        raise
    except OSError:  # exFAT and some shared folders have no hard links
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # claims the name
        try:
            os.replace(draft, target)
        except OSError:
            target.unlink()
            raise


def remove_drafts(folder: Path) -> None:
    """Remove what a killed command left in `folder`. Call it with the lock that commands take."""
    for leftover in folder.glob(f"{DRAFTS}*"):
        with suppress(OSError):
            shutil.rmtree(leftover)
    for leftover in folder.glob(".env.????????"):  # how 0.3 called them
        if [each.name for each in leftover.glob("*")] == ["draft"]:
            with suppress(OSError):
                shutil.rmtree(leftover)
