"""Environments from the package index, in which the applications and the tests of others run."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest


def by_index(command: list[str | Path], place: Path) -> None:
    """Run a command that needs the package index; the test is skipped if that can't be reached.

    It is skipped with FLASK_SECURE_REQUIRE_ALL=1 too: an index is no part of this machine. Where there is an index,
    a command that fails is a failure: a version or a hash is not what it was.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        message = f"{words[0]}: {lines[-1]}"
        if not is_index_there(str(place)):
            pytest.skip(f"The package index can't be reached. {message}")
        pytest.fail(f"The package index does not give what is asked for. {message}")


@cache
def is_index_there(place: str) -> bool:
    """Whether the index gives anything at all: a small package without dependencies, past all caches."""
    command = [
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-cache",
        "--no-deps",
        "--target",
        f"{place}/probe",
        "itsdangerous",
    ]
    return subprocess.run(command, cwd=place, capture_output=True, timeout=300, check=False).returncode == 0


def environment(place: Path, *wanted: str, options: tuple[str, ...] = ()) -> Path:
    """`place` with an environment in venv/ that has what is `wanted`."""
    by_index(["uv", "venv", "--quiet", "--python", sys.executable, place / "venv"], place)
    by_index(["uv", "pip", "install", "--quiet", *options, "--python", place / "venv", *wanted], place)
    return place
