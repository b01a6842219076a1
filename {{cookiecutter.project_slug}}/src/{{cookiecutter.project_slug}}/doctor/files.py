"""The files that hold keys: who can read them, whether git or an image could have them."""

import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from flask import Flask

from .. import settings
from ..keys import sources, store
from ..keys.ring import VARIABLES
from .finding import ERROR, WARNING, Finding

LARGEST = 1024 * 1024  # bytes of a file in git's history that is looked into


class Unreadable(Exception):  # noqa: N818  # nothing that anybody else sees
    """git has not given all that it was asked for."""


def check(app: Flask, started: Flask | None, is_here: bool) -> Iterator[Finding]:
    """What is wrong with the files that hold keys; `app` has only its settings, `started` is the whole service."""
    yield from modes(app)
    if settings.ROOT is None:
        return
    if shutil.which("git"):
        yield from in_git(settings.ROOT, keys_of(app, started), holders(app))
    yield from in_an_image(settings.ROOT)
    if is_here:
        yield from of_parents(settings.ROOT)


def holders(app: Flask) -> list[Path]:
    """The project's own files that hold a key."""
    paths = [settings.ROOT / ".env"] if settings.ROOT else []
    for layer in {settings.layer_of(app, variable) for variable in VARIABLES if app.config.get(variable)}:
        if layer.startswith("config/"):
            paths.append(Path(app.root_path, layer))
        elif layer == "instance/config.py":
            paths.append(Path(app.instance_path, "config.py"))
    return paths


def keys_of(app: Flask, started: Flask | None) -> list[bytes]:
    """Every key that there is here: those in use, wherever they come from, and those of development."""
    keys: list[object] = list(sources.development_keys())
    with suppress(settings.StartupError):
        if app.config["APP_ENV"] != "testing" and (found := sources.find(app.config)):
            keys += [found.current, found.next]
            keys += found.previous if isinstance(found.previous, list | tuple) else []
    if started:
        keys += sources.loaded(started).ring  # create_app may have been given one in code
    data = {key.encode() if isinstance(key, str) else key for key in keys if isinstance(key, str | bytes)}
    return sorted(bytes(key) for key in data if len(key) >= 16 and b"\n" not in key)


def modes(app: Flask) -> Iterator[Finding]:
    """Files that others on this machine can read; of what a platform mounts, those that everybody can."""
    if os.name != "posix":
        return
    paths = {path: 0o077 for path in holders(app) if not is_source(path)}
    with suppress(settings.StartupError):
        paths |= dict.fromkeys(store.files(os.environ), 0o007)
    for path, others in paths.items():
        with suppress(OSError):
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & others:
                level = ERROR if others == 0o077 else WARNING
                yield Finding(
                    "file-mode",
                    level,
                    f"Others can read {path} (mode {mode:04o})",
                    f"chmod 600 {shlex.quote(str(path))}",
                )


def git(root: Path, *arguments: str, text: bytes = b"") -> tuple[int, bytes]:
    """The exit status and the output of git, run in `root`; keys go in as `text`, never as an argument."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {"GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, check=False, env=environ)  # noqa: S603
    return done.returncode, done.stdout


def in_git(root: Path, keys: list[bytes], files: Iterable[Path]) -> Iterator[Finding]:
    """Files that hold a key and that git tracks, has in its history, or would take."""
    names = [path.relative_to(root).as_posix() for path in files if path.is_relative_to(root)]
    if git(root, "rev-parse", "--git-dir")[0] != 0:
        if any((folder / ".git").exists() for folder in (root, *root.parents)):
            cure = f"git config --global --add safe.directory {shlex.quote(str(root))}  # or: git -C {root} fsck"
            yield Finding("git-unreadable", ERROR, "git does not answer here, so nothing is known of its history", cure)
            return
        with tempfile.TemporaryDirectory() as empty:  # what would git do here?
            git(root, "init", "--quiet", empty)
            place = (f"--git-dir={empty}/.git", f"--work-tree={root}")
            yield from (not_ignored(root, name) for name in names if not is_ignored(root, name, *place))
        return
    tracked = {name for name in names if git(root, "ls-files", "--error-unmatch", name)[0] == 0}
    taken = {name for name in names if not is_ignored(root, name)}
    if keys:
        text = b"\n".join(keys)
        options = ("--fixed-strings", "--files-with-matches", "--null", "--text", "-f", "-")
        tracked |= set(os.fsdecode(git(root, "grep", "--cached", *options, text=text)[1]).split("\0")) - {""}
        taken |= set(os.fsdecode(git(root, "grep", "--untracked", *options, text=text)[1]).split("\0")) - {""}
    for name in sorted(tracked):
        problem = f"{name}, which holds a key, is in git"
        cure = elsewhere(name) if is_source(root / name) else f"git rm --cached {shlex.quote(name)}"
        yield Finding("git-tracked", ERROR, problem, cure)
    yield from (not_ignored(root, name) for name in sorted(taken - tracked))
    try:
        for commit, name in in_history(root, keys) if keys else ():
            problem = f"{name} has held a key in git's history (see: git show {commit})"
            yield Finding("git-history", ERROR, problem, settings.flask_command("key revoke"))
    except Unreadable:
        problem = "git can't read the whole of its history"
        yield Finding("git-unreadable", ERROR, problem, f"git -C {shlex.quote(str(root))} fsck")


def is_ignored(root: Path, name: str, *place: str) -> bool:
    """Whether git's rules leave out the file `name`, tracked or not."""
    return git(root, *place, "check-ignore", "--quiet", "--no-index", name)[0] != 1


