"""Generating: the tree, the key, the free text, what is refused, and doing it again."""

import ast
import fnmatch
import json
import os
import re
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
.dockerignore .env .env.example .flaskenv .gitignore .pre-commit-config.yaml
.github/dependabot.yml .github/workflows/ci.yml .github/workflows/template.yml
Dockerfile Makefile README.md compose.yaml gunicorn.conf.py pyproject.toml
deploy/SLUG@.service deploy/flask deploy/kubernetes.yaml deploy/nginx.conf deploy/restart
docs/changing-the-key.md docs/containers.md docs/kubernetes.md docs/one-machine.md
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


def lines(project: Path, *patterns: str) -> dict[str, int]:
    """The lines of each file of `project` that one of `patterns` matches."""
    paths = [path for pattern in patterns for path in project.glob(pattern)]
    assert paths
    return {path.relative_to(project).as_posix(): len(path.read_text("utf-8").splitlines()) for path in paths}


@pytest.mark.parametrize(
    ("pattern", "together", "each"),
    [
        (f"src/{SLUG}/**/*.py", 200, 200),
        ("src/flask_secure/**/*.py", 1400, 220),
        ("tests/**/*.py", 150, 150),
        ("README.md", 80, 80),
        ("deploy/*", 300, 60),
        ("docs/*.md", 400, 125),
        ("src/flask_secure/README.md", 160, 160),
    ],
)
def test_a_project_can_be_read_in_a_sitting(fresh: Path, pattern: str, together: int, each: int) -> None:
    counted = lines(fresh, pattern)
    assert sum(counted.values()) <= together, counted
    assert {name: count for name, count in counted.items() if count > each} == {}


def test_the_hooks_can_be_read_at_once() -> None:
    assert sum(lines(TEMPLATE, "hooks/*.py").values()) <= 150


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
        else:
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


# git


def test_a_project_is_a_repository_with_nothing_committed(fresh: Path) -> None:
    assert (fresh / ".git").is_dir()
    run("git", "rev-parse", "--verify", "--quiet", "HEAD", cwd=fresh, code=1)
    run("git", "add", "--all", cwd=fresh)
    tracked = set(run("git", "ls-files", cwd=fresh).split())
    assert tracked == set(files(fresh)) - {".env"}


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


def test_a_tracked_env_fails_generation(tmp_path: Path) -> None:
    run("git", "init", "--quiet", cwd=tmp_path)
    (tmp_path / SLUG).mkdir()
    (tmp_path / SLUG / ".env").write_text("SECRET_KEY=x\n")
    run("git", "add", "--force", ".", cwd=tmp_path)
    output = run(*bake_command("--no-input", "-f"), cwd=tmp_path, code=1)
    assert output.startswith("git does not ignore .env in ")
    assert (tmp_path / SLUG / ".env").read_text() == "SECRET_KEY=x\n"


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


def test_a_rejected_slug_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").write_text("mine")
    run(*bake_command("--no-input", "project_slug=a/b"), cwd=tmp_path, code=1)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["a", "a/mine"]


# Free text

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80).filter(
    lambda text: not re.search(r"\r|\{[{%#]", text)  # cookiecutter renders what comes by its command line
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
