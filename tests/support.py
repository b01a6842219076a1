"""What the tests call: baking, running commands, serving on a free port."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).resolve().parents[1]
RAW_PROJECT = TEMPLATE / "{{cookiecutter.project_slug}}"
RAW_PACKAGE = RAW_PROJECT / "src" / "{{cookiecutter.project_slug}}"
LIBRARY = RAW_PROJECT / "src" / "flask_secure"
SLUG = "my_flask_service"
BEFORE = "a9f0e44"  # release 0.3, the one before this

# Importing the raw package and hooks must not leave files in the template.
sys.dont_write_bytecode = True

CACHES = {".git", "__pycache__", ".ruff_cache", ".mypy_cache", ".pytest_cache"}
SETTINGS = (
    "APP_ENV",
    "SECRET_KEY",
    "TRUSTED_",
    "FLASK_",
    "DATABASE_URL",
    "DATA_FOLDER",
    "MAIL_",
    "RATELIMIT_",
    "SERVICE_URL",
    "GIT_",
    "VIRTUAL_ENV",
    "UV_PROJECT",
    "DOTENV_VARIABLES",
)


def clean_environ(**more: str) -> dict[str, str]:
    """The environment of a person's shell, with no setting of the service's in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)} | more


def production(**more: str) -> dict[str, str]:
    """What a machine of production says, with a key of this call's own."""
    variables = {
        "APP_ENV": "production",
        "SECRET_KEY": secrets.token_hex(32),
        "TRUSTED_HOSTS": "127.0.0.1,localhost",
        "SERVICE_URL": "https://localhost",  # for a service with accounts: there are two hosts
    }
    return variables | more


def skip_or_fail(reason: str) -> None:
    """Skip on a person's machine; fail in CI, where everything is installed."""
    if os.environ.get("FLASK_SECURE_REQUIRE_ALL"):
        pytest.fail(reason)
    pytest.skip(reason)


def need(program: str, package: str) -> str:
    """The path of `program`; without it the test is skipped with how to install it."""
    path = shutil.which(program)
    if path is None:
        skip_or_fail(f"{program} is not installed: apt-get install {package}")
    return str(path)


def run(
    *command: str | Path, cwd: Path, code: int | None = 0, env: Mapping[str, str] | None = None, text: str = ""
) -> str:
    """Run `command` to its end and give back both of its streams; `code` is the exit status it must have."""
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**(clean_environ() if env is None else env), "PWD": str(cwd)},
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert code is None or result.returncode == code, result.stdout
    return result.stdout


def bake(output: Path, *, template: Path = TEMPLATE, **answers: str) -> Path:
    """A project generated in this process, with `answers` as typed at the questions."""
    output.mkdir(parents=True, exist_ok=True)
    return Path(
        cookiecutter(str(template), no_input=True, output_dir=output, extra_context=answers, default_config=True)
    )


def bake_command(*arguments: str | Path) -> list[str]:
    """The cookiecutter command line for this template."""
    return [
        str(Path(sys.executable).with_name("cookiecutter")),
        "--default-config",
        str(TEMPLATE),
        *map(str, arguments),
    ]


def copy_template(place: Path) -> None:
    """The template as it lies in the work tree, in a folder of its own."""
    skipped = shutil.ignore_patterns(
        ".git", ".venv", ".tools", ".demo", "*_cache", "__pycache__", ".hypothesis", ".env"
    )
    shutil.copytree(TEMPLATE, place, ignore=skipped, dirs_exist_ok=True)


def template_before(place: Path) -> Path:
    """The template's repository as it was at the release before, in a folder of its own."""
    run("git", "clone", "--quiet", TEMPLATE, place, cwd=place.parent)
    if "fatal" in run("git", "checkout", "--quiet", "-B", "main", BEFORE, cwd=place, code=None):
        skip_or_fail(f"The history does not go back to {BEFORE}: git fetch --unshallow")
    return place


def release_template(place: Path) -> None:
    """Commit the template of the work tree to the repository at `place`, as its next release."""
    for path in place.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    copy_template(place)
    commit_all(place)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by its path, but for git's and caches."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not CACHES.intersection(path.parts))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def key_of(project: Path) -> str:
    """The key in a project's .env."""
    lines = (project / ".env").read_text().splitlines()
    return next(line for line in lines if line.startswith("SECRET_KEY=")).partition("=")[2]


def commit_all(project: Path) -> None:
    """Commit a project as its first developer would."""
    run("git", "init", "--quiet", cwd=project)
    run("git", "add", "--all", cwd=project)
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    run("git", *author, "commit", "--quiet", "--allow-empty", "--message=Start", cwd=project)


@dataclass(frozen=True)
class Project:
    """A baked project with an environment that it is installed in."""

    path: Path
    key: str = field(repr=False)

    def program(self, name: str) -> Path:
        return self.path / ".venv" / "bin" / name

    def run(self, name: str, *arguments: str, code: int | None = 0, cwd: Path | None = None, **env: str) -> str:
        """Run a program of the environment, as it is from an activated one."""
        output = run(self.program(name), *arguments, cwd=cwd or self.path, code=code, env=clean_environ(**env))
        assert self.key not in output
        return output


class OwnService:
    """A service of a test's own, run by the programs of the shared one."""

    def __init__(self, path: Path, project: Project) -> None:
        self.path, self.project = path, project
        self.env = path / ".env"

    def flask(self, *arguments: str, code: int | None = 0, **more: str) -> str:
        """Both streams of `flask`, which exits with `code`, with the variables `more` in the environment."""
        env = clean_environ(PYTHONPATH=str(self.path / "src"), **more)
        return run(self.project.program("flask"), *arguments, cwd=self.path, code=code, env=env)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fetch(url: str, **headers: str) -> tuple[int, str]:
    """The status and the body of an answer, whatever its status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def policy_of(response: Any) -> dict[str, list[str]]:
    """The directives of the Content-Security-Policy in a response's headers."""
    parts = response.headers["Content-Security-Policy"].split("; ")
    return {part.split()[0]: part.split()[1:] for part in parts}


@contextmanager
def serve(command: Sequence[str | Path], port: int, cwd: Path, env: Mapping[str, str]) -> Iterator[str]:
    """A server that runs while the block does; gives the address that it answers at."""
    log = cwd / f"server-{port}.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while True:
            try:
                fetch(f"{address}/healthz")
                break
            except OSError:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(40)  # gunicorn.conf.py gives requests under way 30
        except subprocess.TimeoutExpired:
            # werkzeug's reloader is told at the moment that its child ends, which can leave subprocess's lock taken.
            assert "run" in command, log.read_text()
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(20)
        log.unlink()


def import_history(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """A commit for each file, on a branch."""
    command = ["git", "-c", "core.compression=1", "fast-import", "--quiet"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE) as importer:
        assert importer.stdin is not None
        for name, text in files:
            importer.stdin.write(b"commit refs/heads/imported\ncommitter A <a@example.org> 0 +0000\ndata 1\n.\n")
            importer.stdin.write(b"M 644 inline %s\ndata %d\n%s\n" % (name.encode(), len(text), text))
    assert importer.returncode == 0


def take_picture(page: Any, name: str) -> None:
    """For the README: `make picture`."""
    if folder := os.environ.get("README_PICTURES"):
        page.screenshot(path=Path(folder, f"{name}.png"))
