"""Secrets in git: in files that it tracks or would add, in its history, and in what is staged.

The contents of git's objects are searched as they are stored. Patches are not read, since a line
of a file can look like any line of a patch. Submodules are repositories of their own and are not
searched.
"""

import os
import re
import shutil
import stat
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from .git import HOOK, PIECE, GitError, Repository, find_repository
from .problems import Problem, command, quoted

HISTORY = ("--all", "--reflog")  # the reflog has the older stashes and the amended commits
BLANKS = b"\0 \t\r\n"
SHORTEST = 8  # bytes without blanks: what is shorter stands in files by chance
KINDS = {
    "blob": "a file",
    "commit": "the message of a commit",
    "tag": "the annotation of a tag",
}


def problems(root: Path, secrets: Collection[bytes]) -> Iterator[Problem]:
    """Yield what is wrong with the git repository that the folder `root` is in.

    - ``git-not-ignored``: a file that git tracks, or would add, holds one of the `secrets`.
    - ``git-history``: a file of a commit, stash or note held one, or a message or a tag does.
    - ``git-partial``, a warning: the clone is shallow or partial. The rest was not searched.
    - ``git-unreadable``: git failed, so what comes after that was not searched.

    The whole repository is searched, not only what is below `root`; each fix is for a shell in
    `root`. Without git or a repository there is no problem. A secret is found as it is, in base64,
    in UTF-16, wrapped into lines and, if it is not ASCII, in hexadecimal. The caller leaves out
    secrets that are shorter than 16 bytes, since files may hold them by chance.

    A secret in a repository is a leaked secret: it is rotated, not only deleted (OWASP Secrets
    Management Cheat Sheet, "Incident Response").
    """
    root = root.resolve()
    search = Search(secrets)
    folder = find_repository(root)
    if not search.forms or folder is None or shutil.which("git") is None:
        return
    try:
        yield from search_repository(root, search)
    except GitError as error:
        message = f"git failed, so files and history were not searched to the end: {error}"
        yield Problem("git-unreadable", message, fix_of_failure(str(error), folder))


def staged(root: Path, secrets: Collection[bytes]) -> list[str]:
    """Return the files in git's index that hold one of the `secrets`, for the commit hook.

    The paths are sorted, relative to the repository's top folder, and not fit to print: a name can
    hold anything. The whole index is searched, not only its difference to HEAD: an amended commit
    is made anew from all of it, and a secret that once slipped past the hook stops the next commit.
    The working tree is not looked at.

    In a hook, git's variables say which repository and index it is; otherwise `root` does.

    Raises `GitError` if git fails: what was not searched must not pass.
    """
    search = Search(secrets)
    if not search.forms:
        return []
    git = Repository(root)
    if "GIT_INDEX_FILE" in os.environ:
        git = Repository(None, follow=HOOK)  # its paths are relative to the working folder
    objects = search_objects(git, search, "--indexed-objects", "--single-worktree")
    if objects.missing:
        # A partial clone has not fetched it, so it is not the work of the one who commits.
        find_promisor(git, objects.missing)
    return sorted({name for _, name in indexed_files(git, objects.found)})


class Search:
    """The forms in which text may hold a secret, compared without blanks.

    UTF-16 is the same text with zero bytes in it, and base64 is often wrapped into lines, so zero
    bytes, spaces and line breaks are taken out of both sides.
    """

    def __init__(self, secrets: Collection[bytes]) -> None:
        forms: set[bytes] = set()
        for secret in secrets:
            forms.update(form.translate(None, BLANKS) for form in forms_of(secret))
        self.forms = [form for form in forms if len(form) >= SHORTEST]
        self.overlap = max(map(len, self.forms), default=0)

    def finds(self, pieces: Iterable[bytes]) -> bool:
        """Whether a text holds a secret. Its `pieces` are read to the end in any case."""
        found = False
        before = b""
        for piece in pieces:
            text = before + piece.translate(None, BLANKS)
            found = found or any(form in text for form in self.forms)
            before = text[-self.overlap :]
        return found


