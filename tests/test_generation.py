"""Generating: the tree, the key, the free text, what is refused, and doing it again."""

import ast
import fnmatch
import json
import os
import re
import shlex
import shutil
import stat
import sys
import tempfile
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from packaging.requirements import Requirement
from support import (
    LIBRARY,
    RAW_PACKAGE,
    RAW_PROJECT,
    SLUG,
    TEMPLATE,
    Project,
    bake,
    bake_command,
    clean_environ,
    commit_all,
    copy_template,
    files,
    key_of,
    run,
)

TREE = """
.dockerignore .env .env.example .flaskenv .gitattributes .gitignore .pre-commit-config.yaml
.github/dependabot.yml .github/workflows/ci.yml .github/workflows/template.yml
AGENTS.md CLAUDE.md Dockerfile Makefile README.md compose.yaml gunicorn.conf.py pyproject.toml
deploy/SLUG@.service deploy/flask deploy/kubernetes.yaml deploy/nginx.conf deploy/restart
docs/README.md docs/changing-the-key.md docs/containers.md docs/kubernetes.md docs/larger-repository.md
docs/one-machine.md docs/policy.md
src/SLUG/__init__.py src/SLUG/errors.py src/SLUG/health.py src/SLUG/pages.py
src/SLUG/config/default.py src/SLUG/config/development.py src/SLUG/config/production.py src/SLUG/config/testing.py
src/SLUG/static/favicon.svg src/SLUG/static/style.css
src/SLUG/templates/base.html src/SLUG/templates/error.html src/SLUG/templates/index.html
tests/conftest.py tests/test_pages.py tests/test_service.py
"""


def expected() -> set[str]:
    """The paths of a project: the service's, and the library's as they lie in the template."""
    library = {f"src/flask_secure/{name}" for name in files(LIBRARY)}
    return {*TREE.replace("SLUG", SLUG).split(), *library}


# The project


def test_every_test_that_the_threat_model_names_is_there() -> None:
    named = re.findall(r"`(tests/\w+\.py)::(\w+)`", (TEMPLATE / "SECURITY.md").read_text())
    assert len(named) > 15
    assert [each for each in named if f"\ndef {each[1]}(" not in (TEMPLATE / each[0]).read_text()] == []


# The tree


def test_the_exact_set_of_files(fresh: Path) -> None:
    assert set(files(fresh)) == expected()


@pytest.mark.parametrize("version", ["3.1.2", "3.2.0a1", "3.2.0", "4.0"])
def test_flask_is_a_version_that_every_answer_was_tried_on(fresh: Path, version: str) -> None:
    """In a project and in the wheel. 3.2 kills every page of development (Flask-DebugToolbar's dispatch_request)."""
    for path in (fresh / "pyproject.toml", TEMPLATE / "pyproject.toml"):
        listed = [Requirement(each) for each in tomllib.loads(path.read_text())["project"]["dependencies"]]
        (flask,) = (each for each in listed if each.name == "flask")
        assert flask.specifier.contains("3.1.3")
        assert not flask.specifier.contains(version, prereleases=True)


def test_sources_are_valid_as_they_lie() -> None:
    sources = list(RAW_PROJECT.rglob("*.py"))
    assert len(sources) > 15
    for path in sources:
        ast.parse(path.read_text(), str(path))


def test_the_raw_package_imports_and_makes_an_application() -> None:
    load = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("raw", sys.argv[1], submodule_search_locations=[sys.argv[2]])
