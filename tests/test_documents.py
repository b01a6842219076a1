"""The pages: every command is run, or listed with the reason; links lead somewhere; coding agents' commands work."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from support import RAW_PROJECT, SLUG, TEMPLATE, Project, bake, clean_environ, commit_all, copy_template, run

ANSWERS = {
    "nothing": {"code_host": "elsewhere"},
    "database": {"data": "database", "code_host": "gitlab"},
    "accounts": {"data": "accounts", "code_host": "github"},
}
# Pages whose commands another module runs, in the order in which they are written.
RUN_ELSEWHERE = {
    "docs/accounts.md": "tests/test_accounts.py: the commands of an operator",
    "docs/containers.md": "tests/test_image.py",
    "docs/database.md": "tests/test_data.py",
    "docs/kubernetes.md": "tests/test_image.py",
    "docs/one-machine.md": "tests/test_host.py",
    "docs/policy.md": "tests/test_policy.py",
    "docs/uploads.md": "tests/test_data.py",
    "docs/recipes.md": "tests/test_aws.py",
    "src/flask_secure/README.md": "tests/test_keys.py, tests/test_library.py: each command, not as a page",
}
OF_AN_ANSWER = ("docs/accounts.md", "docs/database.md", "docs/uploads.md")
# Commands that no test here runs, by how they begin, and why.
NOT_RUN = {
    "uv run flask run": "serves until it is stopped; tests/test_browser.py does that",
    "flask run": "the same",
    "make run": "the same",
    "make demo": "the same",
    "make ci": "tests/test_ci.py",
    "make test": "tests/test_ci.py; in the template it is this run",
    "make test-all": "this run is a part of it",
    "make check": "tests/test_ci.py; in the template .ci/run",
    "make doctor": "tests/test_ci.py",
    "make fix": "changes files; a test below runs it in a project",
    "make benchmark": "takes minutes, and measures",
    "make picture": "writes the pictures in docs/",
    "uv run pytest": "tests/test_ci.py, by `make test`",
    "python3 -m venv .venv": "a test below runs the pip block as a whole",
    ". .venv/bin/activate": "the same",
    "pip install": "the same",
    "flask key init": "the same",
    "flask db upgrade": "the same",
    "flask key revoke": "asks a question; tests/test_keys.py",
    "(umask 077; flask key stage": "needs keys in variables; tests/test_keys.py",
    "export": "tests/test_service.py starts production with these variables",
    "flask --app": "the same",
    "gunicorn": "the same",
}
# What is a block of code and no command.
PROGRAMS = (
    "uv",
    "uvx",
    "make",
    "flask",
    "pip",
    "python",
    "python3",
    "cd",
    "export",
    "gunicorn",
    "cookiecutter",
    ".",
    "(umask",
)


def pages(folder: Path) -> list[Path]:
    """The Markdown files of a project or of the template, but for what is generated in it."""
    skipped = {".venv", ".tools", ".demo", ".git", "build", ".pytest_cache", RAW_PROJECT.name}
    found = [path for path in folder.rglob("*.md") if not skipped.intersection(path.relative_to(folder).parts)]
    assert len(found) > 5
    return sorted(found)


def tokens(text: str) -> Iterator[Token]:
    """All tokens of a page, those inside of paragraphs too."""
    for token in MarkdownIt().enable("table").parse(text):
        yield token
        yield from token.children or []


def commands(page: Path) -> list[str]:
    """The lines of a page's blocks of code that are commands, without their comments."""
    blocks = [token for token in tokens(page.read_text()) if token.type in ("fence", "code_block")]
    lines = [
        line.partition("  #")[0].strip()
        for block in blocks
        if block.info in ("", "sh") and block.content.split()[0] in PROGRAMS
        for line in block.content.splitlines()
    ]
    return [line for line in lines if line]


def inline(page: Path) -> set[str]:
    """The commands within sentences."""
    return {token.content for token in tokens(page.read_text()) if token.type == "code_inline"}


def reason(command: str) -> str | None:
    """Why a command is not run by this module."""
    return next((why for start, why in NOT_RUN.items() if command.startswith(start)), None)


@pytest.fixture(scope="module", params=ANSWERS)
def baked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project for each kind of answer."""
    return bake(tmp_path_factory.mktemp(request.param), **ANSWERS[request.param])


# Links


def anchor(heading: str) -> str:
    """What GitHub and GitLab make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    parsed = MarkdownIt().parse(page.read_text())
    pairs = pairwise(parsed)
    return {anchor(token.content) for before, token in pairs if before.type == "heading_open"}


def broken_links(page: Path, root: Path) -> list[str]:
    """The links and pictures of `page` that lead to no file or heading in `root`."""
    wrong = []
    for token in tokens(page.read_text()):
        target = str(token.attrs.get("href") or token.attrs.get("src") or "")
        if not target or re.match("[a-z]+:", target):
            continue
        path, _, heading = target.replace("%7B", "{").replace("%7D", "}").partition("#")
        file = (page.parent / path).resolve() if path else page
        is_found = file.exists() and file.is_relative_to(root.resolve())
        if not is_found or (heading and heading not in anchors(file)):
            wrong.append(target)
    return wrong


