"""What the tests share: one project baked with default answers, and one environment for it."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page, sync_playwright
from support import SLUG, Project, bake, clean_environ, free_port, key_of, need, run, serve

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
]


def shared_project(factory: pytest.TempPathFactory, name: str, *options: str, **answers: str) -> Project:
    """One project for the whole run, baked and installed by whichever process comes first."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    path = shared / name / SLUG
    with FileLock(shared / f"{name}.lock"):
        if not (path / ".venv" / "ready").exists():
            bake(path.parent, **answers)
            run("uv", "sync", "--quiet", *options, "--python", sys.executable, cwd=path)
            (path / ".venv" / "ready").touch()
    return Project(path, key_of(path))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The one with default answers."""
    return shared_project(tmp_path_factory, "shared")


@pytest.fixture(scope="session")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The one that keeps data and has accounts, with the drivers of PostgreSQL and Redis."""
    return shared_project(tmp_path_factory, "accounts", "--all-extras", data="accounts")


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A project of this test's own, without an environment."""
    return bake(tmp_path / "fresh")


@pytest.fixture
def development(project: Project) -> Iterator[str]:
    """The shared project under `flask run`; gives its address."""
    port = free_port()
    with serve([project.program("flask"), "run", "--port", str(port)], port, project.path, clean_environ()) as address:
        yield address


@pytest.fixture(scope="session")
def installed(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and nothing of development, in a folder with the configuration of gunicorn."""
    place = tmp_path_factory.mktemp("installed")
    run("uv", "build", "--quiet", "--wheel", "--out-dir", place, cwd=project.path)
    run("uv", "venv", "--quiet", "--python", sys.executable, place / "venv", cwd=place)
    run("uv", "pip", "install", "--quiet", "--python", place / "venv", *place.glob("*.whl"), cwd=place)
    shutil.copy(project.path / "gunicorn.conf.py", place)
    return place


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = need("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing may go wrong: no error in the console, no failed request, no foreign host."""
    context = browser.new_context(viewport={"width": 1280, "height": 990})
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # Leaving a page ends the requests under way.
    page.on("requestfailed", lambda r: None if r.failure == "net::ERR_ABORTED" else wrong.append(r.url))
    page.on("request", lambda r: None if r.url.startswith(("http://127.0.0.1:", "data:")) else wrong.append(r.url))
    yield page
    context.close()
    assert wrong == []
