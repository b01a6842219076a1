"""git that only reads: it fetches and writes nothing, and runs no program a repository names."""

import os
import subprocess
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from .problems import printable

Stream = IO[bytes]
Process = subprocess.Popen[bytes]

PIECE = 64 * 1024  # bytes that are read at once: git's output may be larger than the memory

# The variables that git sets for its hooks lead to the repository and the index of a commit
# (`git commit -a` has an index of its own). Only what serves a hook follows them.
HOOK = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_WORK_TREE",
}

READ_ONLY = {
    "GIT_ALLOW_PROTOCOL": "",  # whatever protocol.*.allow says, a partial clone fetches nothing
    "GIT_NO_LAZY_FETCH": "1",  # the same, for git 2.39.4 and newer
    "GIT_GRAFT_FILE": os.devnull,  # grafts and replacements hide what is stored
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",  # reasons are in English, so that one can be recognized
}
OPTIONS = ("-c", "core.fsmonitor=false")  # a program that `git ls-files` asks what has changed


class GitError(Exception):
    """git failed, or is not installed. The text is git's own reason, one printable line."""


class Repository:
    """The repository that a folder is in, for the commands rev-list, cat-file, ls-files and such.

    These low-level commands check no signature, convert no content and do not recurse into
    submodules, whatever is configured; READ_ONLY and OPTIONS switch off the rest. Before you call
    another command, add what it could run to the attack in tests/test_history.py.
    """

    def __init__(self, folder: Path | None, follow: Collection[str] = ()) -> None:
        """Run git in `folder`, or in the working folder if that is None.

        Of the variables GIT_*, git gets those that hold the user's configuration and the names in
        `follow`. Others could lead to another repository, or start programs.
        """
        self.folder = folder
        self.environ = {}
        for name, value in os.environ.items():
            if not name.startswith("GIT_") or name.startswith("GIT_CONFIG_") or name in follow:
                self.environ[name] = value
        self.environ.update(READ_ONLY)

    @contextmanager
    def run(self, *arguments: str, stdin: Stream | None = None) -> Iterator[Stream]:
        """Give the output of `git ARGUMENTS` as a stream.

        Raises `GitError` if git cannot be started, or, after the block, if it has failed.
        """
        try:
            # Errors go to a file: a pipe could fill up while nobody reads it.
            with TemporaryFile() as errors:
                with self.start(arguments, stdin, errors) as process:
                    assert process.stdout is not None  # noqa: S101
                    yield process.stdout
                if process.returncode:
                    errors.seek(0)
                    reason = reason_in(errors.read(PIECE))
                    raise GitError(reason or f"git ended with status {process.returncode}")
        except OSError as error:
            raise GitError(printable(str(error))) from error

    def start(self, arguments: Iterable[str], stdin: Stream | None, errors: Stream) -> Process:
        """Start git, with its output in a pipe and its messages in the file `errors`."""
        return subprocess.Popen(  # noqa: S603
            ["git", *OPTIONS, *arguments],  # noqa: S607
            cwd=self.folder,
            env=self.environ,
            bufsize=PIECE,
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )

    def records(self, *arguments: str, stdin: Stream | None = None) -> Iterator[bytes]:
        """Yield the records of an output in which each ends with a zero byte (-z)."""
        with self.run(*arguments, stdin=stdin) as output:
            before = b""
            while piece := output.read(PIECE):
                *records, before = (before + piece).split(b"\0")
                yield from records

    def line(self, *arguments: str) -> str:
        """The only line that `git ARGUMENTS` prints."""
        with self.run(*arguments) as output:
            return os.fsdecode(output.read().removesuffix(b"\n"))

    def promisor(self) -> str | None:
        """The remote that a partial clone leaves objects at, `None` if the clone is complete."""
        for record in self.records("config", "--list", "-z"):
            name = os.fsdecode(record.partition(b"\n")[0])
            if name.startswith("remote.") and name.endswith((".promisor", ".partialclonefilter")):
                return name.removeprefix("remote.").rpartition(".")[0]
        return None


def find_repository(root: Path) -> Path | None:
    """The nearest folder, from `root` upwards, with a `.git`, whether or not git can read it."""
    for folder in (root, *root.parents):
        if os.path.exists(folder / ".git"):
            return folder
    return None


def reason_in(errors: bytes) -> str:
    """The line in which git says why it failed: warnings may come first, hints follow."""
    lines = errors.decode(errors="replace").splitlines()
    reasons = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return printable("".join((reasons or lines)[:1]))