module = importlib.util.module_from_spec(spec)
sys.modules["raw"] = module
spec.loader.exec_module(module)
app = module.create_app("testing")
assert app.test_client().get("/healthz").json == {"status": "ok"}
"""
    env = clean_environ(PYTHONPATH=str(RAW_PROJECT / "src"), DATABASE_URL="sqlite://")
    run(sys.executable, "-B", "-c", load, RAW_PACKAGE / "__init__.py", RAW_PACKAGE, cwd=TEMPLATE, env=env)


def test_only_files_with_an_answer_in_them_are_rendered(fresh: Path, tmp_path: Path) -> None:
    """A file in _copy_without_render stays as it is; every other one says something that was asked."""
    baked = files(bake(tmp_path / "others", code_host="gitlab", data="accounts")) | files(fresh)
    patterns = json.loads((TEMPLATE / "cookiecutter.json").read_text())["_copy_without_render"]
    for inner, data in files(RAW_PROJECT).items():
        paths = (inner, *(parent.as_posix() for parent in Path(inner).parents))
        if any(fnmatch.fnmatch(path, pattern) for path in paths for pattern in patterns):
            assert data == baked[inner.replace(RAW_PACKAGE.name, SLUG)], inner
        elif inner != ".accept-hooks":  # which is never written
            assert b"cookiecutter." in data, inner


def test_the_library_is_the_only_folder_that_is_copied_whole() -> None:
    """cookiecutter empties such a folder with -f: in another one an owner would lose files."""
    patterns = json.loads((TEMPLATE / "cookiecutter.json").read_text())["_copy_without_render"]
    folders = [path.relative_to(RAW_PROJECT).as_posix() for path in RAW_PROJECT.rglob("*") if path.is_dir()]
    copied = [path for path in folders if any(fnmatch.fnmatch(path, pattern) for pattern in patterns)]
    assert copied == ["src/flask_secure"]


def test_at_most_six_questions_each_a_sentence() -> None:
    asked = json.loads((TEMPLATE / "cookiecutter.json").read_text())
    questions = [name for name in asked if not name.startswith("_")]
    assert set(asked["__prompts__"]) == set(questions)
    assert len(questions) <= 6
    prompts = asked["__prompts__"].values()
    sentences = [prompt if isinstance(prompt, str) else prompt["__prompt__"] for prompt in prompts]
    assert all(sentence.endswith("?") for sentence in sentences)


def test_enter_at_every_question_gives_a_working_project(tmp_path: Path) -> None:
    output = run(*bake_command(), cwd=tmp_path, text="\n" * 6)
    assert "What is the service called? (My Flask Service)" in output
    assert set(files(tmp_path / SLUG)) == expected()


def test_a_name_with_quotes_passes_the_linters(tmp_path: Path) -> None:
    project = bake(tmp_path, project_name='Jörg\'s "Quoted" Shop', description='Sells "Brötchen" & <b>more</b>')
    ruff = Path(sys.executable).with_name("ruff")
    run(ruff, "format", "--check", cwd=project)
    run(ruff, "check", cwd=project)


def test_without_its_hooks_nothing_is_generated_and_the_option_is_named(tmp_path: Path) -> None:
    output = run(*bake_command("--no-input", "--accept-hooks", "no"), cwd=tmp_path, code=1)
    assert "--accept-hooks yes" in output.splitlines()[1]
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


def test_without_its_hooks_a_project_that_is_there_is_left_as_it_is(fresh: Path) -> None:
    (fresh / "Makefile").write_text("mine\n")
    before = files(fresh)
    run(*bake_command("--no-input", "--accept-hooks", "no", "-f"), cwd=fresh.parent, code=1)
    assert files(fresh) == before
    run(*bake_command("--no-input", "--accept-hooks", "yes", "-f", "-s"), cwd=fresh.parent)
    assert files(fresh) == before
    assert not (fresh / ".accept-hooks").exists()


# The key


def test_two_projects_have_two_keys(tmp_path: Path) -> None:
    keys = {key_of(bake(tmp_path / name)) for name in "ab"}
    assert len(keys) == 2
    assert all(re.fullmatch("[0-9a-f]{64}", key) for key in keys)


def test_the_key_is_in_env_and_nowhere_else(tmp_path: Path) -> None:
    """Not on the screen, in the replay file, in git, in another file of the project, or in what the hooks leave."""
    places = {name: tmp_path / name for name in ("home", "temporary", "work")}
    for place in places.values():
        place.mkdir()
    env = clean_environ(
        HOME=str(places["home"]), USERPROFILE=str(places["home"]), TMPDIR=str(places["temporary"]), PYTHONUTF8="1"
    )
    command = [word for word in bake_command("--no-input") if word != "--default-config"]
    output = run(*command, cwd=places["work"], env=env)
    assert len(output.splitlines()) == 3
    assert f"cd {SLUG}\n" in output
    project = places["work"] / SLUG
    key = key_of(project)
    assert key not in output
    assert list(places["temporary"].iterdir())  # the rendered hooks, which cookiecutter leaves
    assert (places["home"] / ".cookiecutter_replay").exists()
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    assert holders == [project / ".env"]
    assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600


def test_the_key_is_in_no_wheel_and_no_sdist(project: Project, tmp_path: Path) -> None:
    run("uv", "build", "--quiet", "--out-dir", tmp_path, cwd=project.path)
    archives = list(tmp_path.glob("*.whl")) + list(tmp_path.glob("*.tar.gz"))
    assert len(archives) == 2
    for archive in archives:
        shutil.unpack_archive(archive, tmp_path / "unpacked", "zip" if archive.suffix == ".whl" else "gztar")
    unpacked = files(tmp_path / "unpacked")
    for name in (
        "templates/index.html",
        "flask_secure/__init__.py",
        "flask_secure/security.html",
        "flask_secure/LICENSE",
    ):
        assert any(path.endswith(name) for path in unpacked), name
    assert not [name for name, data in unpacked.items() if project.key.encode() in data or Path(name).name == ".env"]


# What the hook prints


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_terminal_without_the_folders_letters_fails_no_generation(tmp_path: Path, encoding: str) -> None:
    """The third is for a folder whose name is no UTF-8, which Python holds as a lone surrogate."""
    folder = tmp_path / ("Łukasz" if encoding != "utf-8" else os.fsdecode(b"\xff"))
    folder.mkdir()
    env = clean_environ(PYTHONIOENCODING=encoding)
    output = run(*bake_command("--no-input", "-o", folder), cwd=tmp_path, env=env)
    assert "uv run flask run" in output
    assert len(key_of(folder / SLUG)) == 64


@pytest.mark.parametrize("stdout", ["a pipe that nobody reads", "a full disk", "closed"])
def test_a_hook_that_cannot_print_fails_no_generation(tmp_path: Path, stdout: str) -> None:
    command = shlex.join(bake_command("--no-input"))
    where = {"a pipe that nobody reads": "| true", "a full disk": "> /dev/full", "closed": ">&-"}[stdout]
    script = f"set -o pipefail; {{ sleep 0.2; {command}; }} {where}"
    assert run("bash", "-c", script, cwd=tmp_path) == ""
    assert len(key_of(tmp_path / SLUG)) == 64


@pytest.mark.parametrize("name", ["R&D", "it's", "$HOME", "two words", "a;b", '"', "*", "`id`"])
def test_the_printed_commands_run_as_they_are(tmp_path: Path, name: str) -> None:
    """`cd` is the only one that depends on the folder; what would follow it is replaced."""
    (tmp_path / name).mkdir()
    output = run(*bake_command("--no-input", "-o", tmp_path / name), cwd=tmp_path)
    commands = [line for line in output.splitlines() if line.startswith("  ")]
    assert run("bash", "-ec", f"{commands[0]}\npwd", cwd=tmp_path) == f"{tmp_path / name / SLUG}\n"


# git


def test_a_project_is_a_repository_with_nothing_committed(fresh: Path) -> None:
    assert (fresh / ".git").is_dir()
    run("git", "rev-parse", "--verify", "--quiet", "HEAD", cwd=fresh, code=1)
    run("git", "add", "--all", cwd=fresh)
    tracked = set(run("git", "ls-files", cwd=fresh).split())
    assert tracked == set(files(fresh)) - {".env"}


def test_a_clone_and_a_release_on_windows_have_the_lines_of_linux(fresh: Path, tmp_path: Path) -> None:
    """Git for Windows sets core.autocrlf. A line that was saved with CRLF is committed, and released, with LF."""
    (fresh / "deploy" / "restart").write_bytes((fresh / "deploy" / "restart").read_bytes().replace(b"\n", b"\r\n"))
    (fresh / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    commit_all(fresh)
    clone, release = tmp_path / "clone", tmp_path / "release"
    run("git", "-c", "core.autocrlf=true", "clone", "--quiet", fresh, clone, cwd=tmp_path)
    run("git", "-c", "core.autocrlf=true", "archive", "--output", tmp_path / "release.tar", "HEAD", cwd=clone)
    shutil.unpack_archive(tmp_path / "release.tar", release)
    for folder in (clone, release):
        assert [name for name, data in files(folder).items() if b"\r\n" in data] == ["picture.png"]
    run("sh", "-n", "deploy/restart", cwd=release)


@pytest.mark.parametrize(
    "name", [".env", ".env.local", ".env~", ".env.bak", ".env.rej", ".env.orig", ".env copy", "prod.env", ".env.swp"]
)
def test_whatever_holds_the_key_is_ignored(fresh: Path, name: str) -> None:
    run("git", "check-ignore", name, cwd=fresh)
    run("git", "check-ignore", f"src/{name}", cwd=fresh)
    run("git", "check-ignore", ".env.example", cwd=fresh, code=1)


def test_inside_another_repository_there_is_no_second_one(tmp_path: Path) -> None:
    run("git", "init", "--quiet", cwd=tmp_path)
    project = bake(tmp_path / "services")
    assert not (project / ".git").exists()
    run("git", "check-ignore", f"services/{SLUG}/.env", cwd=tmp_path)


@pytest.mark.parametrize(
    ("host", "ignored"), [("github", ".github"), ("gitlab", ".gitlab-ci.yml"), ("elsewhere", None)]
)
def test_jobs_that_cannot_run_in_a_sub_folder_are_named(tmp_path: Path, host: str, ignored: str | None) -> None:
    """Code hosts look at the root of a repository. A project that is that root has nothing to be told."""
    alone = run(*bake_command("--no-input", f"code_host={host}"), cwd=tmp_path)
    again = run(*bake_command("--no-input", "-f", f"code_host={host}"), cwd=tmp_path)
    assert [len(output.splitlines()) for output in (alone, again)] == [3, 3]
    run("git", "init", "--quiet", cwd=tmp_path)
    shutil.rmtree(tmp_path / SLUG)
    output = run(*bake_command("--no-input", f"code_host={host}"), cwd=tmp_path)
    if ignored is None:
        assert output == alone
    else:
        (line,) = [line for line in output.splitlines() if ignored in line.split()]
        assert str(tmp_path) in line
        guide = (tmp_path / SLUG / output.split()[-1]).read_text()
        assert f"`{ignored}`" in guide


def test_in_a_uv_workspace_the_guide_gives_the_project_its_own_lock_file(tmp_path: Path) -> None:
    """As a member it has none, and its image can't be built."""
    root = tmp_path / "pyproject.toml"
    root.write_text('[tool.uv.workspace]\nmembers = ["services/*"]\n')
    (tmp_path / "services").mkdir()
    output = run(*bake_command("--no-input"), cwd=tmp_path / "services")
    project = tmp_path / "services" / SLUG
    run("uv", "lock", "--quiet", cwd=project)
    assert not (project / "uv.lock").exists()
    guide = (project / output.split()[-1]).read_text()
    exclude = re.search("^exclude = .*$", guide, re.M)
    assert exclude is not None
    root.write_text(f"{root.read_text()}{exclude[0]}\n")
    run("uv", "lock", "--quiet", cwd=project)
    assert (project / "uv.lock").exists()


