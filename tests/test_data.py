"""A service that keeps data: every answer, migrations, and a database that goes away, on SQLite and PostgreSQL."""

import json
import os
import re
import secrets
import shutil
import signal
import sqlite3
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Server, postgresql
from support import SLUG, TEMPLATE, Project, bake, clean_environ, fetch, files, free_port, production, run, serve
from test_service import interpreter

pytestmark = pytest.mark.xdist_group("data")

COUNTED = """

class Entry(database.Model):
    __tablename__ = "entry"
    text: database.sa.orm.Mapped[str] = database.sa.orm.mapped_column(primary_key=True)


@bp.post("/entries")
def add() -> str:
    database.db.session.add(Entry(text=request.form["text"]))
    database.db.session.commit()
    return "kept"
"""


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


# The answers


def tree(project: Path) -> set[str]:
    return {name for name in files(project) if not name.startswith(("src/flask_secure/", ".git"))}


def test_the_default_gains_nothing(tmp_path: Path) -> None:
    """A file for an answer alone is in no other project, and no line of the template's own is left over."""
    trees = {answer: tree(bake(tmp_path / answer, data=answer)) for answer in ("nothing", "database", "accounts")}
    assert trees["nothing"] < trees["database"] < trees["accounts"]
    hook = (TEMPLATE / "hooks" / "post_gen_project.py").read_text()
    assert all(Path(name).stem in hook for name in trees["accounts"] - trees["nothing"])
    for path in tmp_path.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            assert not re.search(rb"(?m)^\s*# %|cookiecutter\.data", path.read_bytes()), path
    words = re.compile(r"(?i)sqlalchemy|alembic|argon2|database_url|limiter")
    for name, data in files(tmp_path / "nothing" / SLUG).items():
        if not name.startswith("src/flask_secure") and name != "uv.lock":
            assert not words.search(data.decode()), name


