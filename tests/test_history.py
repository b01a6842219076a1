"""Secrets in git: found in every form and place, without running what a repository's configuration names."""

import base64
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import LIBRARY, clean_environ, import_history, run

from flask_secure import history
from flask_secure.history import GitError
from flask_secure.problems import Problem

KEY = secrets.token_hex(32)
RAW = bytes([0, 10, 13, 32, 255]) + secrets.token_bytes(27)


@pytest.fixture(autouse=True)
def settings_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration of this test's own."""
    for name in os.environ:
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/.gitconfig").write_text("[user]\nname = A\nemail = a@example.org\n[protocol]\nallow = always\n")


@pytest.fixture
def repository(tmp_path: Path, settings_of_git: None) -> Path:
    folder = tmp_path / "repository"
    git(tmp_path, "init", "--quiet", folder)
    commit(folder, readme="hello\n")
    return folder


def git(folder: Path, *arguments: str | Path, code: int | None = 0, text: str = "", **env: str) -> str:
    return run("git", *arguments, cwd=folder, code=code, text=text, env=clean_environ(**env))


def write(folder: Path, name: str, content: str | bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def commit(folder: Path, message: str = "A change", **files: str | bytes) -> str:
    """Commit `files`, which is all that changes; the id of the commit."""
    for name, content in files.items():
        write(folder, name, content)
        git(folder, "add", "--force", "--", name)
    git(folder, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return git(folder, "rev-parse", "HEAD").strip()


def remove(folder: Path, name: str) -> None:
    git(folder, "rm", "--quiet", "--force", "--", name)
    git(folder, "commit", "--quiet", "--message=Remove")


def examine(folder: Path, *secrets: str | bytes) -> list[Problem]:
    """The problems, none of which shows a key or a control character."""
    values = [value.encode() if isinstance(value, str) else value for value in secrets or [KEY]]
    problems = list(history.problems(folder, values))
    for problem in problems:
        assert problem.message.isprintable()
        assert problem.fix.isprintable()
        assert KEY not in str(problem)
    return problems


def ids(folder: Path, *secrets: str | bytes) -> list[str]:
    return [problem.id for problem in examine(folder, *secrets)]


# Which files.


def test_without_a_repository_git_or_secrets_there_is_no_problem(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repository, "copy", KEY)
    assert ids(repository) == ["git-not-ignored"]
    assert list(history.problems(repository, [])) == []
    assert ids(tmp_path) == []
    monkeypatch.setenv("PATH", "/nowhere")
    assert ids(repository) == []
    with pytest.raises(GitError):
        history.staged(repository, [KEY.encode()])


def test_files_that_git_tracks_or_would_add_are_named(repository: Path) -> None:
    write(repository, ".gitignore", "/ignored\n/forced\n")
    for name in ("ignored", "untracked", "forced", "staged", "folder/deep"):
        write(repository, name, KEY)
    git(repository, "add", "--force", "forced", "staged")
    write(repository, "staged", "clean by now")
    os.mkfifo(repository / "fifo")
    (repository / "link").symlink_to("ignored")
    problems = examine(repository)
    assert {problem.id for problem in problems} == {"git-not-ignored"}
    assert [problem.message.split()[0] for problem in problems] == ["folder/deep", "forced", "staged", "untracked"]
    for problem in problems:
        run("sh", "-ec", problem.fix, cwd=repository)
    assert examine(repository) == []
    assert git(repository, "ls-files").split() == ["readme"]
    assert all((repository / name).exists() for name in ("untracked", "forced", "staged", "folder/deep"))


NAMES = [
    "plain", "two words", "it's", 'a "quote"', "$(touch RAN)", "`touch RAN`", "a;touch RAN", "a\nb", "a\x1b(m", "é",
    "-q", "--help", "!a", "#a", "a&&touch RAN", "a|touch RAN", "*", "[a]", "a\\tb", ":x", ":!x", "x?", "end ", "%s",
    "..a", "\\",
]  # fmt: skip


@pytest.mark.parametrize("folder", [".", "a project"])
def test_a_fix_takes_a_file_of_any_name_out_of_git_and_ignores_no_other(repository: Path, folder: str) -> None:
    """From the project's folder, whether the file is in it or beside it. .gitignore has no line break at its end."""
    project = repository / folder
    write(project, ".gitignore", "/last-line")
    write(project, "last-line", KEY)
    for name in NAMES:
        write(repository, name, KEY)
        write(project, f"sub/{name}", KEY)
    git(repository, "add", "--all")
    problems = examine(project)
    assert len(problems) == 2 * len(NAMES)
    for problem in problems:
        run("sh", "-ec", problem.fix, cwd=project)
    assert examine(project) == []
    assert not [*repository.rglob("RAN")]
    write(repository, "other", "is not ignored")
    git(repository, "add", "--all")
    tracked = set(git(repository, "ls-files", "-z").split("\0")) - {""}
    changed = {f"{folder}/.gitignore".removeprefix("./"), ".gitignore"}
    assert tracked - changed == {"readme", "other"}


def test_a_file_beside_the_project_is_found(repository: Path) -> None:
    commit(repository, **{"services/shop/pyproject.toml": "", "services/mail/settings.py": f"KEY = {KEY!r}\n"})
    write(repository, "notes.txt", KEY)
    messages = [problem.message for problem in examine(repository / "services/shop")]
    assert any(message.startswith("../mail/settings.py ") for message in messages)
    assert any(message.startswith("../../notes.txt ") for message in messages)


def test_in_a_linked_worktree_its_own_files_are_searched(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "--quiet", tmp_path / "linked")
    assert ids(tmp_path / "linked") == []
    write(tmp_path / "linked", "copy", KEY)
    assert ids(tmp_path / "linked") == ["git-not-ignored"]
    assert ids(repository) == []


# What history holds.


def test_a_deleted_file_is_named_with_its_first_commit(repository: Path) -> None:
    first = commit(repository, **{"was here.txt": f"the key is {KEY}\n"})
    commit(repository, **{"was here.txt": f"the key is still {KEY}\n"})
    remove(repository, "was here.txt")
    (problem,) = examine(repository)
    assert problem.id == "git-history"
    assert "was here.txt" in problem.message
    (found,) = re.findall(r"\b[0-9a-f]{7,}\b", problem.message)
    assert first.startswith(found)
    assert KEY in git(repository, "show", found)


def merge(folder: Path) -> None:
    git(folder, "checkout", "--quiet", "-b", "other")
    commit(folder, other="other\n")
    git(folder, "checkout", "--quiet", "-")
    commit(folder, mine="mine\n")
    git(folder, "merge", "--quiet", "--no-commit", "other")
    commit(folder, merged=KEY)
    remove(folder, "merged")


def stash(folder: Path) -> None:
    write(folder, "readme", KEY)
    git(folder, "stash", "push", "--quiet")


def older_stash(folder: Path) -> None:
    stash(folder)
    write(folder, "readme", "nothing\n")
    git(folder, "stash", "push", "--quiet")


def note(folder: Path) -> None:
    git(folder, "notes", "add", f"--message={KEY}")


def message(folder: Path) -> None:
    commit(folder, f"Subject\n\nThe key is {KEY}")


def author(folder: Path) -> None:
    git(folder, "commit", "--quiet", "--allow-empty", f"--author={KEY} <a@example.org>", "--message=M")


def annotation(folder: Path) -> None:
    git(folder, "tag", "--annotate", "v1", f"--message={KEY}")


def amended(folder: Path) -> None:
    commit(folder, leak=KEY)
    git(folder, "rm", "--quiet", "leak")
    git(folder, "commit", "--quiet", "--amend", "--allow-empty", "--message=Amended")


def other_branch(folder: Path) -> None:
    """With a first commit of its own."""
    import_history(folder, [("leak", KEY.encode())])


def tagged_blob(folder: Path) -> None:
    git(folder, "tag", "blob", git(folder, "hash-object", "-w", "--stdin", text=KEY).strip())


def replaced(folder: Path) -> None:
    """`git replace` and grafts hide what is stored, and pushed."""
    leak = commit(folder, leak=KEY)
    remove(folder, "leak")
    git(folder, "replace", leak, f"{leak}^")
    write(folder, ".git/info/grafts", git(folder, "rev-parse", "HEAD"))
    git(folder, "reflog", "expire", "--expire=now", "--all")


def root_commit(folder: Path) -> None:
    git(folder, "config", "log.showRoot", "false")
    other_branch(folder)


def like_a_deleted_file(folder: Path) -> None:
    commit(folder, leak=f"++ /dev/null\n{KEY}\n")
    remove(folder, "leak")


def like_another_file(folder: Path) -> None:
    commit(folder, leak=f"++ b/other\n@@ -1 +1 @@\ncommit 1234567\n-- a/leak\n{KEY}\n")
    remove(folder, "leak")


PLACES: list[tuple[Callable[[Path], None], str]] = [
    (merge, "merged"),
    (stash, "readme"),
    (older_stash, "readme"),
    (note, ""),
    (message, "message"),
    (author, ""),
    (annotation, "tag"),
    (amended, "leak"),
    (other_branch, "leak"),
    (tagged_blob, ""),
    (replaced, "leak"),
    (root_commit, "leak"),
    (like_a_deleted_file, "leak"),
    (like_another_file, "leak"),
]


@pytest.mark.parametrize(("leak", "name"), PLACES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_secret_is_found_wherever_git_keeps_it(repository: Path, leak: Callable[[Path], None], name: str) -> None:
    leak(repository)
    (problem,) = examine(repository)
    assert problem.id == "git-history"
    assert problem.level == "error"
    assert name in problem.message
    (shown,) = re.findall(r"\((git .+)\)", problem.message)
    git(repository, "config", "log.showRoot", "true")
    assert KEY in run("sh", "-c", f"GIT_NO_REPLACE_OBJECTS=1 {shown}", cwd=repository), "what it names has the key"


def test_a_file_that_was_only_staged_is_no_history(repository: Path) -> None:
    write(repository, ".env", KEY)
    git(repository, "add", ".env")
    assert ids(repository) == ["git-not-ignored"]
    git(repository, "rm", "--quiet", "--cached", ".env")
    write(repository, ".gitignore", ".env\n")
    assert ids(repository) == []


# In which form.


def wrap(text: bytes) -> bytes:
    return base64.encodebytes(text).replace(b"\n", b"\r\n    ")


FORMS = {
    "plain": (KEY, KEY.encode()),
    "base64": (KEY, base64.b64encode(KEY.encode())),
    "base64 after 1": (KEY, base64.b64encode(b"a" + KEY.encode() + b"b")),
    "base64 after 2": (KEY, base64.b64encode(b"ab" + KEY.encode() + b"bcd")),
    "base64 of bytes": (RAW, base64.b64encode(RAW)),
    "base64 of bytes after 1": (RAW, base64.urlsafe_b64encode(b"a" + RAW + b"\xff")),
    "base64 of bytes after 2": (RAW, base64.urlsafe_b64encode(b"ab" + RAW)),
    "base64 in lines": (KEY, wrap(b"before " * 6 + KEY.encode() + b" after")),
    "UTF-16": (KEY, f"key: {KEY}\r\n".encode("utf-16")),
    "UTF-16, little end": (KEY, f"key: {KEY}\n".encode("utf-16-le")),
    "UTF-16, big end": (KEY, f"key: {KEY}\n".encode("utf-16-be")),
    "UTF-16, not ASCII": ("päßwörter sind länger 1", "x: päßwörter sind länger 1".encode("utf-16-be")),
    "base64 in UTF-16": (KEY, base64.b64encode(KEY.encode()).decode().encode("utf-16")),
    "bytes": (RAW, b"\0\n\xff" + RAW + b"\0"),
    "hexadecimal": (RAW, RAW.hex().encode()),
    "capital hexadecimal": (RAW, RAW.hex().upper().encode()),
    "two lines": (f"first {KEY}\nsecond", f"first {KEY}\nsecond".encode()),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_each_form(repository: Path, form: str) -> None:
    secret, content = FORMS[form]
    text = b"some text before\n" + content + b"\nand after\n"
    write(repository, "leak", text)
    assert ids(repository, secret) == ["git-not-ignored"]
    commit(repository, leak=text)
    remove(repository, "leak")
    assert ids(repository, secret) == ["git-history"]
    assert ids(repository, secrets.token_hex(32), secrets.token_bytes(32)) == []


@given(secret=st.binary(min_size=16, max_size=80), before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_every_secret_is_found_in_base64(secret: bytes, before: bytes, after: bytes) -> None:
    if len(secret.translate(None, history.BLANKS)) >= history.SHORTEST:
        search = history.Search([secret])
        for encode in (base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes):
            assert search.finds([encode(before + secret + after)])
        assert search.finds([before + secret[:7], secret[7:] + after])


def test_a_blank_or_short_secret_is_not_found_everywhere(repository: Path) -> None:
    assert ids(repository, b"", b" " * 20, b"\0" * 15 + b"h", "hello") == []


def test_a_key_is_found_wherever_it_lies_in_a_long_line(repository: Path) -> None:
    """Everything is read in pieces of 64 KiB."""
    size = 64 * 1024
    offsets = [0, 1, 100, *(n * size + shift for n in (1, 2) for shift in (-65, -64, -63, -33, -32, -2, -1, 0, 1))]
    end = [b"", b"\n"]
    key = KEY.encode()
    texts = {f"at-{at}-{n}": b"x" * at + key + b"y" * 10 + end[n] for at in offsets for n in (0, 1)}
    texts |= {"lines": b"a line\n" * 50_000 + key, "binary": b"\0\xff" * 1000 + key + b"\0", "crlf": b"a\r\n" + key}
    import_history(repository, texts.items())
    problems = examine(repository)
    assert {problem.id for problem in problems} == {"git-history"}
    assert {problem.message.split()[0] for problem in problems} == set(texts)
    for name, text in texts.items():
        write(repository, name, text)
    names = {problem.message.split()[0] for problem in examine(repository) if problem.id == "git-not-ignored"}
    assert names == set(texts)


# What the configuration could run.


def marker_program(tmp_path: Path) -> Path:
    """A program that leaves a mark when it runs."""
    program = tmp_path / "marker"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/RAN\nexit 1\n")
    program.chmod(0o755)
    return program


def attack(folder: Path, program: Path) -> None:
    """A configuration and attributes that run `program` on every occasion that we know."""
    names = [
        *("core.fsmonitor", "core.pager", "core.sshCommand", "core.editor", "core.askPass", "core.gitProxy"),
        *("diff.external", "diff.evil.command", "diff.evil.textconv", "gpg.program", "gpg.ssh.program"),
        *("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "credential.helper"),
        *("pager.log", "pager.grep", "pager.rev-list", "pager.cat-file", "pager.ls-files", "pager.diff-tree"),
        *("alias.rev-list", "alias.cat-file", "uploadpack.packObjectsHook", "core.alternateRefsCommand"),
    ]
    for name in names:
        value = f"!{program}" if name.startswith("alias") else str(program)
        git(folder, "config", name, value)
    for name in ("log.showSignature", "filter.evil.required", "submodule.recurse", "core.untrackedCache"):
        git(folder, "config", name, "true")
    hooks = folder.parent / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "fsmonitor-watchman", "reference-transaction", "post-checkout"):
        shutil.copy(program, hooks / name)
    git(folder, "config", "core.hooksPath", hooks)
    (folder.parent / "attributes").write_text("* diff=evil filter=evil\n")
    git(folder, "config", "core.attributesFile", folder.parent / "attributes")


def signed_commit(folder: Path) -> None:
    """A commit with a signature, which `git log` would check."""
    head = git(folder, "cat-file", "commit", "HEAD")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n abcd\n -----END PGP SIGNATURE-----\n\n"
    text = head.replace("\n\n", f"\n{signature}", 1)
    signed = git(folder, "hash-object", "-t", "commit", "-w", "--stdin", text=text).strip()
    git(folder, "update-ref", "HEAD", signed)


def test_no_program_of_the_configuration_runs(repository: Path, tmp_path: Path) -> None:
    commit(repository, old=KEY)
    remove(repository, "old")
    commit(repository, tracked="clean\n")
    write(repository, "tracked", "changed\n")
    write(repository, "new", KEY)
    write(repository, "staged", KEY)
    git(repository, "add", "staged")
    signed_commit(repository)
    expected = examine(repository)
    attack(repository, marker_program(tmp_path))
    (tmp_path / "RAN").unlink(missing_ok=True)
    assert examine(repository) == expected
    assert [problem.id for problem in expected] == ["git-not-ignored", "git-not-ignored", "git-history"]
    assert history.staged(repository, [KEY.encode()]) == ["staged"]
    assert not (tmp_path / "RAN").exists()
    git(repository, "status", code=None)
    assert (tmp_path / "RAN").exists(), "the configuration does run programs"


def test_submodules_are_no_error(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "module")
    commit(tmp_path / "module", leak=KEY)
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", tmp_path / "module", "module")
    commit(repository)
    git(repository, "config", "submodule.recurse", "true")
    assert ids(repository) == []
    assert history.staged(repository, [KEY.encode()]) == []
    write(repository, "copy", KEY)
    assert ids(repository) == ["git-not-ignored"]


def test_no_secret_is_an_argument_or_a_variable_of_a_process(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.environ["PATH"]
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin/git"
    wrapper.write_text(f'#!/bin/sh\n(echo "$@"; env) >> {tmp_path}/LOG\nPATH={path} exec git "$@"\n')
    wrapper.chmod(0o755)
    commit(repository, leak=KEY)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{path}")
    assert set(ids(repository)) == {"git-not-ignored", "git-history"}
    assert history.staged(repository, [KEY.encode()]) == ["leak"]
    log = (tmp_path / "LOG").read_text()
    assert "cat-file" in log
    assert KEY not in log


# What is not here, or cannot be read.


def test_a_shallow_clone_is_said_and_its_fix_completes_it(repository: Path, tmp_path: Path) -> None:
    commit(repository, leak=KEY)
    remove(repository, "leak")
    commit(repository)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", "clone")
    (problem,) = examine(tmp_path / "clone")
    assert (problem.id, problem.level) == ("git-partial", "warning")
    run("sh", "-ec", problem.fix, cwd=tmp_path / "clone")
    assert ids(tmp_path / "clone") == ["git-history"]


@pytest.mark.parametrize("filter", ["blob:none", "tree:0"])
def test_a_partial_clone_is_said_and_fetches_nothing(repository: Path, tmp_path: Path, filter: str) -> None:
    commit(repository, leak=f"the key is {KEY}")
    remove(repository, "leak")
    commit(repository, staged=KEY)
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--origin=far", f"--filter={filter}", f"file://{repository}", clone)
    program = marker_program(tmp_path)
    git(clone, "config", "remote.far.url", f"ext::{program}")
    git(clone, "config", "protocol.ext.allow", "always")
    problems = examine(clone)
    assert [each.level for each in problems if each.id == "git-partial"] == ["warning"]
    assert problems[0].id == "git-not-ignored"
    assert not any(each.id == "git-unreadable" for each in problems)
    assert history.staged(clone, [KEY.encode()]) == ["staged"]
    assert not (tmp_path / "RAN").exists()
    git(clone, "log", "-p", code=128)
    assert (tmp_path / "RAN").exists(), "git itself does fetch"

    git(clone, "config", "remote.far.url", f"file://{repository}")
    run("sh", "-ec", problems[-1].fix, cwd=clone)
    problems = examine(clone)
    assert {each.id for each in problems} == {"git-not-ignored", "git-history"}
    assert any(each.message.startswith("leak ") for each in problems)


def test_a_file_that_a_partial_clone_lacks_is_not_staged(repository: Path, tmp_path: Path) -> None:
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--no-checkout", "--filter=blob:none", f"file://{repository}", "clone")
    git(tmp_path / "clone", "read-tree", "HEAD")
    git(tmp_path / "clone", "config", "remote.origin.url", "ext::false")
    write(tmp_path / "clone", "new", KEY)
    git(tmp_path / "clone", "add", "new")
    assert history.staged(tmp_path / "clone", [KEY.encode()]) == ["new"]


def broken_head(folder: Path) -> None:
    (folder / ".git/HEAD").write_text("nothing")


def object_path(folder: Path, name: str) -> Path:
    id = git(folder, "rev-parse", name).strip()
    return folder / ".git/objects" / id[:2] / id[2:]


def lost_blob(folder: Path) -> None:
    commit(folder, lost="lost\n")
    remove(folder, "lost")
    object_path(folder, "HEAD^:lost").unlink()


def lost_commit(folder: Path) -> None:
    commit(folder)
    object_path(folder, "HEAD^").unlink()


def corrupt_blob(folder: Path) -> None:
    path = object_path(folder, "HEAD:readme")
    path.chmod(0o644)
    path.write_bytes(b"corrupt")


def corrupt_index(folder: Path) -> None:
    (folder / ".git/index").write_bytes(b"corrupt")


BREAKS = [broken_head, lost_blob, lost_commit, corrupt_blob, corrupt_index]


@pytest.mark.parametrize("damage", BREAKS, ids=lambda value: value.__name__)
def test_a_git_that_fails_gives_its_own_reason(
    repository: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    damage(repository)
    (problem,) = examine(repository)
    assert (problem.id, problem.level) == ("git-unreadable", "error")
    assert re.search("fatal: |error: |is missing", problem.message)
    shown = run("sh", "-c", problem.fix, cwd=repository, code=None)
    assert re.search("fatal|error|missing", shown), "the fix says more"
    if damage in (broken_head, corrupt_blob, corrupt_index):
        with pytest.raises(GitError) as error:
            history.staged(repository, [KEY.encode()])
        assert str(error.value)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a folder to another user")
def test_the_fix_trusts_a_repository_of_another_user(repository: Path) -> None:
    write(repository, "copy", KEY)
    os.chown(repository, 12345, -1)
    os.chown(repository / ".git", 12345, -1)
    (problem,) = examine(repository)
    assert problem.id == "git-unreadable"
    assert "dubious ownership" in problem.message
    assert str(repository) in problem.message
    run("sh", "-ec", problem.fix, cwd=repository)
    assert ids(repository) == ["git-not-ignored"]


def test_control_characters_of_a_name_are_not_printed(repository: Path) -> None:
    for name in ("a\x1b[31m\nb", os.fsdecode(b"\xff"), "c\x9b1m"):
        commit(repository, **{name: KEY})
    assert len(examine(repository)) == 6


# How much it takes.


def test_a_large_history_is_read_in_bounded_memory(repository: Path) -> None:
    """100 versions of 1 MB, half of them one line, and one line of 16 MB."""
    fill = b"0123456789abcdef" * 64 * 1024
    lines = (b"x" * 1023 + b"\n") * 1024
    texts = ((f"{n % 2}", b"%d " % n + (lines if n % 2 else fill)) for n in range(100))
    import_history(repository, chain([("leak", KEY.encode()), ("line", fill * 16)], texts))
    write(repository, "large", fill * 16 + KEY.encode())
    program = """
import json, re, resource, sys
from pathlib import Path
from flask_secure import history

def peak():
    with open("/proc/self/status") as file:  # ru_maxrss begins with the parent's
        return int(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1])

secret = sys.stdin.read().encode()
before = peak()
ids = [each.id for each in history.problems(Path.cwd(), [secret])]
git = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"ids": ids, "own": peak() - before, "git": git}))
"""
    env = clean_environ(PYTHONPATH=str(LIBRARY.parent))
    report = json.loads(run(sys.executable, "-c", program, cwd=repository, env=env, text=KEY))
    assert report["ids"] == ["git-not-ignored", "git-history"]
    assert report["own"] < 8 * 1024
    assert report["git"] < 100 * 1024


def test_a_few_thousand_files_take_a_second_or_two(repository: Path) -> None:
    text = b"a line of a file of usual length\n" * 200
    import_history(repository, ((f"folder-{n % 50}/{n}", b"%d\n" % n + text) for n in range(3000)))
    git(repository, "checkout", "--quiet", "imported")
    start = time.monotonic()
    assert ids(repository, *(secrets.token_hex(32) for _ in range(5))) == []
    assert time.monotonic() - start < 10  # 1 where nothing else runs


# What is staged.


def staged(folder: Path) -> list[str]:
    return history.staged(folder, [KEY.encode()])


def test_only_what_is_staged_counts(repository: Path) -> None:
    assert staged(repository) == []
    write(repository, "new", KEY)
    write(repository, "é/two words\n", f"x {KEY}")
    write(repository, "folder/file", base64.b64encode(KEY.encode()))
    write(repository, "wide", KEY.encode("utf-16"))
    git(repository, "add", "--intent-to-add", "new")
    assert staged(repository) == []
    git(repository, "add", "--all")
    for name in ("é/two words\n", "folder/file"):
        write(repository, name, "clean\n")
    expected = ["folder/file", "new", "wide", "é/two words\n"]
    assert staged(repository) == expected
    assert staged(repository / "folder") == expected, "of the whole repository"
    git(repository, "rm", "--quiet", "--cached", "new")
    assert staged(repository) == [name for name in expected if name != "new"]


def test_a_secret_that_was_committed_before_is_still_refused(repository: Path) -> None:
    commit(repository, leak=KEY)
    assert staged(repository) == ["leak"]


def test_an_empty_repository_has_nothing_staged(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "empty")
    assert staged(tmp_path / "empty") == []
    assert ids(tmp_path / "empty") == []
    with pytest.raises(GitError):
        staged(tmp_path)


def install_hook(folder: Path, *, inside: str = ".", root: str = ".") -> None:
    """A pre-commit hook, run in the folder `inside`, that asks `staged` about the folder `root` for the key."""
    key_file = folder.parent / "key"
    key_file.write_text(KEY)
    program = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(LIBRARY.parent)!r})
from flask_secure import history
key = Path({str(key_file)!r}).read_bytes()
assert "git-unreadable" not in [problem.id for problem in history.problems(Path.cwd(), [key])]
names = history.staged(Path.cwd() / {root!r}, [key])
sys.exit(f"in {{names}}" if names else 0)
"""
    (folder.parent / "hook.py").write_text(program)
    hook = Path(git(folder, "rev-parse", "--git-common-dir").strip())
    hook = (folder / hook / "hooks/pre-commit").resolve()
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ncd {inside} && exec {sys.executable} {folder.parent}/hook.py\n")
    hook.chmod(0o755)


@pytest.mark.parametrize("inside", [".", "project"])
@pytest.mark.parametrize("linked", [False, True], ids=["plain", "linked"])
def test_a_real_hook_sees_what_is_committed(repository: Path, tmp_path: Path, linked: bool, inside: str) -> None:
    folder = repository
    commit(repository, **{"project/a": "a\n", "project/b": "b\n", "c": "c\n"})
    if linked:
        folder = tmp_path / "linked"
        git(repository, "worktree", "add", "--quiet", folder)
    install_hook(repository, inside=inside)

    def refused(*arguments: str) -> bool:
        output = git(folder, "commit", "--quiet", "--message=M", *arguments, code=None)
        assert "Traceback" not in output, output
        return "in ['" in output

    write(folder, "c", KEY)
    write(folder, "project/a", "better\n")
    assert refused("--all")
    assert refused("--", "c")
    assert not refused("--", "project/a"), "the key is not in this commit"
    assert git(folder, "show", "--name-only", "--format=").split() == ["project/a"]
    git(folder, "add", "c")
    assert refused()
    write(folder, "project/b", "better\n")
    assert not refused("--", "project/b"), "c is staged, but not committed"
    git(folder, "rm", "--quiet", "--cached", "-f", "c")
    assert not refused()


def test_a_hook_works_where_the_repository_is_elsewhere(repository: Path, tmp_path: Path) -> None:
    """As for dotfiles. The hook gets GIT_DIR as it is here, relative to the top folder."""
    commit(repository, **{"project/a": "a\n"})
    install_hook(repository, root="project")
    shutil.move(repository / ".git", tmp_path / "elsewhere.git")
    options = ("--git-dir=../elsewhere.git", "--work-tree=.")
    write(repository, "readme", KEY)
    assert "in ['readme']" in git(repository, *options, "commit", "--all", "--message=M", code=1)
    write(repository, "readme", "clean\n")
    git(repository, *options, "commit", "--all", "--allow-empty", "--message=M")


def test_variables_of_another_repository_are_not_followed(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet", "other")
    commit(repository, leak=KEY)
    remove(repository, "leak")
    for name, value in {"DIR": ".git", "INDEX_FILE": ".git/index", "OBJECT_DIRECTORY": ".git/objects"}.items():
        monkeypatch.setenv(f"GIT_{name}", str(tmp_path / "other" / value))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    assert ids(repository) == ["git-history"]