def test_every_link_of_a_project_leads_somewhere(baked: Path) -> None:
    assert {page.relative_to(baked).as_posix(): broken_links(page, baked) for page in pages(baked)} == {
        page.relative_to(baked).as_posix(): [] for page in pages(baked)
    }


def test_every_link_of_the_template_leads_somewhere() -> None:
    assert [(page.name, link) for page in pages(TEMPLATE) for link in broken_links(page, TEMPLATE)] == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One two\n\n[a](#one-two) [b](#three) [c](page.md) [d](none.md) ![e](none.png) [f](https://x.org)\n"
    )
    assert broken_links(page, tmp_path) == ["#three", "none.md", "none.png"]


@pytest.mark.parametrize("folder", ["project", "template"])
def test_the_index_has_every_page(folder: str, baked: Path) -> None:
    docs = (baked if folder == "project" else TEMPLATE) / "docs"
    index = (docs / "README.md").read_text()
    assert [page.name for page in docs.glob("*.md") if f"({page.name})" not in index] == ["README.md"]


# Commands


def test_every_command_of_a_project_is_run_or_has_a_reason(baked: Path) -> None:
    """Those that have neither are run here, in the order of the page."""
    unknown = []
    for page in pages(baked):
        name = page.relative_to(baked).as_posix()
        if name not in RUN_ELSEWHERE:
            unknown += [line for line in commands(page) if reason(line) is None and line not in RUN_HERE]
    assert unknown == []


def test_every_command_of_the_template_is_run_or_has_a_reason() -> None:
    lines = [line for page in pages(TEMPLATE) for line in commands(page) if page.name != "recipes.md"]
    assert len(lines) > 10
    assert [line for line in lines if reason(line) is None and line not in FIRST_SCREEN] == []


def test_every_page_that_is_run_elsewhere_is_there_and_its_tests_too(baked: Path) -> None:
    for name, where in RUN_ELSEWHERE.items():
        assert (baked / name).exists() or (TEMPLATE / name).exists() or name in OF_AN_ANSWER
        modules = re.findall(r"tests/\w+\.py", where)
        assert modules
        assert all((TEMPLATE / module).exists() for module in modules)


FIRST_SCREEN = ["uvx cookiecutter --output-dir .. .", "cd ../my_flask_service"]
# Of a project's README.md and AGENTS.md.
RUN_HERE = [
    "uv run flask key init",
    "uv run flask db upgrade",
    "make setup",
    "uv run flask doctor",
    "uv run flask doctor --env production",
    "uv run flask config",
    "uv run flask key show",
    "uv run flask key stage",
    "uv run flask key promote",
    "uv run flask key retire --force",
]


def test_the_first_screen_works_as_typed_from_a_clone(tmp_path: Path) -> None:
    """Up to `flask run`, which the project's own tests replace."""
    lines = commands(TEMPLATE / "README.md")[:3]
    assert lines == [*FIRST_SCREEN, "uv run flask run"]
    copy_template(tmp_path / "flask-secure")
    script = "\n".join(["set -e", *lines[:2], "uv run pytest -q"]).replace("cookiecutter ", "cookiecutter --no-input ")
    output = run("bash", "-c", script, cwd=tmp_path / "flask-secure", env=clean_environ(UV_PYTHON=sys.executable))
    assert "passed" in output
    assert (tmp_path / SLUG / ".env").exists()


