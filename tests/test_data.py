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
from concurrent.futures import ThreadPoolExecutor
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


EVERY_PYTHON = ["3.11", pytest.param("3.12", marks=pytest.mark.long), pytest.param("3.13", marks=pytest.mark.long)]


@pytest.mark.parametrize("version", EVERY_PYTHON)
def test_its_own_tests_pass_with_warnings_as_errors(
    accounts: Project, server: Server, tmp_path: Path, version: str
) -> None:
    """With accounts on both databases. The development database is not touched."""
    env = clean_environ(UV_PROJECT_ENVIRONMENT=str(tmp_path / "venv"))
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
    assert not (accounts.path / "data").exists()


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
        "limits-of-proxy": "warning",
    }
    report = accounts.run("flask", "doctor", code=1, **production(MAIL_URL="gopher://x"))
    assert "mail-url" in report
    more = {"MAIL_URL": "smtp://localhost", "RATELIMIT_STORAGE_URI": "redis://localhost", "TRUSTED_PROXIES": "1"}
    assert "no problem" in accounts.run("flask", "doctor", "--strict", **production(**more))


# DATABASE_URL

PASSWORD = "pw-of-the-database"
WRONG = {
    "no scheme": f"ann:{PASSWORD}@127.0.0.1/shop",
    "a port that is none": f"postgresql://ann:{PASSWORD}@127.0.0.1:port/shop",
    "a slash": f"postgresql://ann:x/{PASSWORD}@127.0.0.1/shop",
    "a question mark": f"postgresql://ann:x?{PASSWORD}@127.0.0.1/shop",
    "a hash": f"postgresql://ann:x#{PASSWORD}@127.0.0.1/shop",
    "an at sign": f"postgresql://ann:x@{PASSWORD}@127.0.0.1/shop",
    "a slash in the user": f"postgresql://an/n:{PASSWORD}@127.0.0.1/shop",
    "an unknown scheme": f"nothing://ann:{PASSWORD}@127.0.0.1/shop",
    "no driver": f"mysql+pymysql://ann:{PASSWORD}@127.0.0.1/shop",
    "an asynchronous driver": f"postgresql+asyncpg://ann:{PASSWORD}@127.0.0.1/shop",
}


@pytest.mark.parametrize("kind", WRONG)
def test_start_and_doctor_reject_the_same_database_urls(accounts: Project, kind: str) -> None:
    """With SQLAlchemy's own parser, in a line, without a traceback or a part of the password."""
    variables = production(DATABASE_URL=WRONG[kind], MAIL_URL="smtp://localhost")
    report = json.loads(accounts.run("flask", "doctor", "--json", code=1, **variables))
    assert "database-url" in {each["id"] for each in report["findings"]}
    started = accounts.run("gunicorn", "--bind=127.0.0.1:0", code=None, **variables)
    upgraded = accounts.run("flask", "db", "upgrade", code=1, **variables)
    for output in (json.dumps(report), started, upgraded, accounts.run("flask", "config", **variables)):
        assert PASSWORD not in output
        assert "Traceback" not in output
    assert "[database-url]" in started
    assert "[database-url]" in upgraded


