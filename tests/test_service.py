"""The generated service, used: its own checks, its second developer, its ways to run, what it rejects."""

import json
import os
import re
import secrets
import shutil
import sys
import time
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest
from support import (
    SLUG,
    OwnService,
    Project,
    bake,
    clean_environ,
    commit_all,
    fetch,
    free_port,
    key_of,
    production,
    run,
    serve,
    skip_or_fail,
)

FINGERPRINT = re.compile(r"\b[0-9a-f]{12}\b")


def interpreter(version: str) -> str:
    """A Python of that version, from PATH or pyenv; without one the test is skipped."""
    candidates = [shutil.which(f"python{version}")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates += [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)]
    for candidate in filter(None, candidates):
        if "shims" not in candidate:
            return candidate
    skip_or_fail(f"Python {version} is not installed: uv python install {version}")
    raise AssertionError


# Its own checks


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_its_own_tests_pass_with_warnings_as_errors(project: Project, tmp_path: Path, version: str) -> None:
    env = clean_environ(UV_PROJECT_ENVIRONMENT=str(tmp_path / "venv"))
    python = ("uv", "run", "--quiet", "--frozen", "--python", interpreter(version), "python")
    output = run(*python, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", cwd=project.path, env=env)
    seconds = re.search(r"passed in ([\d.]+)s", output)
    assert seconds is not None, output
    assert "skipped" not in output


@pytest.mark.parametrize(
    "command",
    [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], ["mypy", "--strict", "src/flask_secure"]],
    ids=["ruff", "format", "mypy", "library"],
)
def test_its_own_linters_pass(project: Project, command: list[str]) -> None:
    project.run(*command)


def test_make_runs_its_checks(project: Project) -> None:
    env = clean_environ(UV_FROZEN="1")
    assert "Success: no issues" in run("make", "check", cwd=project.path, env=env)


# One key, however it runs


def fingerprint(output: str) -> str:
    """The one fingerprint in an output."""
    found = set(FINGERPRINT.findall(output))
    assert len(found) == 1, output
    return found.pop()


def test_the_same_key_in_every_way_to_run(project: Project, tmp_path: Path) -> None:
    page = f"from {SLUG} import create_app; print(create_app().config['SECRET_KEY'].fingerprint)"
    port = free_port()
    config = project.path / "gunicorn.conf.py"
    gunicorn = [project.program("gunicorn"), f"--config={config}", f"--bind=127.0.0.1:{port}"]
    said = {"APP_ENV": "development"}  # .env says it to the flask command alone
    with serve(gunicorn, port, tmp_path, clean_environ(**said)) as address:
        status, body = fetch(address)
        assert status == 200
        assert project.key not in body
    by = {
        "gunicorn, elsewhere": fingerprint(body),
        "python": fingerprint(project.run("python", "-c", page, **said)),
        "python, elsewhere": fingerprint(project.run("python", "-c", page, cwd=tmp_path, **said)),
        "flask shell": fingerprint(
            run(
                project.program("flask"),
                "shell",
                cwd=project.path,
                env=clean_environ(),
                text="print(repr(app.config['SECRET_KEY']))\n",
            )
        ),
        "flask key show": fingerprint(project.run("flask", "key", "show")),
        "flask, from a subfolder": fingerprint(project.run("flask", "key", "show", cwd=project.path / "src")),
        "flask, elsewhere": fingerprint(project.run("flask", "--app", SLUG, "key", "show", cwd=tmp_path)),
    }
    assert len(set(by.values())) == 1, by


def test_a_parents_env_is_never_used(project: Project, tmp_path: Path) -> None:
    """The project's own .env wins; without one, the parent's is named where `flask` has read it."""
    own = bake(tmp_path)
    parent = tmp_path / ".env"
    parent.write_text(f"SECRET_KEY={secrets.token_hex(32)}\nAPP_ENV=testing\nFLASK_SERVICE_NAME=parent\n")
    service = OwnService(own, project)
    report = service.flask("key", "show")
    assert "development" in report
    shown = fingerprint(report)
    service.env.rename(own / ".env.away")
    for command in ("run", "key show"):
        output = service.flask(*command.split(), code=1)
        assert f"{parent}, which is not this project's" in output
        assert "[env-foreign]" in output
        assert len(output.splitlines()) == 1
    (own / ".env.away").rename(service.env)
    assert fingerprint(service.flask("key", "show")) == shown


def test_a_real_variable_wins_over_env(project: Project) -> None:
    key = secrets.token_hex(32)
    output = project.run("flask", "key", "show", SECRET_KEY=key)
    assert "the environment" in output
    assert key not in output