def test_the_code_can_be_read_in_a_sitting(accounts: Project) -> None:
    package = accounts.path / "src" / SLUG
    assert len((package / "database.py").read_text().splitlines()) <= 80
    assert sum(len(path.read_text().splitlines()) for path in (package / "accounts").glob("*.py")) <= 320


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_its_own_tests_pass_with_warnings_as_errors(
    accounts: Project, server: Server, tmp_path: Path, version: str
) -> None:
    """With accounts on both databases. The development database is not touched."""
    env = clean_environ(UV_PROJECT_ENVIRONMENT=str(tmp_path / "venv"), PYTHONDONTWRITEBYTECODE="1")
    python = ("uv", "run", "--quiet", "--frozen", "--all-extras", "--python", interpreter(version), "python")
    command = (*python, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    both = [{}, {"TEST_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{server.port}/postgres"}]
    for more in both if version == "3.13" else both[:1]:
        output = run(*command, cwd=accounts.path, env=env | more)
        assert re.search(r"\d+ passed", output)
        assert "skipped" not in output
    left = run("psql", f"postgresql://postgres@127.0.0.1:{server.port}/postgres", "-Atc", "\\l", cwd=tmp_path)
    assert "test_" not in left
    assert not (accounts.path / "instance").exists()


def test_a_database_alone_passes_its_own_tests_and_linters(accounts: Project, tmp_path: Path) -> None:
    path = bake(tmp_path, data="database")
    shutil.copy(accounts.path / "uv.lock", path)
    env = clean_environ(PYTHONPATH=str(path / "src"))
    for command in (["pytest", "-q"], ["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        run(accounts.program(command[0]), *command[1:], cwd=path, env=env)
    assert "no problem" in run(accounts.program("flask"), "doctor", "--strict", cwd=path, env=env)


def test_the_doctor_runs_the_checks_of_accounts(accounts: Project) -> None:
    assert "no problem" in accounts.run("flask", "doctor", "--strict")
    report = json.loads(accounts.run("flask", "doctor", "--json", code=1, **production()))
    assert {each["id"]: each["level"] for each in report["findings"]} == {
        "mail-missing": "error",
        "limits-in-memory": "warning",
    }
    report = accounts.run("flask", "doctor", code=1, **production(MAIL_URL="gopher://x"))
    assert "mail-missing" in report
    more = {"MAIL_URL": "smtp://localhost", "RATELIMIT_STORAGE_URI": "redis://localhost"}
    assert "no problem" in accounts.run("flask", "doctor", "--strict", **production(**more))


# Migrations


MIGRATE = f"""
from {SLUG} import create_app
app = create_app()
migrations = app.extensions["alembic"]
for step, target in [(migrations.upgrade, "heads"), (migrations.upgrade, "heads"), (migrations.downgrade, "base")]:
    with app.app_context():
        print(migrations.compare_metadata())
    with app.app_context():
        step(target)
"""


def test_migrations_on_an_empty_and_on_a_filled_database(accounts: Project, url: str, tmp_path: Path) -> None:
    variables = production(DATABASE_URL=url)
    accounts.run("flask", "db", "upgrade", **variables)
    row = "INSERT INTO account (email, password_hash, stamp) VALUES ('ann@example.org', 'x', 'y')"
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute(row)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()
    else:
        run("psql", url, "-qc", row, cwd=tmp_path)
    output = accounts.run("python", "-c", MIGRATE, **variables)
    assert [line for line in output.splitlines() if line[0] == "["] == ["[]", "[]", "[]"]
    assert "Running downgrade 0001" in output
    accounts.run("flask", "db", "upgrade", **variables)


def test_the_page_on_the_database(accounts: Project, tmp_path: Path) -> None:
    """Its recipe word by word: a model, a query and a form, which the linters accept."""
    project = tmp_path / SLUG
    shutil.copytree(accounts.path, project, ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache"))
    page = (project / "docs" / "database.md").read_text()
    (recipe,) = re.findall(r"(?s)```python\n(.*?)```", page)
    commands = re.findall(r"(?s)```sh\n(.*?)```", page)[0]
    package = project / "src" / SLUG
    (package / "notes.py").write_text(recipe)
    wiring = (package / "__init__.py").read_text()
    wiring = wiring.replace("health, pages\n", "health, notes, pages\n")
    wiring = wiring.replace("    return app\n", "    app.register_blueprint(notes.bp)\n    return app\n")
    (package / "__init__.py").write_text(wiring)
    env = clean_environ(PYTHONPATH=str(project / "src"), PATH=f"{accounts.program('x').parent}:{os.environ['PATH']}")
    for command in ("ruff check", "ruff format --check", "mypy"):  # all of the project, and the recipe
        run("sh", "-ec", command, cwd=project, env=env)
    run("sh", "-ec", commands.replace("uv run ", ""), cwd=project, env=env)
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexec flask key generate\n")
    docker.chmod(0o755)
    (project / "secrets").mkdir()
    in_containers = re.findall(r"(?s)```sh\n(.*?)```", page)[1]
    made = env | {"PATH": f"{tmp_path}:{env['PATH']}"}
    assert run("sh", "-ec", in_containers, cwd=project, env=made) == ""
    password = (project / "secrets/database_password").read_text().strip()
    address = f"postgresql://service:{password}@database/service\n"
    assert (project / "secrets/database_url").read_text() == address
    assert password not in run("sh", "-ec", in_containers, cwd=project, env=made, code=None)  # it is there already
    assert (project / "secrets/database_url").read_text() == address
    (migration,) = (package / "migrations").glob("*_notes.py")
    assert "note" in migration.read_text()
    assert "down_revision = '0002'" in migration.read_text()
    for command in ("ruff check --fix", "ruff format", "mypy", "pytest -q tests/test_database.py"):
        run("sh", "-ec", command, cwd=project, env=env)
    port = free_port()
    with serve([accounts.program("flask"), "run", "--port", str(port)], port, project, env) as address:
        data = urllib.parse.urlencode({"text": "remember <b>me</b>"}).encode()
        urllib.request.urlopen(f"{address}/notes/", data, timeout=10).close()  # noqa: S310
        assert "remember &lt;b&gt;me" in fetch(f"{address}/notes/")[1]


# While the database is away


class Load:
    """Writes through the service, one after another in each of four threads, with the answers that they got."""

    def __init__(self, address: str) -> None:
        self.address, self.kept, self.answers = address, set[str](), list[int]()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(number,)) for number in range(4)]

    def write(self, thread: int) -> None:
        number = 0
        while not self.over.wait(0.01):
            text = f"{thread}-{(number := number + 1)}"
            data = urllib.parse.urlencode({"text": text}).encode()
            try:
                with urllib.request.urlopen(f"{self.address}/entries", data, timeout=20) as answer:  # noqa: S310
                    self.answers.append(answer.status)
                    self.kept.add(text)
            except urllib.error.HTTPError as error:
                with error:
                    self.answers.append(error.code)

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_no_acknowledged_write_is_lost_while_the_database_stops_and_starts(accounts: Project, tmp_path: Path) -> None:
    """gunicorn with two workers: 200 or 503, a 500 with its line in the log, and it comes back by itself."""
    project = tmp_path / SLUG
    shutil.copytree(accounts.path, project, ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache", ".env"))
    pages = project / "src" / SLUG / "pages.py"
    text = pages.read_text().replace("render_template, session", "render_template, request, session")
    pages.write_text(text.replace("\nbp =", "\nfrom . import database\n\nbp =") + COUNTED)
    with postgresql() as server:
        address = f"postgresql://postgres@127.0.0.1:{server.port}/postgres"
        password = secrets.token_urlsafe(12)
        run("psql", address, "-qc", "CREATE TABLE entry (text TEXT PRIMARY KEY)", cwd=tmp_path)
        (tmp_path / "url").write_text(address.replace("postgres@", f"postgres:{password}@"))
        port = free_port()
        more = {"DATABASE_URL_FILE": str(tmp_path / "url"), "WEB_CONCURRENCY": "2", "PYTHONPATH": str(project / "src")}
        env = clean_environ(**production(**more))
        command = [accounts.program("gunicorn"), f"--bind=127.0.0.1:{port}"]
        log = project / f"server-{port}.log"
        with serve(command, port, project, env) as service:
            with Load(service) as load:
                time.sleep(1)
                server.stop()
                began = time.monotonic()
                assert fetch(f"{service}/readyz")[0] == 503
                assert time.monotonic() - began < 5
                assert fetch(f"{service}/healthz")[0] == 200
                time.sleep(1)
                server.start()
                deadline = time.monotonic() + 20
                while fetch(f"{service}/readyz")[0] != 200:
                    assert time.monotonic() < deadline
                before = len(load.kept)
                time.sleep(1)
                server.send(signal.SIGSTOP)  # it accepts connections and says nothing
                began = time.monotonic()
                assert fetch(f"{service}/readyz")[0] == 503
                assert time.monotonic() - began < 5
                server.send(signal.SIGCONT)
                time.sleep(1)
            written = log.read_text()
            shown = run("psql", address, "-Atc", "SELECT text FROM entry", cwd=tmp_path).split()
    assert set(load.answers) <= {200, 500, 503}
    assert 503 in load.answers
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    failures = [line for line in lines if line["level"] == "ERROR" and "exception" in line]
    assert load.answers.count(500) <= len(failures)
    assert before < len(load.kept)
    assert load.kept <= set(shown)
    assert password not in written


def test_foreign_keys_are_checked_and_the_password_of_the_url_is_hidden(accounts: Project, tmp_path: Path) -> None:
    code = f"""
import sqlalchemy as sa
from {SLUG} import create_app
from {SLUG}.database import db
app = create_app("production")
with app.app_context():
    with db.engine.connect() as connection:
        print(connection.execute(sa.text("PRAGMA foreign_keys")).scalar())
"""
    shown = accounts.run("python", "-c", code, **production(DATABASE_URL=f"sqlite:///{tmp_path}/x.sqlite"))
    assert shown == "1\n"
    password = secrets.token_urlsafe(12)
    away = production(DATABASE_URL=f"postgresql://ann:{password}@127.0.0.1:{free_port()}/x")
    output = accounts.run("flask", "config", **away)
    assert password not in output
    code = f"from {SLUG} import create_app; app = create_app(); print(app.config); "
    code += "print(app.test_client().get('/readyz', base_url='https://localhost').status_code)"
    output = accounts.run("python", "-c", code, **away)
    assert password not in output
    assert output.endswith("503\n")
