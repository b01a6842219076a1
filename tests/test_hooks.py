"""The raw hooks, as functions."""

import importlib.util
import keyword
import os
import re
import shutil
import sys
from importlib.metadata import packages_distributions
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
def test_a_name_of_the_right_form_is_refused_only_when_it_is_taken(slug: str) -> None:
    assert (pre.problem(slug) is not None) == (slug in pre.TAKEN)


@given(st.text(max_size=60))
def test_any_other_name_is_refused_in_one_line_with_a_name_that_would_do(slug: str) -> None:
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
    }.items(),
)
def test_examples(slug: str, instead: str) -> None:
    assert f"'{instead}' would do." in pre.problem(slug)


def test_nothing_that_can_be_imported_in_a_project_is_a_name(project: Project) -> None:
    """A package of that name would hide it. This fails when a dependency brings a new module."""
    names = {*sys.stdlib_module_names, *keyword.kwlist}
    listing = "import importlib.metadata as m; print(*m.packages_distributions(), sep='\\n')"
    names.update(project.run("python", "-c", listing).split())
    distributions = "import importlib.metadata as m; print(*(d.name for d in m.distributions()), sep='\\n')"
    names.update(project.run("python", "-c", distributions).lower().replace("-", "_").split())
    names -= {project.path.name}
    assert len(names) > 250
    assert [name for name in sorted(names) if pre.problem(name) is None] == []
    assert "cookiecutter" in packages_distributions()  # which a project has not: it may be called so
    assert pre.problem("cookiecutter") is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A rendered project as far as the post-generation hook looks at it."""
    for name in (".env.example", ".gitignore"):
        shutil.copy(RAW_PROJECT / name, tmp_path)
    return tmp_path


def test_mint_writes_a_private_file_with_a_key_of_64_hex_digits(folder: Path) -> None:
    assert post.mint(folder)
    env = folder / ".env"
    lines = env.read_text().splitlines()
    assert [line for line in lines if re.fullmatch("SECRET_KEY=[0-9a-f]{64}", line)] == lines[-1:]
    assert "APP_ENV=development" in lines
    assert os.name != "posix" or env.stat().st_mode & 0o777 == 0o600


def test_mint_never_overwrites_nor_follows(folder: Path) -> None:
    env = folder / ".env"
    env.write_text("mine")
    env.chmod(0o640)
    assert not post.mint(folder)
    assert (env.read_text(), env.stat().st_mode & 0o777) == ("mine", 0o640)
    env.unlink()
    env.symlink_to(folder / "elsewhere")
    assert not post.mint(folder)
    assert not (folder / "elsewhere").exists()


def test_mint_leaves_no_half_written_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(descriptor: int, *_: object, **__: object) -> None:
        os.close(descriptor)
        raise OSError(28, "No space left on device")

    (folder / ".env.example").chmod(0o644)
    text = (folder / ".env.example").open(encoding="utf-8")
    files = iter([lambda *_, **__: text, full_disk])
    monkeypatch.setattr(post, "open", lambda *a, **k: next(files)(*a, **k), raising=False)
    with pytest.raises(OSError, match="No space left"):
        post.mint(folder)
    assert not (folder / ".env").exists()


@pytest.mark.parametrize("spawn", [True, False], ids=["posix", "elsewhere"])
def test_a_tracked_env_is_told_with_its_cure(folder: Path, monkeypatch: pytest.MonkeyPatch, spawn: bool) -> None:
    if not spawn:
        monkeypatch.delattr(os, "posix_spawnp")
    post.mint(folder)
    assert post.problem_with_git(folder) is None
    run("git", "add", "--force", ".env", cwd=folder)
    problem = post.problem_with_git(folder)
    assert "git rm --cached .env" in problem
    assert "\n" not in problem