def test_the_development_server_restarts_by_itself_with_a_changed_source(tmp_path: Path, project: Project) -> None:
    """The reloader's process, which inherits the variables of the first, signs with the same key."""
    own = bake(tmp_path)
    port, env = free_port(), clean_environ(PYTHONPATH=str(own / "src"))
    default = own / "src" / SLUG / "config" / "default.py"
    health = own / "src" / SLUG / "health.py"
    with serve([project.program("flask"), "run", "--port", str(port)], port, own, env) as address:
        before = fingerprint(fetch(address)[1].partition("flDebug")[0])
        default.write_text(default.read_text() + 'SERVICE_NAME = "After"\n')
        health.touch()  # the reloader watches what is imported
        deadline, page = time.monotonic() + 60, ""
        while "<h1>After</h1>" not in page and time.monotonic() < deadline:
            time.sleep(0.2)
            with suppress(OSError, HTTPException):  # while it reloads
                page = fetch(address)[1].partition("flDebug")[0]
        assert "<h1>After</h1>" in page
        assert fingerprint(page) == before


def test_the_toolbar_says_what_the_doctor_says(tmp_path: Path, project: Project) -> None:
    own = bake(tmp_path)
    (own / ".env").chmod(0o644)
    service = OwnService(own, project)
    found = json.loads(service.flask("doctor", "--json", code=None))["findings"]
    assert [finding["id"] for finding in found] == ["file-mode"]
    port, env = free_port(), clean_environ(PYTHONPATH=str(own / "src"))
    with serve([project.program("flask"), "run", "--port", str(port)], port, own, env) as address:
        deadline, page = time.monotonic() + 60, ""
        while "file-mode" not in page and time.monotonic() < deadline:  # the doctor runs in the background
            time.sleep(0.2)
            page = fetch(address)[1]
        assert "file-mode" in page
        assert key_of(own) not in page


# The second developer


def test_the_second_developer(project: Project, tmp_path: Path) -> None:
    first = bake(tmp_path / "first")
    commit_all(first)
    run("git", "clone", "--quiet", first, "clone", cwd=tmp_path)
    clone = tmp_path / "clone"
    assert not (clone / ".env").exists()
    uv = ("uv", "run", "--quiet", "--python", sys.executable)
    env = clean_environ()

    output = run(*uv, "flask", "run", cwd=clone, env=env, code=1)
    assert output.startswith(f"Error: There is no .env in {clone}, and so no key")
    assert "uv run flask key init" in output
    assert "production" not in output
    assert len(output.splitlines()) == 1
    assert "Traceback" not in run(*uv, "flask", "--help", cwd=clone, env=env)
    run(*uv, "pytest", "-q", cwd=clone, env=env)

    made = run(*uv, "flask", "key", "init", cwd=clone, env=env)
    key = key_of(clone)
    again = run(*uv, "flask", "key", "init", cwd=clone, env=env)
    assert key_of(clone) == key != key_of(first)
    assert fingerprint(made) == fingerprint(again)
    assert key not in made + again
    assert (clone / ".env").stat().st_mode & 0o777 == 0o600
    assert run("git", "status", "--porcelain", "--", ":!uv.lock", cwd=clone) == ""
    port = free_port()
    with serve([*uv, "flask", "run", "--port", str(port)], port, clone, env) as address:
        assert fingerprint(fetch(address)[1].partition("flDebug")[0]) == fingerprint(made)


def test_a_copied_example_is_filled_in(project: Project, fresh: Path) -> None:
    shutil.copy(fresh / ".env.example", fresh / ".env")
    (fresh / ".env").chmod(0o644)
    env = clean_environ(PYTHONPATH=str(fresh / "src"))
    flask = project.program("flask")
    refused = run(flask, "run", cwd=fresh, env=env, code=1)
    assert "SECRET_KEY in .env is empty" in refused
    assert len(refused.splitlines()) == 1
    run(flask, "key", "init", cwd=fresh, env=env)
    assert len(key_of(fresh)) == 64
    assert (fresh / ".env").stat().st_mode & 0o777 == 0o600
    assert (fresh / ".env").read_text().splitlines()[:3] == (fresh / ".env.example").read_text().splitlines()[:3]


def test_with_pip(fresh: Path) -> None:
    """The commands for those without uv."""
    run("uv", "venv", "--quiet", "--seed", "--python", sys.executable, cwd=fresh)  # with the newest pip
    python = fresh / ".venv" / "bin" / "python"
    quiet = ("--quiet", "--disable-pip-version-check", "--no-compile")
    run(python, "-m", "pip", "install", *quiet, "--editable", ".", "--group", "dev", cwd=fresh)
    assert "development" in run(fresh / ".venv" / "bin" / "flask", "key", "show", cwd=fresh)
    run(fresh / ".venv" / "bin" / "pytest", "-q", cwd=fresh)


# Production