@pytest.mark.parametrize("there", [True, False], ids=["again", "for the first time"])
def test_a_tracked_env_fails_generation_with_a_fix_that_works(tmp_path: Path, there: bool) -> None:
    """Git may track an .env of a project that is gone: then cookiecutter removes the new project."""
    run("git", "init", "--quiet", cwd=tmp_path)
    (tmp_path / SLUG).mkdir()
    (tmp_path / SLUG / ".env").write_text("SECRET_KEY=x\n")
    run("git", "add", "--force", ".", cwd=tmp_path)
    if not there:
        shutil.rmtree(tmp_path / SLUG)
    output = run(*bake_command("--no-input", "-f"), cwd=tmp_path, code=1)
    problem = output.splitlines()[0]
    assert problem.startswith("git does not ignore .env in ")
    assert (tmp_path / SLUG).exists() == there
    run("bash", "-ec", problem.rpartition(": ")[2], cwd=tmp_path)
    run(*bake_command("--no-input", "-f"), cwd=tmp_path)
    assert ((tmp_path / SLUG / ".env").read_text() == "SECRET_KEY=x\n") == there
    run("git", "check-ignore", f"{SLUG}/.env", cwd=tmp_path)


@pytest.mark.parametrize("inside", [True, False], ids=["inside another repository", "a repository of its own"])
def test_a_repository_of_another_user_loses_no_project_and_is_called_that(tmp_path: Path, inside: bool) -> None:
    """Git refuses to read it, so whether it ignores .env is not known, and nobody says that it does not."""
    if inside:
        run("git", "init", "--quiet", cwd=tmp_path)
    env = clean_environ(GIT_TEST_ASSUME_DIFFERENT_OWNER="1", HOME=str(tmp_path))
    output = run(*bake_command("--no-input"), cwd=tmp_path, env=env)
    assert "dubious ownership" in output
    assert "does not ignore" not in output
    assert len(key_of(tmp_path / SLUG)) == 64
    # The line that git itself offers, then ours.
    allow = re.search("git config --global --add safe.directory .*", output)
    assert allow is not None
    (check,) = [line for line in output.splitlines() if line.startswith("  git ")]
    run("bash", "-ec", check, cwd=tmp_path, env=env, code=128)
    run("bash", "-ec", allow[0], cwd=tmp_path, env=env)
    for folder in (tmp_path, tmp_path / SLUG):  # before and after the printed cd
        assert run("bash", "-ec", check, cwd=folder, env=env) == ".env\n"