@pytest.fixture(scope="module", params=ANSWERS)
def clone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a colleague has: the committed files, without .env."""
    place = tmp_path_factory.mktemp(f"clone-{request.param}")
    origin = bake(place / "origin", **ANSWERS[request.param])
    commit_all(origin)
    run("git", "clone", "--quiet", origin, place / "clone", cwd=place)
    return place / "clone"


def shell(line: str, cwd: Path, code: int | None = 0) -> str:
    env = clean_environ(UV_PYTHON=sys.executable)
    return run("bash", "-e", "-c", line, cwd=cwd, code=code, env=env)


def test_make_setup_takes_a_clone_to_a_running_service_and_runs_twice(clone: Path) -> None:
    (clone / ".env").unlink(missing_ok=True)
    shell("make setup", clone)
    before = (clone / ".env").read_bytes()
    shell("make setup", clone)
    assert (clone / ".env").read_bytes() == before
    page = "from {} import create_app; r = create_app('development').test_client().get('/'); print(r.status)"
    assert "200 OK" in shell(f'uv run python -c "{page.format(SLUG)}"', clone)
    assert "no problems" in shell("make doctor", clone)  # with nothing installed but what make setup has
    assert run("git", "status", "--porcelain", cwd=clone) == "?? uv.lock\n"


def test_the_commands_of_the_pages_work_in_a_clone(clone: Path) -> None:
    """In the order of each page."""
    shell("make setup", clone)
    names = ("README.md", "AGENTS.md", "docs/changing-the-key.md")
    chosen = [line for name in names for line in commands(clone / name) if line in RUN_HERE]
    assert set(chosen) | {"uv run flask db upgrade"} == set(RUN_HERE)
    for line in chosen:
        code = None if "production" in line else 0  # which lacks its key here, and says so
        output = shell(line, clone, code)
        assert not re.search("[0-9a-f]{64}", output), line
        assert "Traceback" not in output, line
    run("git", "diff", "--exit-code", cwd=clone)


def test_make_check_passes_and_make_fix_has_nothing_to_do(clone: Path) -> None:
    shell("make check", clone)
    shell("make fix", clone)
    run("git", "diff", "--exit-code", cwd=clone)


@pytest.mark.long
def test_the_commands_for_pip_take_a_clone_to_its_first_page(clone: Path) -> None:
    lines = commands(clone / "README.md")
    first = lines.index("python3 -m venv .venv")
    block = lines[first : lines.index("flask run", first)]
    (clone / ".env").unlink(missing_ok=True)
    shutil.rmtree(clone / ".venv", ignore_errors=True)
    script = "\n".join(block).replace("python3", sys.executable)
    page = "from {} import create_app; r = create_app('development').test_client().get('/'); print(r.status)"
    try:
        assert "200 OK" in shell(f'{script}\npython -c "{page.format(SLUG)}"\npytest -q', clone)
    finally:
        shutil.rmtree(clone / ".venv")


def is_target(folder: Path, name: str) -> bool:
    return re.search(rf"^{name}:", (folder / "Makefile").read_text(), re.MULTILINE) is not None


def test_a_make_target_that_a_page_names_is_there(baked: Path) -> None:
    """In pages of the template, in its Makefile or in a project's."""
    for folder in (baked, TEMPLATE):
        for page in pages(folder):
            text = "\n".join([*inline(page), *commands(page)])
            for name in re.findall(r"\bmake ([a-z-]+)", text):
                assert is_target(folder, name) or (folder == TEMPLATE and is_target(baked, name)), (page, name)


# In any folder, and without a key


def folders(project: Path) -> list[Path]:
    skipped = {".venv", ".git", "__pycache__", "instance", "build"}
    found = [path for path in project.rglob("*") if path.is_dir() and not skipped.intersection(path.parts)]
    return [project, *(path for path in found if not any(part.endswith("_cache") for part in path.parts))]


def test_flask_finds_the_service_from_every_folder_but_packages(project: Project) -> None:
    """In a package Flask looks for the application there. The library's commands work in all of them."""
    without = []
    places = folders(project.path)
    assert len(places) > 10
    for folder in places:
        assert "source        .env" in project.run("flask", "key", "show", cwd=folder)
        if "pages.index" not in project.run("flask", "routes", cwd=folder, code=None):
            without.append(folder)
    assert without == [folder for folder in places if (folder / "__init__.py").exists()]


@pytest.mark.parametrize("command", [["run"], ["routes"], ["key", "show"], ["db"], ["db", "upgrade"]])
def test_a_command_in_a_clone_without_a_key_says_one_thing(
    accounts: Project, tmp_path: Path, command: list[str]
) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(accounts.path, clone, ignore=shutil.ignore_patterns(".env", ".venv", ".git", "instance"))
    env = clean_environ(PYTHONPATH=str(clone / "src"))
    output = run(accounts.program("flask"), *command, cwd=clone, code=1, env=env)
    (line,) = output.splitlines()
    assert line.endswith("uv run flask key init")


# What the pages for agents promise


@pytest.mark.parametrize("folder", ["project", "template"])
def test_claude_reads_the_same_page(folder: str, baked: Path) -> None:
    root = baked if folder == "project" else TEMPLATE
    assert (root / "CLAUDE.md").read_text() == "@AGENTS.md\n"
    assert (root / "AGENTS.md").is_file()


def test_the_questions_of_the_readme_are_those_that_are_asked() -> None:
    asked = json.loads((TEMPLATE / "cookiecutter.json").read_text())
    prompts = [p if isinstance(p, str) else p["__prompt__"] for p in asked["__prompts__"].values()]
    listed = re.findall(r"^\| (.*\?) \|", (TEMPLATE / "README.md").read_text(), re.MULTILINE)
    assert listed == prompts
    assert f"| {asked['description']} |" in (TEMPLATE / "README.md").read_text()


def test_every_commented_setting_works(accounts: Project, tmp_path: Path) -> None:
    """An owner removes the #; start-up and the doctor accept the line."""
    shutil.copytree(accounts.path / "src", tmp_path / "src")
    for name in (".flaskenv", ".env", "pyproject.toml"):
        shutil.copy(accounts.path / name, tmp_path)
    config = tmp_path / "src" / SLUG / "config" / "default.py"
    text, count = re.subn(r"(?m)^# ([A-Z_]+ = )", r"\1", config.read_text())
    assert count > 8
    config.write_text(text)
    env = clean_environ(PYTHONPATH=str(tmp_path / "src"))
    output = run(accounts.program("flask"), "doctor", cwd=tmp_path, env=env, code=None)
    assert "setting-type" not in output
    assert "error" not in output, output
