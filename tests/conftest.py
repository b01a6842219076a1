"""What the tests share: one project baked with default answers, and one environment for it."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from support import SLUG, Project, bake, clean_environ, free_port, key_of, run, serve


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One project for the whole run, baked and installed by whichever process comes first."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    path = shared / "shared" / SLUG
    with FileLock(shared / "shared.lock"):
        if not (path / ".venv" / "ready").exists():
            bake(path.parent)
            run("uv", "sync", "--quiet", "--python", sys.executable, cwd=path)
            (path / ".venv" / "ready").touch()
    return Project(path, key_of(path))


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