def test_a_git_that_only_fails_loses_no_project(tmp_path: Path) -> None:
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\necho 'fatal: no library' >&2\nexit 128\n")
    program.chmod(0o755)
    output = run(*bake_command("--no-input"), cwd=tmp_path, env=clean_environ(PATH=f"{tmp_path}:/usr/bin:/bin"))
    assert "fatal: no library" in output
    assert "does not ignore" not in output
    assert len(key_of(tmp_path / SLUG)) == 64


def test_the_configuration_of_a_repository_around_it_starts_no_program(tmp_path: Path) -> None:
    """Neither what watches files, nor what fetches for a partial clone."""
    started = tmp_path / "started"
    run("git", "init", "--quiet", cwd=tmp_path)
    rules = tmp_path / ".gitignore"
    rules.write_text("*.log\n")
    commit_all(tmp_path)
    blob = run("git", "rev-parse", "HEAD:.gitignore", cwd=tmp_path).strip()
    run("git", "update-index", "--skip-worktree", ".gitignore", cwd=tmp_path)
    rules.unlink()
    (tmp_path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for name, value in {
        "core.fsmonitor": f"touch {started}; false",
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::touch {started}",
        "protocol.ext.allow": "always",
    }.items():
        run("git", "config", name, value, cwd=tmp_path)
    project = bake(tmp_path / "services")
    assert not started.exists()
    for guard in ("core.fsmonitor=", "remote.origin.promisor=false"):  # each alone starts one
        run("git", "-c", guard, "check-ignore", ".env", cwd=project, code=None)
        assert started.exists(), guard
        started.unlink()


def test_without_git_it_works_and_says_nothing_of_it(tmp_path: Path) -> None:
    output = run(*bake_command("--no-input"), cwd=tmp_path, env=clean_environ(PATH=str(tmp_path)))
    assert "git" not in output.replace(str(tmp_path), "")
    assert not (tmp_path / SLUG / ".git").exists()
    assert len(key_of(tmp_path / SLUG)) == 64


def test_from_a_git_hook_the_other_repository_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    run("git", "init", "--quiet", cwd=other)
    work = tmp_path / "work"
    work.mkdir()
    run(*bake_command("--no-input"), cwd=work, env=clean_environ(GIT_DIR=str(other / ".git")))
    assert (work / SLUG / ".git").is_dir()


# Doing it again


@pytest.mark.parametrize("options", [["-f"], ["-f", "-s"]])
def test_generating_again_replaces_the_library_and_keeps_what_is_the_owners(fresh: Path, options: list[str]) -> None:
    """The key, its file's mode and an owner's own files stay; of the library, no older file does."""
    before = (fresh / ".env").read_bytes()
    (fresh / ".env").chmod(0o640)
    own = [fresh / f"src/{SLUG}/templates/own.html", fresh / "tests/test_own.py", fresh / "src/own/__init__.py"]
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    library = fresh / "src" / "flask_secure"
    (library / "keys.py").write_text("# broken\n")
    (library / "of_an_older_version.py").touch()
    output = run(*bake_command("--no-input", *options), cwd=fresh.parent)
    assert (fresh / ".env").read_bytes() == before
    assert stat.S_IMODE((fresh / ".env").stat().st_mode) == 0o640
    assert [path.read_text() for path in own] == ["mine"] * 3
    assert ".env is as it was" in output
    assert files(library) == files(LIBRARY)


def test_cruft_neither_shows_nor_touches_the_key(tmp_path: Path) -> None:
    """create, change the template, diff, update: with cruft itself."""
    template = tmp_path / "template"
    copy_template(template)
    commit_all(template)
    cruft = Path(sys.executable).with_name("cruft")
    env = clean_environ(HOME=str(tmp_path), GIT_CONFIG_GLOBAL=os.devnull)
    created = run(cruft, "create", "--no-input", template, cwd=tmp_path, env=env)
    assert created == ""  # the hook runs in a temporary folder, which is of no use to anyone
    project = tmp_path / SLUG
    commit_all(project)
    env_file = project / ".env"
    before, key = env_file.read_bytes(), key_of(project)
    assert key not in (project / ".cruft.json").read_text()

    example = template / RAW_PROJECT.name / ".env.example"
    example.write_text(example.read_text() + "# a new line\n")
    (template / RAW_PROJECT.name / "Makefile").write_text("# new\n")
    commit_all(template)
    assert key not in run(cruft, "diff", cwd=project, env=env)
    output = run(cruft, "update", "--skip-apply-ask", cwd=project, env=env)
    assert key not in output
    assert "ready" not in output
    assert tempfile.gettempdir() not in output
    assert (project / "Makefile").read_text() == "# new\n"
    assert "# a new line" in (project / ".env.example").read_text()
    assert env_file.read_bytes() == before
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    assert not list(project.rglob("*.rej"))
    run("git", "log", "-1", cwd=project)


# Bad names


@pytest.mark.parametrize(
    "slug",
    ["a/b", "../evil", "a/../b", "class", "flask", "boto3", "redis", "flask_secure", "My App", "3d", "x y", "Ünï"],
)
def test_a_bad_slug_is_rejected_in_the_first_line(tmp_path: Path, slug: str) -> None:
    """No project is left, at most the parents of a slug with slashes, which cookiecutter makes."""
    work = tmp_path / "work"
    work.mkdir()
    output = run(*bake_command("--no-input", f"project_slug={slug}"), cwd=work, code=1)
    first = output.splitlines()[0]
    assert first.startswith("project_slug ")
    assert "would do." in first
    assert "Traceback (most recent call last)" not in first
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []
    assert "/" in slug or list(tmp_path.rglob("*")) == [work]


@pytest.mark.parametrize("name", [" ", "\t ", "\u2003"])
def test_a_blank_name_is_rejected_in_the_first_line(tmp_path: Path, name: str) -> None:
    output = run(*bake_command("--no-input", f"project_name={name}"), cwd=tmp_path, code=1)
    assert output.splitlines()[0].startswith("project_name is blank. ")
    assert list(tmp_path.iterdir()) == []


def test_a_rejected_slug_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").write_text("mine")
    run(*bake_command("--no-input", "project_slug=a/b"), cwd=tmp_path, code=1)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["a", "a/mine"]


# Free text; a name that is blank is rejected

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80).filter(
    lambda text: (
        text.strip() and not re.search(r"\r|\{[{%#]", text)
    )  # cookiecutter renders what comes by its command line
)
NASTY = [
    'O\'Brien "quoted" app',
    "back\\slash \\n \\u0041 \\",
    "</script><script>alert(1)</script>",
    "& < > {} [] : - # % @ ` ! | * _ ~ $",
    "a\nb\tc",
    "\N{GRINNING FACE} \N{FAMILY} e\u0301 \u202e \ufeff \u2028",
    "\x00\x01\x1b[31m\x7f\x85",
    '"""\n[tool]\n\'\'\'',
    "---\n- yaml: {a: b}",
    "-", "1. one", "    code", "=", "+ x",
]  # fmt: skip