def test_the_wheel_is_served_in_production(installed: Path) -> None:
    port = free_port()
    gunicorn = [installed / "venv" / "bin" / "gunicorn", f"--bind=127.0.0.1:{port}"]
    # What would switch development on, were it heard.
    env = clean_environ(**production(FLASK_DEBUG="1", FLASK_DEBUG_TB_ENABLED="true"))
    with serve(gunicorn, port, installed, env) as address:
        status, page = fetch(address)
        assert (status, "production" in page) == (200, True)
        assert "flDebug" not in page
        assert not FINGERPRINT.search(page), "no fingerprint outside development"
        assert fetch(f"{address}/_debug_toolbar/static/js/toolbar.js")[0] == 404
        assert fetch(f"{address}/nothing", Accept="application/json")[1].startswith('{"detail"')
        assert fetch(f"{address}/static/style.css")[0] == 200


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "[key-missing]"),
        ("", "[key-empty]"),
        ("changeme", "[key-placeholder]"),
        ("you-will-never-guess-this-one-0123", "[key-placeholder]"),
        (os.urandom(12).hex(), "[key-short]"),
        ("ab" * 40, "[key-patterned]"),
    ],
    ids=["missing", "empty", "changeme", "contains", "short", "patterned"],
)
def test_production_does_not_start_without_a_good_key(installed: Path, value: str | None, reason: str) -> None:
    env = clean_environ(**production())
    del env["SECRET_KEY"]
    env |= {} if value is None else {"SECRET_KEY": value}
    output = run(installed / "venv/bin/flask", "--app", SLUG, "run", cwd=installed, env=env, code=1)
    assert len(output.splitlines()) == 1
    assert reason in output
    assert 'export SECRET_KEY="$(flask key generate)"' in output.replace("uv run ", "")
    assert not value or value not in output.replace("[key-", "")


def test_every_problem_is_a_line_under_gunicorn_too(installed: Path) -> None:
    env = clean_environ(APP_ENV="production", SECRET_KEY="not a good key")
    output = run(installed / "venv/bin/gunicorn", cwd=installed, env=env, code=1)
    assert [line.rpartition("[")[2].partition("]")[0] for line in output.split("\n") if line] == [
        "key-short",
        "hosts-missing",
    ]
    assert "not a good key" not in output


def test_the_fix_is_a_command_that_works(installed: Path) -> None:
    fix = 'export SECRET_KEY="$(flask key generate)"; flask --app my_flask_service key show'
    env = clean_environ(PATH=f"{installed / 'venv/bin'}:{os.environ['PATH']}")
    assert "256 bits" in run("sh", "-c", fix, cwd=installed, env=env)


def test_debug_stays_off_in_production_under_flask_run(project: Project) -> None:
    env = production(FLASK_DEBUG="1")
    port = free_port()
    command = [project.program("flask"), "--debug", "run", "--port", str(port)]
    with serve(command, port, project.path, clean_environ(**env)) as address:
        assert "flDebug" not in fetch(address)[1]
        log = (project.path / f"server-{port}.log").read_text()
        assert "Debug mode: off" in log
        assert "Debugger" not in log


def test_an_unknown_environment_is_rejected_by_name(project: Project) -> None:
    output = project.run("flask", "run", code=1, APP_ENV="staging")
    assert output == (
        "Error: APP_ENV says 'staging'; it is one of development, testing, production [env-unknown]."
        " export APP_ENV=production\n"
    )


def test_development_without_its_dependencies_starts_and_names_the_command(installed: Path) -> None:
    env = clean_environ(APP_ENV="development", SECRET_KEY=secrets.token_hex(32))
    output = run(installed / "venv/bin/flask", "--app", SLUG, "routes", cwd=installed, env=env)
    assert "healthz" in output
    (line,) = [line for line in output.splitlines() if "toolbar" in line]
    assert "uv sync" in line


@pytest.mark.parametrize("variable", ["SECRET_KEY", "SECRET_KEY_NEXT", "SECRET_KEY_FALLBACKS"])
def test_production_rejects_the_development_key_in_any_role(project: Project, variable: str) -> None:
    env = production(**{variable: project.key})
    output = project.run("python", "-c", f"import {SLUG}; {SLUG}.create_app()", code=1, **env)
    assert f"{variable} in the environment is the development key" in output
    project.run("flask", "key", "show", code=1, **env)


def test_an_exported_variable_stays_though_a_file_says_the_same(installed: Path) -> None:
    """As after `set -a; . ./.env` in the folder that a service is deployed in."""
    key = secrets.token_hex(32)
    (installed / ".env").write_text(f"SECRET_KEY={key}\n")
    try:
        flask = (installed / "venv/bin/flask", "--app", SLUG, "key", "show")
        assert "the environment" in run(*flask, cwd=installed, env=clean_environ(SECRET_KEY=key))
    finally:
        (installed / ".env").unlink()


def test_an_error_in_the_instance_config_is_named_by_its_line_without_its_text(project: Project, fresh: Path) -> None:
    (fresh / "instance").mkdir()
    config = fresh / "instance" / "config.py"
    env = clean_environ(PYTHONPATH=str(fresh / "src"))
    key = secrets.token_hex(32)
    for text in (f"A = 1\nSECRET_KEY = '{key}\n", f"A = 1\nB = '{key}' + 1\n", f"A = 1\nraise SystemExit('{key}')\n"):
        config.write_text(text)
        output = run(project.program("flask"), "key", "show", cwd=fresh, env=env, code=1)
        assert f"in line 2 of {config}" in output
        assert len(output.splitlines()) == 1
        assert key not in output