def forms_of(secret: bytes) -> Iterator[bytes]:
    """Yield `secret`, and what it becomes in base64, hexadecimal digits and UTF-16."""
    yield secret
    for before in range(3):  # three bytes become four characters: a secret can begin at any of them
        padded = bytes(before) + secret
        first = (8 * before + 5) // 6  # a character has 6 bits; these are of the secret alone
        end = 8 * len(padded) // 6
        yield b64encode(padded)[first:end]
        yield urlsafe_b64encode(padded)[first:end]
    if not secret.isascii():
        yield secret.hex().encode()
        yield secret.hex().upper().encode()
    with suppress(UnicodeDecodeError):  # raw bytes are no text
        yield secret.decode().encode("utf-16-le")
        yield secret.decode().encode("utf-16-be")


class Objects(NamedTuple):
    """What was searched: ids with a secret and their types, and the id of one that is not here."""

    found: dict[str, str]
    missing: str | None


def search_repository(root: Path, search: Search) -> Iterator[Problem]:
    """Yield the problems of the repository that `root` is in. Raises `GitError`."""
    top = Path(Repository(root).line("rev-parse", "--show-toplevel"))
    git = Repository(top)
    objects = search_objects(git, search, *HISTORY, "--indexed-objects")
    indexed = indexed_files(git, objects.found)
    names = files_with(git, top, search)
    names.update(name for _, name in indexed)
    for name in sorted(names):
        yield describe_file(root, top, name)
    yield from in_history(git, objects.found, {id for id, _ in indexed})
    yield from not_searched(git, objects.missing)


def search_objects(git: Repository, search: Search, *start: str) -> Objects:
    """Search every object that `start`, options of `git rev-list`, leads to. Raises `GitError`.

    `git rev-list` lists their ids and `git cat-file` prints them: a line with id, type and size,
    the content, and a line break. An id that is not here comes as "?ID missing".
    """
    listing = ("rev-list", "--objects", "--no-object-names", "--missing=print", *start)
    found: dict[str, str] = {}
    missing = None
    with (
        git.run(*listing) as ids,
        git.run("cat-file", "--batch", "--buffer", stdin=ids) as output,
    ):
        while (header := output.readline()).endswith(b"\n"):
            id, kind, *size = header.decode().split()
            if kind == "missing":
                missing = id.removeprefix("?")
            elif search.finds(read_pieces(output, int(size[0]) + 1)) and kind in KINDS:
                found[id] = kind
    return Objects(found, missing)


