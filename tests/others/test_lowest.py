"""The lowest versions that the wheel and a project say they work with. `make test-all` runs it."""

import subprocess
from pathlib import Path

import pytest
from index import by_index, environment
from support import TEMPLATE, bake, clean_environ

from flask_secure.dependencies import LOWEST

# The tests of what these libraries do for ours: hosts, bodies and cookies; each form of .env.
OF_THE_WHEEL = ("test_headers.py", "test_sessions.py", "test_keys.py")


def run_pytest(python: Path, folder: Path, *arguments: str | Path) -> None:
    words = [str(word) for word in (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)]
    done = subprocess.run(
        words, cwd=folder, env=clean_environ(), capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_library_works_with_the_lowest_versions(tmp_path: Path) -> None:
    pins = [f"{name}=={'.'.join(map(str, lowest))}" for name, (lowest, _) in LOWEST.items()]
    group = ("--group", f"{TEMPLATE / 'pyproject.toml'}:dev")
    python = environment(tmp_path, *pins, options=group) / "venv" / "bin" / "python"
    run_pytest(python, TEMPLATE, "-m", "not long", *(f"tests/{name}" for name in OF_THE_WHEEL))


@pytest.mark.parametrize("data", ["nothing", "accounts"])
def test_a_project_works_with_the_lowest_versions(tmp_path: Path, data: str) -> None:
    project = bake(tmp_path / data, data=data)
    venv = environment(project, "pip") / "venv"
    group = ("--resolution", "lowest-direct", "--group", "dev")
    by_index(["uv", "pip", "install", "--quiet", *group, "--python", venv, "--editable", "."], project)
    run_pytest(venv / "bin" / "python", project)
