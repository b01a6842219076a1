"""What start-up can't reject: settings that are legal but weak, and the files that hold keys."""

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from flask import Config
from werkzeug.utils import import_string

from . import keys, settings, web
from .files import foreign_dotenv, key_files, read_secret
from .problems import Problem, StartupError, command, project_root, quoted

POLICY = "CONTENT_SECURITY_POLICY"
# Sources that undo a directive of the policy.
UNSAFE = r"'unsafe-(inline|eval)'|((http|ws)s?://)?\*|(http|ws)s?:|(http|ws)://(?!localhost|127\.).+|data:|blob:"


def examine(config: Config) -> list[Problem]:
    """Everything that is wrong with the environment whose settings are in `config`, errors first."""
    found = [*keys.check(config)[1], *settings.check(config)]
    if not any(problem.id == "setting-type" for problem in found):
        found += [*web.check(config), *weak(config)]
    for name in settings.entries(config["CHECKS"]):
        check, fix = import_string(name, silent=True), settings.fix(config, "CHECKS", [])
        found += check(config) if check else [Problem("check-missing", f"CHECKS has {name!r}, which is not there", fix)]
    try:
        found += [*files(config), *filter(None, [foreign_dotenv(project_root(config.root_path))])]
    except StartupError as error:  # of a file that vanishes meanwhile
        found += error.problems
    return sorted(StartupError(*found).problems, key=lambda problem: problem.level)


def weak(config: Config) -> Iterator[Problem]:
    """Settings that Flask and browsers accept, but that open a hole: by rules.toml."""
    for level in ("error", "warning", *(["https"] if config["APP_ENV"] != "development" else [])):
        for path, (id, good, example) in web.RULES[level].items():
            setting, _, item = path.partition(" ")
            value = (config[setting] or {}).get(item) if item else config[setting]
            text = " ".join(value) if isinstance(value, list | tuple) else str(value)
            if not re.fullmatch(good, text):
                fix = settings.fix(config, setting, {item: example} if item else example)
                yield Problem(id, f"{item or setting} is {value!r}", fix, "warning" if level == "warning" else "error")
    for directive, sources in (config[POLICY] or {}).items():
        allowed = "data:" if directive == "img-src" else ""
        if unsafe := [each for each in sources if each != allowed and re.fullmatch(UNSAFE, each)]:
            fix = settings.fix(config, POLICY, {directive: [each for each in sources if each not in unsafe]})
            yield Problem("csp-unsafe", f"{directive} allows {' '.join(unsafe)}, which undoes it", fix)


def files(config: Config) -> Iterator[Problem]:
    """Problems of the files that hold keys: who can read them, and whether git has them."""
    root = project_root(config.root_path)
    found: list[object] = [*keys.development_keys(root)]
    others = dict.fromkeys([root / ".env", config[settings.SOURCES]["files"][-1]], 0o077)
    with suppress(StartupError):  # a platform may mount files for a group, and such that can't be changed
        secrets = settings.secret_files(config)
        found += [read_secret(path, name) for name, path in secrets.items()]
        paths = [*key_files().values(), *secrets.values()]
        others |= dict.fromkeys((path for path in paths if os.access(path.parent, os.W_OK)), 0o007)
        ring = keys.read(config)
        found += [ring.current, *ring.verifying()]
    for path, bits in others.items() if os.name == "posix" else ():
        if path.is_file() and (mode := stat.S_IMODE(path.stat().st_mode)) & bits:
            yield Problem("file-mode", f"Others can read {path} ({mode:04o})", f"chmod 600 {quoted(path)}")
    data = {key.encode() if isinstance(key, str) else key for key in found if isinstance(key, str | bytes)}
    known = sorted(bytes(key) for key in data if len(key) >= 16 and b"\n" not in key)
    with suppress(FileNotFoundError):  # there is no git
        if known and any((folder / ".git").exists() for folder in (root, *root.parents)):
            yield from in_git(root, known)


def in_git(root: Path, known: list[bytes]) -> Iterator[Problem]:
    """Files that hold a key and that git tracks, would add, or has in its history, which is read as a stream."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # of a git hook

    def git(*arguments: str) -> "subprocess.Popen[bytes]":
        command, pipe = ["git", "-C", str(root), *arguments], subprocess.PIPE
        return subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)  # noqa: S603

    status, names = 0, {""}
    for option in ("--cached", "--untracked"):  # which leaves out what is tracked but ignored
        with git("grep", option, "--files-with-matches", "--null", "--text", "-F", "-f", "-") as search:
            output, _ = search.communicate(b"\n".join(known))  # not arguments, which other users can see
        status, names = max(status, search.returncode), names | {*os.fsdecode(output).split("\0")}
    for name in sorted(names - {""}):
        fix = f"git rm --cached --ignore-unmatch -- {quoted(name)}; echo {quoted(f'/{name}')} >> .gitignore"
        yield Problem("git-not-ignored", f"{quoted(name)} holds a key, and git does not ignore it", fix)
    pattern, longest = re.compile(b"|".join(map(re.escape, known))), max(map(len, known))
    options = ("--all", "-p", "-m", "--text", "--unified=0", "--no-renames", "--no-ext-diff", "--no-textconv")
    commit, name, rest = "", "", b""
    commits: dict[str, str] = {}
    with git("log", "--no-color", "--format=commit %h", *options) as log:
        assert log.stdout is not None  # noqa: S101
        while piece := log.stdout.readline(64 * 1024):
            if not rest and piece.startswith(b"commit "):
                commit = piece[7:].decode().strip()
            elif not rest and piece.startswith(b"+++ "):
                name = os.fsdecode(piece[4:].strip()).strip('"').removeprefix("b/")
            elif name != "/dev/null" and pattern.search(rest + piece):
                commits[name] = commit  # in the end the first one
            rest = b"" if piece.endswith(b"\n") else piece[-longest:]  # a long line, and a key, may go on
    for name, commit in commits.items():
        message = f"{quoted(name)} has held a key in git's history (git show {commit})"
        yield Problem("git-history", message, command("key revoke"))
    if log.returncode or status > 1:
        fix = f"git -C {quoted(root)} log --all"
        yield Problem("git-unreadable", "git does not give its history, so nobody knows what is in it", fix)