def read_pieces(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the next `size` bytes of `file`, or those that are left."""
    while size and (piece := file.read(min(PIECE, size))):
        size -= len(piece)
        yield piece


def indexed_files(git: Repository, found: Collection[str]) -> list[tuple[str, str]]:
    """The files whose staged content is one of the objects `found`, as pairs of id and name."""
    entries = []
    for record in git.records("ls-files", "--stage", "-z", "--full-name", "--", ":/"):
        entry, _, name = record.partition(b"\t")
        id = entry.split()[1].decode()
        if id in found:
            entries.append((id, os.fsdecode(name)))
    return entries


def files_with(git: Repository, top: Path, search: Search) -> set[str]:
    """The files of the working tree that git tracks, or would add, and that hold a secret."""
    listing = git.records("ls-files", "--cached", "--others", "--exclude-standard", "-z")
    names = {os.fsdecode(name) for name in listing}
    return {name for name in names if search.finds(read_file(top / name))}


def read_file(path: Path) -> Iterator[bytes]:
    """Yield the content of a regular file. What cannot be read, git cannot add either."""
    with suppress(OSError):
        if not stat.S_ISREG(path.lstat().st_mode):
            return
        with path.open("rb", buffering=0) as file:
            while piece := file.read(PIECE):
                yield piece


def describe_file(root: Path, top: Path, name: str) -> Problem:
    """The problem of the file `name` below `top`, with a fix for a shell in the folder `root`."""
    path = relative(top / name, root)
    folder = top if path.startswith("../") else root
    # Both commands take patterns, so the `?` that `quoted` puts for a control character matches it.
    tracked = quoted(escape_pattern(path))
    ignored = quoted("/" + escape_pattern(relative(top / name, folder)))
    ignore_file = quoted(relative(folder / ".gitignore", root))
    # --force: without it, git keeps a file that was edited after it was staged.
    untrack = f"git rm --cached --force --ignore-unmatch -- {tracked}"
    # The first line break is for a .gitignore whose last line has none.
    ignore = f"printf '\\n%s\\n' {ignored} >> {ignore_file}"
    message = f"{quoted(path)} holds a key or another secret, and git does not ignore it"
    return Problem("git-not-ignored", message, f"{untrack}; {ignore}")


def relative(path: Path, folder: Path) -> str:
    """`path` as seen from `folder`, with slashes, as git wants it on Windows too."""
    return Path(os.path.relpath(path, folder)).as_posix()


def escape_pattern(name: str) -> str:
    """`name` as a pattern that matches nothing else: no wildcard, no magic `:`, no lost space."""
    return re.sub(r"^:|[\\*?\[]| $", r"\\\g<0>", name)


def in_history(git: Repository, found: dict[str, str], indexed: set[str]) -> Iterator[Problem]:
    """Yield a problem for each file that held one of the objects `found`, and for each other one.

    Those that are only `indexed` are no history.
    """
    if not found:
        return
    first: dict[str, str] = {}
    others = {id: kind for id, kind in found.items() if id not in indexed}
    with suppress(GitError):  # a partial clone may not have the folders that hold the names
        for id, name, commit in changes(git):
            if id in found:
                first[name] = commit  # the newest comes first, so the oldest stays
                others.pop(id, None)
    for name, commit in first.items():
        message = f"{quoted(name)} has held a secret in git's history (git show {commit[:12]})"
        yield Problem("git-history", message, command("key revoke"))
    for id, kind in others.items():
        message = f"git's history has a secret in {KINDS[kind]} (git cat-file -p {id[:12]})"
        yield Problem("git-history", message, command("key revoke"))


def changes(git: Repository) -> Iterator[tuple[str, str, str]]:
    """Yield the id, the file and the commit of each content that a commit brought, newest first.

    `git diff-tree` prints the id of a commit, then `:modes ids status` and the name of each file.
    """
    options = ("--stdin", "--root", "-r", "-m", "--raw", "--no-renames", "-z")
    commit = ""
    with git.run("rev-list", "--topo-order", *HISTORY) as commits:
        records = git.records("diff-tree", *options, stdin=commits)
        for record in records:
            if record.startswith(b":"):
                name = os.fsdecode(next(records))
                yield record.split()[3].decode(), name, commit
            else:
                commit = record.decode()


def not_searched(git: Repository, missing: str | None) -> Iterator[Problem]:
    """Yield a warning if the clone is shallow, and one if it is partial and lacks an object.

    Raises `GitError` if the object `missing` is lost.
    """
    if git.line("rev-parse", "--is-shallow-repository") == "true":
        message = "This clone is shallow: the older history is not here and was not searched"
        yield Problem("git-partial", message, "git fetch --unshallow", "warning")
    if missing:
        remote = find_promisor(git, missing)
        message = "This clone is partial: what it has not fetched yet was not searched"
        fix = f"git fetch --refetch --no-filter -- {quoted(remote)}"
        yield Problem("git-partial", message, fix, "warning")


def find_promisor(git: Repository, missing: str) -> str:
    """The remote that a partial clone gets `missing` from. Raises `GitError` if there is none."""
    remote = git.promisor()
    if remote is None:
        raise GitError(f"object {missing} is missing")
    return remote


def fix_of_failure(reason: str, folder: Path) -> str:
    """The command that removes the `reason` why git failed in `folder`, or else says more of it."""
    if "dubious ownership" in reason:
        return f"git config --global --add safe.directory {quoted(folder)}"
    return f"git -C {quoted(folder)} fsck"