class Text(HTMLParser):
    """The text of the first element of a kind."""

    def __init__(self, html: str, tag: str) -> None:
        super().__init__()
        self.tag, self.inside, self.parts = tag, 0, []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == self.tag and self.inside == 0:
            self.inside = 1
        if tag == "br" and self.inside == 1:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self.tag and self.inside == 1:
            self.inside = 2

    def handle_data(self, data: str) -> None:
        if self.inside == 1:
            self.parts.append(data)

    def text(self) -> str:
        return "".join(self.parts)


def check_text(project: Path, name: str, description: str) -> None:
    """Every file parses, and those that say the text say exactly that."""
    for path in project.rglob("*.py"):
        ast.parse(path.read_bytes(), str(path))
    metadata = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    assert metadata["description"] == description
    source = (project / "src" / "named" / "config" / "default.py").read_bytes().decode()
    settings_ = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }
    assert settings_["SERVICE_NAME"] == name
    assert settings_["SERVICE_DESCRIPTION"] == description
    html = MarkdownIt().render((project / "README.md").read_bytes().decode())
    if "\x00" not in name + description:  # which Markdown can't say
        assert Text(html, "h1").text() == "\n".join(name.splitlines())
        assert Text(html, "p").text() == "\n".join(description.splitlines())


@pytest.mark.parametrize("text", NASTY)
def test_free_text_is_data(tmp_path: Path, text: str) -> None:
    check_text(bake(tmp_path, project_name=text, project_slug="named", description=text), text, text)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=TEXT, description=TEXT)
