"""The raw hooks, as functions."""

import importlib.util
import keyword
import os
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import RAW_PROJECT, TEMPLATE, Project, run


def load(name: str) -> ModuleType:
    """A hook as it lies in the template."""
    spec = importlib.util.spec_from_file_location(name, TEMPLATE / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pre = load("pre_gen_project")
post = load("post_gen_project")


@given(st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True))
def test_a_slug_of_the_right_form_is_rejected_only_when_it_is_taken(slug: str) -> None:
    assert (pre.problem(slug) is not None) == (slug in pre.TAKEN)


@given(st.text(max_size=60))
def test_any_other_slug_is_rejected_in_one_line_with_one_that_would_do(slug: str) -> None:
    problem = pre.problem(slug)
    assert (problem is None) == bool(re.fullmatch("[a-z][a-z0-9_]*", slug) and slug not in pre.TAKEN)
    if problem is not None:
        assert problem.isprintable()
        assert pre.problem(pre.suggestion(slug)) is None
        assert repr(pre.suggestion(slug)) in problem


@pytest.mark.parametrize(
    ("slug", "instead"),
    {
        "": "my_service",
        "a/b": "a_b",
        "../evil": "evil",
        "My App": "my_app",
        "3d": "service_3d",
        "_x": "x",
        "a-b": "a_b",
        "class": "class_service",
        "flask": "flask_service",
        "json": "json_service",
        "secrets": "secrets_service",
        "dotenv": "dotenv_service",
        "python_dotenv": "python_dotenv_service",
        "a\nb": "a_b",
        "日本": "my_service",
        "résumé": "resume",
        "tests": "tests_service",
        "con": "con_service",
        "flask_secure": "flask_secure_service",
        "Flask-Login": "flask_login_service",
    }.items(),
)
def test_examples_of_rejected_slugs(slug: str, instead: str) -> None:
    assert f"'{instead}' would do." in pre.problem(slug)


@pytest.mark.parametrize(("name", "rejected"), [("", True), ("\t \u2003", True), ("-", False), (" a ", False)])
def test_a_name_of_white_space_is_blank(name: str, rejected: bool) -> None:
    assert (pre.blank(name) is not None) == rejected


def test_nothing_that_is_installed_in_a_project_is_a_slug(project: Project) -> None:
    """A package of that name would hide it. This fails when a dependency brings a new module."""
    names = {*sys.stdlib_module_names, *keyword.kwlist}
    listing = "import importlib.metadata as m; print(*m.packages_distributions(), sep='\\n')"
    names.update(project.run("python", "-c", listing).split())
    distributions = "import importlib.metadata as m; print(*(d.name for d in m.distributions()), sep='\\n')"
    names.update(project.run("python", "-c", distributions).lower().replace("-", "_").split())
    names -= {project.path.name}
    assert len(names) > 250
    assert [name for name in sorted(names) if pre.problem(name) is None] == []


LIKELY = """
    boto3 botocore redis sqlalchemy flask_sqlalchemy flask_login flask_wtf flask_migrate celery psycopg pymongo
    requests httpx pydantic marshmallow sentry_sdk stripe cryptography pyjwt jwt pillow pil numpy pandas alembic
"""


