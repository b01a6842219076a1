"""The files that hold keys: who can read them, whether git or an image could have them."""

import os
import re
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


def check(app: Flask, is_here: bool) -> Iterator[Finding]:
    """What is wrong with the files that hold the keys of `app`, which has only its settings yet."""
    yield from modes(app)
    if settings.ROOT is None:
        return
    if shutil.which("git"):
        yield from in_git(settings.ROOT, keys_of(app), holders(app))
    yield from in_an_image(settings.ROOT)
    if is_here:
        yield from of_parents(settings.ROOT)


def holders(app: Flask) -> list[Path]:
    """The project's own files that hold a key."""
    paths = []
    if settings.ROOT:
        paths.append(settings.ROOT / ".env")
    if any(settings.layer_of(app, variable) == "instance/config.py" for variable in VARIABLES):
        paths.append(Path(app.instance_path, "config.py"))
    return paths


def keys_of(app: Flask) -> list[bytes]:
    """Every key that there is here: those in use, and those of development."""
    keys: list[object] = list(sources.development_keys())
    with suppress(settings.StartupError):
        if app.config["APP_ENV"] != "testing" and (found := sources.find(app.config)):
            keys += [found.current, found.next]
            keys += found.previous if isinstance(found.previous, list | tuple) else []
    data = {key.encode() if isinstance(key, str) else key for key in keys if isinstance(key, str | bytes)}
    return sorted(key for key in data if len(key) >= 16 and b"\n" not in key)


def modes(app: Flask) -> Iterator[Finding]:
    """Files that others on this machine can read; of what a platform mounts, those that everybody can."""
    if os.name != "posix":
        return
    paths = dict.fromkeys(holders(app), 0o077)
    with suppress(settings.StartupError):
        paths |= dict.fromkeys(store.files(os.environ), 0o007)
    for path, others in paths.items():
        with suppress(OSError):
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & others:
                level = ERROR if others == 0o077 else WARNING
                yield Finding("file-mode", level, f"Others can read {path} (mode {mode:04o})", f"chmod 600 {path}")


def git(root: Path, *arguments: str, text: bytes = b"") -> tuple[int, bytes]:
    """The exit status and the output of git, run in `root`; keys go in as `text`, never as an argument."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, check=False, env=environ)  # noqa: S603
    return done.returncode, done.stdout


def in_git(root: Path, keys: list[bytes], files: Iterable[Path]) -> Iterator[Finding]:
    """Files that git does not ignore, tracks, or has in its history, and that hold a key."""
    with tempfile.TemporaryDirectory() as empty:
        has_repository = git(root, "rev-parse", "--git-dir")[0] == 0
        place = () if has_repository else (f"--git-dir={empty}/.git", f"--work-tree={root}")
        if not has_repository:
            git(root, "init", "--quiet", empty)  # to ask what git would do here
        for path in files:
            inside = path.relative_to(root) if path.is_relative_to(root) else None
            if inside and git(root, *place, "check-ignore", "--quiet", "--no-index", str(inside))[0] == 1:
                cure = f"echo /{inside.as_posix()} >> {root / '.gitignore'}"
                yield Finding("git-not-ignored", ERROR, f"git does not ignore {inside}", cure)
            if inside and has_repository and git(root, "ls-files", "--error-unmatch", str(inside))[0] == 0:
                yield tracked(str(inside))
    if not (has_repository and keys):
        return
    patterns = b"\n".join(keys)
    options = ("--cached", "--fixed-strings", "--files-with-matches", "--null", "--full-name", "-f", "-")
    found = git(root, "grep", *options, "--", ":/", text=patterns)[1].split(b"\0")
    yield from (tracked(os.fsdecode(name)) for name in found if name)
    for commit, name in in_history(root, keys):
        revoke = settings.flask_command("key revoke")
        yield Finding("git-history", ERROR, f"{name} has held a key in git's history (see: git show {commit})", revoke)


def tracked(name: str) -> Finding:
    """A file in git that holds a key."""
    return Finding("git-tracked", ERROR, f"{name}, which holds a key, is in git", f"git rm --cached {name}")


def in_history(root: Path, keys: list[bytes]) -> Iterator[tuple[str, str]]:
    """The first commit and the name of each file that has held one of `keys` in any commit."""
    names: dict[bytes, bytes] = {}
    for line in git(root, "rev-list", "--all", "--objects", f"--filter=blob:limit={LARGEST}")[1].splitlines():
        blob, _, name = line.partition(b" ")
        if name:
            names.setdefault(blob, name)
    blobs = list(names)
    for start in range(0, len(blobs), 500):
        output = git(root, "cat-file", "--batch", "--buffer", text=b"\n".join(blobs[start : start + 500]) + b"\n")[1]
        if not any(key in output for key in keys):
            continue
        # Each object is a line "<name> blob <size>", its content and a newline.
        at = 0
        while at < len(output):
            end = output.index(b"\n", at)
            blob, _, size = output[at:end].partition(b" ")
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
        problem, cure = "docker would copy .env into an image", f"echo '**/.env*' >> {root / '.dockerignore'}"
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
