"""What the tests share: one project baked with default answers, and one environment for it."""

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page, sync_playwright
from servers import Server, postgresql
from sites import LIBRARIES, Elsewhere
from support import SLUG, TEMPLATE, Project, bake, clean_environ, free_port, key_of, need, run, serve, template_before

pytest_plugins = ["redacted_reports"]

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
]


def shared_project(
    factory: pytest.TempPathFactory, name: str, *options: str, is_before: bool = False, **answers: str
) -> Project:
    """One project for the whole run, baked and installed by whichever process comes first."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    path = shared / name / SLUG
    with FileLock(shared / f"{name}.lock"):
        if not (path / ".venv" / "ready").exists():
            template = template_before(shared / f"{name}-template") if is_before else TEMPLATE
            bake(path.parent, template=template, **answers)
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


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One of the release before that has accounts, with its own dependencies."""
    return shared_project(tmp_path_factory, "before", "--all-extras", is_before=True, data="accounts")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql() as server:
        yield server


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "SQLite":
        return f"sqlite:///{tmp_path}/data.sqlite"
    server: Server = request.getfixturevalue("server")
    name = f"d{secrets.token_hex(4)}"
    address = f"postgresql://postgres@127.0.0.1:{server.port}"
    run("psql", f"{address}/postgres", "-qc", f"CREATE DATABASE {name}", cwd=tmp_path)
    return f"{address}/{name}"


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


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A page on which things may go wrong."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield page
    context.close()


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., str]]:
    """Makes other sites; gives their addresses."""
    sites = Elsewhere()
    yield sites.make
    sites.close()


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the libraries that the recipes are about; gives its python."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    place = shared / "libraries"
    with FileLock(shared / "libraries.lock"):
        if not (place / "ready").exists():
            run("uv", "venv", "--quiet", "--python", sys.executable, place, cwd=shared)
            run("uv", "pip", "install", "--quiet", "--python", place, *LIBRARIES, cwd=shared)
            (place / "ready").touch()
    return place / "bin" / "python"