def test_what_a_service_is_likely_to_add_is_not_a_slug() -> None:
    """`uv add redis` fails in a project that is called so."""
    assert [name for name in LIKELY.split() if pre.problem(name) is None] == []
    assert pre.problem("cookiecutter") is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A rendered project as far as the post-generation hook looks at it."""
    for name in (".env.example", ".gitignore"):
        shutil.copy(RAW_PROJECT / name, tmp_path)
    return tmp_path


def test_write_key_makes_a_private_file_with_a_key_of_64_hex_digits(folder: Path) -> None:
    assert post.write_key(folder)
    env = folder / ".env"
    lines = env.read_text().splitlines()
    assert [line for line in lines if re.fullmatch("SECRET_KEY=[0-9a-f]{64}", line)] == lines[-1:]
    assert "APP_ENV=development" in lines
    assert os.name != "posix" or env.stat().st_mode & 0o777 == 0o600


def test_write_key_never_overwrites_nor_follows_a_link(folder: Path) -> None:
    env = folder / ".env"
    env.write_text("mine")
    env.chmod(0o640)
    assert not post.write_key(folder)
    assert (env.read_text(), env.stat().st_mode & 0o777) == ("mine", 0o640)
    env.unlink()
    env.symlink_to(folder / "elsewhere")
    assert not post.write_key(folder)
    assert not (folder / "elsewhere").exists()


def test_write_key_leaves_no_half_written_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(descriptor: int, *_: object, **__: object) -> None:
        os.close(descriptor)
        raise OSError(28, "No space left on device")

    (folder / ".env.example").chmod(0o644)
    text = (folder / ".env.example").open(encoding="utf-8")
    files = iter([lambda *_, **__: text, full_disk])
    monkeypatch.setattr(post, "open", lambda *a, **k: next(files)(*a, **k), raising=False)
    with pytest.raises(OSError, match="No space left"):
        post.write_key(folder)
    assert not (folder / ".env").exists()


def test_a_tracked_env_is_reported_with_its_fix(folder: Path) -> None:
    post.write_key(folder)
    assert post.problem_with_git(folder) is None
    run("git", "add", "--force", ".env", cwd=folder)
    problem = post.problem_with_git(str(folder))
    assert "\n" not in problem
    run("bash", "-ec", problem.rpartition(": ")[2], cwd=folder.parent)
    assert post.problem_with_git(folder) is None


def test_a_gitignore_without_env_is_reported_with_its_fix(folder: Path) -> None:
    """With -f and -s an owner's own .gitignore stays."""
    (folder / ".gitignore").write_text("/mine\n")
    problem = post.problem_with_git(str(folder))
    assert "\n" not in problem
    run("bash", "-ec", problem.rpartition(": ")[2], cwd=folder.parent)
    assert post.problem_with_git(folder) is None
    assert (folder / ".gitignore").read_text() == "/mine\n.env\n"


@pytest.mark.parametrize("missing", [True, False], ids=["no git", "no rule"])
def test_without_git_there_is_no_problem_and_without_a_rule_there_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, missing: bool
) -> None:
    (folder / ".gitignore").unlink()
    if missing:
        monkeypatch.setenv("PATH", str(folder))
    assert (post.problem_with_git(folder) is None) == missing


def test_on_windows_a_folder_is_quoted_for_its_shells() -> None:
    """cmd knows double quotes alone, and a folder's name can't hold one."""
    assert post.shell_quoted(r"C:\R&D\my service", windows=True) == r'"C:\R&D\my service"'


def test_a_git_that_fails_gives_its_reason_in_a_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(post.GitError, match=r"^fatal: not a git repository: .*nowhere$"):
        post.problem_with_git(folder)
    program = folder / "git"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    monkeypatch.setenv("PATH", str(folder))
    for mode, reason in ((0o755, "^exit status -9$"), (0o644, "^git: Permission denied$")):
        program.chmod(mode)
        with pytest.raises(post.GitError, match=reason):
            post.problem_with_git(folder)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[tool.uv.workspace]\nmembers = ["*"]\n', True),
        ('[tool.uv]\nworkspace.members = ["*"]\n', True),
        ('[project]\nname = "other"\n[tool.uv]\npackage = false\n', False),
        ("", False),
        ("tool = 1", False),
        ("[tool]\nuv = 1", False),
        ("[tool", False),
        ("\xff", False),
    ],
)
def test_a_uv_workspace_is_recognised_and_a_foreign_file_fails_nothing(tmp_path: Path, text: str, found: bool) -> None:
    project = tmp_path / "services" / "named"
    project.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(text, "latin-1")
    assert post.workspace_around(str(project)) == (str(tmp_path) if found else None)
    (tmp_path / "services" / "pyproject.toml").write_text('[project]\nname = "between"\nversion = "1"\n')
    assert post.workspace_around(str(project)) is None