def not_ignored(root: Path, name: str) -> Finding:
    """A file with a key that the next `git add` takes."""
    cure = (
        elsewhere(name)
        if is_source(root / name)
        else f"echo {shlex.quote(f'/{name}')} >> {shlex.quote(str(root / '.gitignore'))}"
    )
    return Finding("git-not-ignored", ERROR, f"git does not ignore {name}, which may hold a key", cure)


def is_source(path: Path) -> bool:
    """Whether a file belongs into git, without the key that is in it."""
    return path.suffix in (".py", ".html", ".toml", ".md", ".example") and path.parent.name != "instance"


def elsewhere(name: str) -> str:
    """What to do about a key in a file that belongs into git."""
    return (
        f"{sources.command('generate')}  # another key, for SECRET_KEY where it runs; and take that one out of {name}"
    )


def in_history(root: Path, keys: list[bytes]) -> Iterator[tuple[str, str]]:
    """The first commit and the name of each file that has held one of `keys` in any commit."""
    names: dict[bytes, bytes] = {}
    code, listed = git(root, "rev-list", "--all", "--objects", f"--filter=blob:limit={LARGEST}")
    if code:
        raise Unreadable
    for line in listed.splitlines():
        blob, _, name = line.partition(b" ")
        if name:
            names.setdefault(blob, name)
    blobs = list(names)
    for start in range(0, len(blobs), 500):
        wanted = b"\n".join(blobs[start : start + 500]) + b"\n"
        code, output = git(root, "cat-file", "--batch", "--buffer", text=wanted)
        if code:
            raise Unreadable
        if not any(key in output for key in keys):
            continue
        # Each object is a line "<name> blob <size>", its content and a newline.
        at = 0
        while at < len(output):
            end = output.index(b"\n", at)
            blob, _, size = output[at:end].partition(b" ")
            if size.endswith(b"missing"):
                raise Unreadable
            length = int(size.split()[-1])
            if any(key in output[end + 1 : end + 1 + length] for key in keys) and size.startswith(b"blob"):
                found = ("log", "--all", "--format=%h", f"--find-object={blob.decode()}")
                commits = git(root, *found)[1].decode().split()
                yield commits[-1] if commits else "?", os.fsdecode(names[blob])
            at = end + 1 + length + 1


def in_an_image(root: Path) -> Iterator[Finding]:
    """An .env that docker would copy into an image."""
    if not (root / "Dockerfile").exists():
        return
    excluded = False
    with suppress(OSError):
        for line in (root / ".dockerignore").read_text(errors="replace").splitlines():
            pattern = re.sub(r"^(\*\*/|/)+", "", line.strip().removeprefix("!"))
            if pattern and not pattern.startswith("#") and fnmatch(".env", pattern):
                excluded = not line.strip().startswith("!")
    if not excluded:
        problem, cure = (
            "docker would copy .env into an image",
            f"echo '**/.env*' >> {shlex.quote(str(root / '.dockerignore'))}",
        )
        yield Finding("docker-ignore", ERROR, problem, cure)


def of_parents(root: Path) -> Iterator[Finding]:
    """A file above the project that the `flask` command reads where the project has none."""
    for name in (".env", ".flaskenv"):
        above = next((folder / name for folder in root.parents if (folder / name).is_file()), None)
        if above and not (root / name).exists():
            yield Finding(
                "env-parent",
                WARNING,
                f"The flask command reads {above}; the service does not, so the two may differ",
                "export FLASK_SKIP_DOTENV=1",
            )