def test_any_free_text_is_data(tmp_path: Path, name: str, description: str) -> None:
    project = bake(tmp_path, project_name=name, project_slug="named", description=description)
    try:
        check_text(project, name, description)
    finally:
        shutil.rmtree(project)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=TEXT)
def test_a_name_gives_a_package_name_that_would_do(tmp_path: Path, name: str) -> None:
    try:
        shutil.rmtree(bake(tmp_path, project_name=name))
    except Exception as refused:  # only a name such as "class" is, and with a line that says what would do
        assert "pre_gen_project" in str(refused) or "Hook script failed" in str(refused)  # noqa: PT017
        assert list(tmp_path.iterdir()) == []


def test_jinja_typed_at_the_question_is_data(tmp_path: Path) -> None:
    name, description = "{{ cookiecutter }} {% raw %}", "{{ 7 * 7 }} {# no #} {% endraw %}"
    run(*bake_command(), cwd=tmp_path, text=f"{name}\nnamed\n{description}\n\n\n")
    check_text(tmp_path / "named", name, description)


def test_a_service_with_such_a_name_runs(tmp_path: Path) -> None:
    """Its page says the name, and its own tests pass."""
    text = NASTY[0] + NASTY[1] + NASTY[2] + NASTY[5]
    baked = bake(tmp_path, project_name=text, project_slug="named", description=text)
    python = ("uv", "run", "--quiet", "--python", sys.executable, "python")
    run(*python, "-m", "pytest", "-q", cwd=baked)
    page = "from named import create_app; print(create_app('testing').test_client().get('/').get_data(as_text=True))"
    output = run(*python, "-c", page, cwd=baked, env=clean_environ(PYTHONUTF8="1"))
    assert Text(output, "h1").text() == text


def test_an_env_that_cannot_be_made_is_told_in_a_line(tmp_path: Path) -> None:
    template = tmp_path / "template"
    for name in ("hooks", RAW_PROJECT.name):
        shutil.copytree(TEMPLATE / name, template / name)
    shutil.copy(TEMPLATE / "cookiecutter.json", template)
    (template / RAW_PROJECT.name / ".env.example").unlink()
    (template / RAW_PROJECT.name / ".env.example").mkdir()
    command = [*bake_command()[:2], str(template), "--no-input"]
    output = run(*command, cwd=tmp_path, code=1)
    assert output.splitlines()[0] == f"No key was written to {tmp_path / SLUG / '.env'}: Is a directory."
    assert not (tmp_path / SLUG).exists()