def test_a_driver_that_is_not_installed_is_named_with_its_command(accounts: Project, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\n\nsys.modules['psycopg'] = None\n")
    address = f"postgres://ann:{PASSWORD}@127.0.0.1/shop"
    output = accounts.run("flask", "db", "upgrade", code=1, DATABASE_URL=address, PYTHONPATH=str(tmp_path))
    assert "[database-url]. uv sync --all-extras" in output
    assert PASSWORD not in output


def test_the_address_that_platforms_set_works(accounts: Project, server: Server) -> None:
    address = f"postgres://postgres:x%2Fy%40z@127.0.0.1:{server.port}/postgres"
    code = f"from {SLUG} import create_app; "
    code += "print(create_app().test_client().get('/readyz', base_url='https://localhost').status_code)"
    assert accounts.run("python", "-c", code, **production(DATABASE_URL=address)).splitlines()[-1] == "200"


def test_logs_are_json_also_if_a_module_imports_the_database_first(accounts: Project, tmp_path: Path) -> None:
    """As a module with a table does, whose import stands at the top of `__init__.py`."""
    code = f"import logging; from {SLUG} import create_app, database; create_app('production')\n"
    code += "for name in ('alembic', 'sqlalchemy', 'shop'): logging.getLogger(name).error('hello')"
    variables = production(MAIL_URL="smtp://localhost", DATA_FOLDER=str(tmp_path))
    lines = accounts.run("python", "-c", code, **variables).splitlines()
    assert [json.loads(line)["logger"] for line in lines][-3:] == ["alembic", "sqlalchemy", "shop"]


# The data folder


def test_data_is_private_and_the_doctor_looks(accounts: Project, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    assert "no problem" in accounts.run("flask", "doctor", DATA_FOLDER=str(folder))
    accounts.run("flask", "db", "upgrade", DATA_FOLDER=str(folder))
    database = folder / "database.sqlite"
    assert (folder.stat().st_mode & 0o777, database.stat().st_mode & 0o777) == (0o700, 0o600)
    folder.chmod(0o755)
    database.chmod(0o644)
    report = json.loads(accounts.run("flask", "doctor", "--json", code=1, DATA_FOLDER=str(folder)))
    assert [each["id"] for each in report["findings"]] == ["data-mode", "data-mode"]
    for each in report["findings"]:
        run("sh", "-c", each["fix"], cwd=tmp_path)
    assert "no problem" in accounts.run("flask", "doctor", DATA_FOLDER=str(folder))


def test_a_data_folder_that_can_not_be_made_is_named(accounts: Project) -> None:
    output = accounts.run("flask", "db", "upgrade", code=None, DATA_FOLDER="/proc/data")
    assert "[data-folder]" in output
    assert "Traceback" not in output


def test_a_database_of_before_is_moved_by_the_command_that_start_up_names(accounts: Project, tmp_path: Path) -> None:
    """With what is in the write-ahead log only: its last commit is there."""
    project = tmp_path / "it's my service"
    shutil.copytree(accounts.path, project, ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache", "data"))
    old = project / "instance" / "database.sqlite"
    old.parent.mkdir()
    connection = sqlite3.connect(old)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE mark (id INTEGER)")
    connection.execute("INSERT INTO mark VALUES (42)")
    connection.commit()
    killed = tmp_path / "killed"  # as it is when the service is killed: nothing is copied back
    shutil.copytree(old.parent, killed)
    connection.close()
    shutil.rmtree(old.parent)
    shutil.move(killed, old.parent)
    assert old.with_name("database.sqlite-wal").stat().st_size > 0
    env = clean_environ(PYTHONPATH=str(project / "src"))
    output = run(accounts.program("flask"), "db", "upgrade", cwd=project, env=env, code=1)
    (command,) = re.findall(r"\[database-moved\]\. Stop the service, then: (.*)", output)
    run("sh", "-c", command, cwd=tmp_path)
    assert list(old.parent.iterdir()) == []
    run(accounts.program("flask"), "db", "upgrade", cwd=project, env=env)
    connection = sqlite3.connect(project / "data" / "database.sqlite")
    assert connection.execute("SELECT id FROM mark").fetchall() == [(42,)]
    connection.close()


def test_readiness_leaves_postgresql_its_connections(accounts: Project, server: Server) -> None:
    """200 at once, twice: two processes open two connections a second at most."""
    port = free_port()
    more = {"DATABASE_URL": f"postgresql://postgres@127.0.0.1:{server.port}/postgres", "WEB_CONCURRENCY": "2"}
    command = [accounts.program("gunicorn"), f"--bind=127.0.0.1:{port}"]
    with serve(command, port, accounts.path, clean_environ(**production(**more))) as service:
        count = "SELECT sum(sessions) FROM pg_stat_database"
        time.sleep(1.5)  # PostgreSQL counts when a session is over
        before = int(run("psql", more["DATABASE_URL"], "-Atc", count, cwd=accounts.path))
        with ThreadPoolExecutor(200) as pool:
            statuses = list(pool.map(lambda _: fetch(f"{service}/readyz")[0], range(400)))
        time.sleep(1.5)
        after = int(run("psql", more["DATABASE_URL"], "-Atc", count, cwd=accounts.path))
    assert set(statuses) == {200}
    assert after - before < 20


# HEAD


@pytest.mark.parametrize("answer", ["nothing", "database", "accounts"])
def test_head_does_no_more_than_get(accounts: Project, tmp_path: Path, answer: str) -> None:
    """HEAD of every GET route, with a form, cross-site, signed in and not: nothing is done (flask#4236)."""
    path = bake(tmp_path, data=answer)
    variables = production(DATABASE_URL=f"sqlite:///{tmp_path}/data.sqlite")
    env = clean_environ(PYTHONPATH=str(path / "src"), **variables)
    if answer != "nothing":
        run(accounts.program("flask"), "db", "upgrade", cwd=path, env=env)
    output = run(accounts.program("python"), Path(__file__).with_name("heads.py"), cwd=path, env=env)
    assert "WRONG" not in output
    asked = output.splitlines()
    assert {"/", "/healthz", "/readyz", "/static/style.css"} <= set(asked)
    assert len([each for each in asked if each.startswith("/accounts/")]) == (10 if answer == "accounts" else 0)


class Follower:
    """Someone who does what a page says: a module, its wiring, and the commands of the page on the database."""

    def __init__(self, accounts: Project, path: Path, module: str, recipe: str) -> None:
        self.path = path
        self.program = accounts.program
        shutil.copytree(accounts.path, path, ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache"))
        package = path / "src" / SLUG
        (package / f"{module}.py").write_text(recipe)
        wiring = (package / "__init__.py").read_text()
        modules = ", ".join(sorted(["errors", "health", "pages", module]))
        wiring = wiring.replace("from . import errors, health, pages\n", f"from . import {modules}\n")
        wiring = wiring.replace("    return app\n", f"    app.register_blueprint({module}.bp)\n    return app\n")
        (package / "__init__.py").write_text(wiring)
        path_variable = f"{accounts.program('x').parent}:{os.environ['PATH']}"
        self.env = clean_environ(PYTHONPATH=str(path / "src"), PATH=path_variable)
        self.shell("ruff check", "ruff format --check", "mypy")  # all of the project, and the recipe
        commands = re.findall(r"(?s)```sh\n(.*?)```", self.page("database"))[0]
        self.shell(commands.replace("uv run ", "").replace("revision notes", f"revision {module}"))
        (self.migration,) = (package / "migrations").glob(f"*_{module}.py")
        self.shell("ruff format", "ruff check --fix", "ruff format", "mypy")

    def page(self, name: str) -> str:
        return (self.path / "docs" / f"{name}.md").read_text()

    def shell(self, *commands: str) -> None:
        for command in commands:
            run("sh", "-ec", command, cwd=self.path, env=self.env)


def recipes(project: Project, page: str) -> list[str]:
    return re.findall(r"(?s)```python\n(.*?)```", (project.path / "docs" / page).read_text())


@pytest.mark.long
def test_the_page_on_the_database(accounts: Project, tmp_path: Path) -> None:
    """Its recipe word by word: a model, a query and a form, which the linters accept."""
    (recipe,) = recipes(accounts, "database.md")
    follower = Follower(accounts, tmp_path / SLUG, "notes", recipe)
    assert 'down_revision = "0002"' in follower.migration.read_text()
    follower.shell("pytest -q tests/test_database.py tests/test_migrations.py")
    port = free_port()
    command = [accounts.program("flask"), "run", "--port", str(port)]
    with serve(command, port, follower.path, follower.env) as address:
        data = urllib.parse.urlencode({"text": "remember <b>me</b>"}).encode()
        urllib.request.urlopen(f"{address}/notes/", data, timeout=10).close()  # noqa: S310
        assert "remember &lt;b&gt;me" in fetch(f"{address}/notes/")[1]


@pytest.mark.long
def test_the_page_on_accounts(accounts: Project, tmp_path: Path) -> None:
    """Its recipe word by word: a table whose rows belong to an account, and its tests."""
    recipe, tests, *_ = recipes(accounts, "accounts.md")
    follower = Follower(accounts, tmp_path / SLUG, "tasks", recipe)
    (follower.path / "tests/test_tasks.py").write_text(tests)
    follower.shell("ruff check", "ruff format --check", "mypy", "pytest -q")


# Uploads


UPLOAD = '--boundary\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'


def upload(address: str, name: str, content: bytes) -> tuple[int, str]:
    """Send a file as a browser does; the status, and the address of the file."""
    body = UPLOAD.replace("{name}", name).encode() + content + b"\r\n--boundary--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=boundary"}
    request = urllib.request.Request(f"{address}/uploads/", body, headers)  # noqa: S310
    opener = urllib.request.build_opener(NoRedirect)
    try:
        with opener.open(request, timeout=20) as response:
            return response.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Location", "")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


@pytest.mark.long
def test_the_page_on_uploads(accounts: Project, tmp_path: Path) -> None:
    """Its recipe word by word: what it stores is private, and what it serves is a download."""
    project = tmp_path / SLUG
    shutil.copytree(accounts.path, project, ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache", "data"))
    (recipe,) = re.findall(r"(?s)```python\n(.*?)```", (project / "docs" / "uploads.md").read_text())
    package = project / "src" / SLUG
    (package / "uploads.py").write_text(recipe)
    wiring = (package / "__init__.py").read_text()
    wiring = wiring.replace("health, pages\n", "health, pages, uploads\n")
    wiring = wiring.replace("    return app\n", "    app.register_blueprint(uploads.bp)\n    return app\n")
    (package / "__init__.py").write_text(wiring)
    env = clean_environ(PYTHONPATH=str(project / "src"), PATH=f"{accounts.program('x').parent}:{os.environ['PATH']}")
    for command in ("ruff check", "ruff format --check", "mypy"):
        run("sh", "-ec", command, cwd=project, env=env)
    port = free_port()
    content = b"%PDF-1.7\n" + secrets.token_bytes(3 * 1024 * 1024)  # more than MAX_CONTENT_LENGTH
    with serve([accounts.program("flask"), "run", "--port", str(port)], port, project, env) as address:
        status, location = upload(address, "../../evil.pdf", content)
        assert (status, location.startswith("/uploads/")) == (302, True)
        with urllib.request.urlopen(f"{address}{location}", timeout=20) as response:  # noqa: S310
            assert response.read() == content
            assert response.headers["Content-Disposition"].startswith("attachment")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert upload(address, "page.html", b"<script>alert(1)</script>")[0] == 415
        assert upload(address, "page.pdf", b"<script>alert(1)</script>")[0] == 415
        assert upload(address, "large.pdf", b"%PDF-" + bytes(11 * 1024 * 1024))[0] == 413
        assert fetch(f"{address}/uploads/../database.sqlite")[0] == 404
        assert fetch(f"{address}/uploads/..%2f..%2f.env")[0] == 404
    (stored,) = (project / "data" / "uploads").iterdir()
    assert stored.read_bytes() == content
    assert stored.parent.stat().st_mode & 0o777 == 0o700


# Back-up and restore

SIGN = f"""
import sys
from {SLUG} import create_app
from {SLUG}.accounts import passwords
from {SLUG}.accounts.models import Account
from {SLUG}.database import db
app = create_app("testing")
with app.test_request_context():
    if sys.argv[1] == "up":
        user = Account(email="ann@example.org")
        passwords.change(user, "correct horse battery staple")
        db.session.add(user)
        db.session.commit()
    if sys.argv[1] == "away":
        db.session.query(Account).delete()
        db.session.commit()
form = {{"email": "ann@example.org", "password": "correct horse battery staple"}}
print("status", app.test_client().post("/accounts/sign-in", data=form).status_code)
"""


def sign_in_to(service: str) -> int:
    """The status of Ann's sign-in to a running service of production, as nginx passes it on."""
    form = urllib.parse.urlencode({"email": "ann@example.org", "password": "correct horse battery staple"}).encode()
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
    request = urllib.request.Request(f"{service}/accounts/sign-in", form, headers)  # noqa: S310
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=20) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.long
def test_a_restored_service_signs_in_the_same_account(accounts: Project, url: str, tmp_path: Path) -> None:
    """The commands of the page, while the service has the database open: SQLite's last commit is in its -wal."""
    page = (accounts.path / "docs" / "database.md").read_text().partition("## Back-up and restore")[2]
    sqlite_copy, sqlite_restore, dump, restore = re.findall(r"(?s)```sh\n(.*?)```", page)
    is_sqlite = url.startswith("sqlite")
    copy, back = (sqlite_copy, sqlite_restore) if is_sqlite else (dump, restore)
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True, mode=0o700)
    if is_sqlite:
        url = f"sqlite:///{project}/data/database.sqlite"

    def sh(commands: str) -> None:
        path = f"{accounts.program('x').parent}:{os.environ['PATH']}"
        env = clean_environ(PATH=path, DATABASE=url)
        run("bash", "-euo", "pipefail", "-c", commands.replace("uv run ", ""), cwd=project, env=env)

    def sign(how: str) -> str:
        output = accounts.run("python", "-c", SIGN, how, DATABASE_URL=url)
        return output.splitlines()[-1]

    accounts.run("flask", "db", "upgrade", DATABASE_URL=url)
    port = free_port()
    command = [accounts.program("gunicorn"), f"--bind=127.0.0.1:{port}", "--workers=1"]
    env = clean_environ(**production(DATABASE_URL=url, TRUSTED_PROXIES="1"))
    with serve(command, port, accounts.path, env) as service:
        assert sign_in_to(service) == 422  # after which it keeps its connection
        assert sign("up") == "status 302"
        if is_sqlite:
            assert (project / "data" / "database.sqlite-wal").stat().st_size > 0
        sh(copy)
    assert sign("away") == "status 422"
    sh(back)
    with serve(command, port, accounts.path, env) as service:
        assert sign_in_to(service) == 302
    (saved,) = project.glob("backup.*")
    assert saved.stat().st_mode & 0o077 == 0
    accounts.run("flask", "db", "current", "--check-heads", DATABASE_URL=url)


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
    app.extensions["alembic"].upgrade()
    print(app.extensions["alembic"].migration_context.connection.exec_driver_sql("PRAGMA foreign_keys").scalar())
"""
    shown = accounts.run("python", "-c", code, **production(DATABASE_URL=f"sqlite:///{tmp_path}/x.sqlite"))
    assert [line for line in shown.splitlines() if len(line) == 1] == ["1", "1"]
    password = secrets.token_urlsafe(12)
    away = production(DATABASE_URL=f"postgresql://ann:{password}@127.0.0.1:{free_port()}/x")
    output = accounts.run("flask", "config", **away)
    assert password not in output
    code = f"from {SLUG} import create_app; app = create_app(); print(app.config); "
    code += "print(app.test_client().get('/readyz', base_url='https://localhost').status_code)"
    output = accounts.run("python", "-c", code, **away)
    assert password not in output
    assert "503" in output.splitlines()  # the outbox says meanwhile that it can't be read
