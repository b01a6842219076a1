"""The library: alone, in an application that is no template's, under an owner's changes, and updated from 0.1."""

import ast
import json
import os
import re
import secrets
import shutil
import string
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import (
    LIBRARY,
    SLUG,
    TEMPLATE,
    OwnService,
    Project,
    clean_environ,
    commit_all,
    free_port,
    key_of,
    production,
    release_template,
    run,
    serve,
    skip_or_fail,
)

import flask_secure
from flask_secure.cli import main

# Alone


def imports(path: Path) -> set[str]:
    """The modules that a file of the library imports, wherever in it, by their full names."""
    found: set[str] = set()
    package = path.relative_to(LIBRARY.parent).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def module_of(name: str) -> str | None:
    """The module of the library that `name` is, or is in."""
    if not name.startswith("flask_secure"):
        return None
    path = LIBRARY.parent.joinpath(*name.split("."))
    is_module = path.with_suffix(".py").exists() or (path / "__init__.py").exists()
    return name if is_module else module_of(name.rpartition(".")[0])


def test_the_library_imports_nothing_of_a_service_and_in_one_direction() -> None:
    allowed = {"flask", "werkzeug", "itsdangerous", "click", "dotenv", "markupsafe", "jinja2", "flask_debugtoolbar"}
    parts = {}
    for path in LIBRARY.rglob("*.py"):
        name = ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)
        parts[name.removesuffix(".__init__")] = imports(path)
    assert len(parts) > 8
    for name, imported in parts.items():
        outside = {each.partition(".")[0] for each in imported} - {"flask_secure"}
        assert outside - sys.stdlib_module_names <= allowed, name
    own = {name: {module_of(each) for each in imported} - {None} for name, imported in parts.items()}
    order = list(TopologicalSorter(own).static_order())  # raises CycleError
    assert set(order) == set(parts)
    assert "create_app" not in {node.id for node in names_in(LIBRARY)}


def names_in(folder: Path) -> list[ast.Name]:
    trees = [ast.parse(path.read_text()) for path in folder.rglob("*.py")]
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)]


# In an application that is no template's

APP = """
from flask import Flask, request, session

import flask_secure

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1000
flask_secure.init_app(app)


@app.route("/", methods=["GET", "POST"])
def form() -> str:
    if request.method == "POST":
        session["name"] = request.form["name"]
    return f"Hello {session.get('name', 'nobody')}"
"""
# Leaves a trace when it is run, and does not start.
BROKEN = "open('was-run', 'w').close()\nraise SystemExit('This application does not start.')\n"


@dataclass(frozen=True)
class Plain:
    """A folder with a plain application, and an environment that has Flask and the library in one of its two forms."""

    path: Path
    venv: Path
    command: str

    def run(self, *arguments: str, code: int | None = 0, cwd: Path | None = None, **more: str) -> str:
        """Run python of the environment, as a user does who is in the folder."""
        return run(self.venv / "bin" / "python", *arguments, cwd=cwd or self.path, code=code, env=clean_environ(**more))

    def library(self, *arguments: str, code: int | None = 0, **more: str) -> str:
        """Run `python -m flask_secure ARGUMENTS`."""
        return self.run("-m", "flask_secure", *arguments, code=code, **more)

    def another(self, path: Path, app: str) -> "Plain":
        """Another folder with the application `app`, for the same environment."""
        path.mkdir(parents=True)
        (path / "app.py").write_text(app)
        if self.command == "python -m flask_secure":
            shutil.copytree(LIBRARY, path / "flask_secure", ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        return Plain(path, self.venv, self.command)


@pytest.fixture(scope="module", params=["copied", "wheel"])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Plain:
    """An environment with Flask and the library, in one of its two forms, or without it where it is copied."""
    place = tmp_path_factory.mktemp(request.param)
    run("uv", "venv", "--quiet", "--python", sys.executable, place / "venv", cwd=place)
    wanted: list[str | Path] = ["flask", "python-dotenv"]
    if request.param == "wheel":
        run("uv", "build", "--quiet", "--wheel", "--out-dir", place, TEMPLATE, cwd=place)
        wanted = list(place.glob("*.whl"))
    run("uv", "pip", "install", "--quiet", "--python", place / "venv", *wanted, "flask-debugtoolbar", cwd=place)
    return Plain(place, place / "venv", "flask secure" if request.param == "wheel" else "python -m flask_secure")


@pytest.fixture
def plain(environment: Plain, tmp_path: Path) -> Plain:
    """The plain application in a folder of this test's own."""
    return environment.another(tmp_path / "plain", APP)


def ask(address: str, data: Mapping[str, str] | None = None, **headers: str) -> tuple[int, Mapping[str, str]]:
    """The status and the headers of a response; a POST where there is `data`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = None if data is None else urllib.parse.urlencode(data).encode()
    request = urllib.request.Request(address, body, named)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return response.status, response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def test_the_library_imports_alone(plain: Plain) -> None:
    script = """
import importlib, pkgutil, flask_secure
for module in pkgutil.walk_packages(flask_secure.__path__, "flask_secure."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
print(flask_secure.__version__)
"""
    (plain.path / "app.py").unlink()
    output = plain.run("-W", "error", "-c", script)
    assert "flask_secure.checks.keys" in output.splitlines()
    assert re.fullmatch(r"\d+\.\d+\.\d+", output.splitlines()[-1])


def test_a_plain_application_in_development(plain: Plain) -> None:
    made = plain.library("key", "init")
    key = key_of(plain.path)
    assert key not in made
    assert (plain.path / ".env").stat().st_mode & 0o777 == 0o600
    again = plain.library("key", "init")
    assert key_of(plain.path) == key
    assert re.findall("[0-9a-f]{12}", made) == re.findall("[0-9a-f]{12}", again)

    port = free_port()
    flask = [plain.venv / "bin" / "flask", "run", "--port", str(port)]
    with serve(flask, port, plain.path, clean_environ()) as address:
        status, headers = ask(address)
        assert status == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert ask(address, {"name": "a"}, Sec_Fetch_Site="cross-site")[0] == 403
        assert ask(address, {"name": "a"}, Origin="https://evil.example")[0] == 403
        status, headers = ask(address, {"name": "a"}, Sec_Fetch_Site="same-origin")
        assert (status, headers["Set-Cookie"].partition("=")[0]) == (200, "app_session")
        assert ask(address, {"name": "a" * 2000}, Sec_Fetch_Site="same-origin")[0] == 413  # the application's own limit
        assert ask(address, Host="evil.example")[0] == 400
        assert key not in (plain.path / f"server-{port}.log").read_text()


def test_a_plain_application_in_production(plain: Plain) -> None:
    script = """
from app import app
client = app.test_client()
response = client.post("/", data={"name": "a"}, base_url="https://localhost")
print(response.status_code, app.config["MAX_CONTENT_LENGTH"], app.debug, app.config["SECRET_KEY"])
print(response.headers)
print(client.post("/", base_url="https://localhost", headers={"Sec-Fetch-Site": "cross-site"}).status_code)
"""
    env = production(FLASK_DEBUG="1")
    told, first, *headers, last = plain.run("-c", script, **env).strip().splitlines()
    assert "__Host-app, not session" in json.loads(told)["message"]
    assert first == f"200 1000 False {env['SECRET_KEY']}"
    assert last == "403"
    text = "\n".join(headers)
    assert "Strict-Transport-Security: max-age=" in text
    assert "Set-Cookie: __Host-app=" in text


@pytest.mark.parametrize("place", ["environment", "code"])
def test_a_plain_application_rejects_a_placeholder(plain: Plain, place: str) -> None:
    """The fix is a command that exists in this form of the library, and one that works."""
    env = production(SECRET_KEY="changeme")
    if place == "code":
        del env["SECRET_KEY"]
        (plain.path / "app.py").write_text(
            APP.replace("flask_secure.init", "app.secret_key = 'changeme'\nflask_secure.init")
        )
    output = plain.run("-c", "import app", code=1, **env)
    assert "[key-placeholder]" in output
    assert "changeme" not in output
    assert f" in the {'application' if place == 'code' else 'environment'} " in output
    assert f"{plain.command} key generate" in output.replace("uv run ", "")
    for other in {"python -m flask_secure", "flask"} - {plain.command}:
        assert not re.search(rf"(?<![\w.]){other} key", output)
    assert "changeme" not in run(plain.venv / "bin" / "flask", "run", cwd=plain.path, code=1, env=clean_environ(**env))


def test_a_key_in_code_is_used_when_it_is_good(plain: Plain) -> None:
    key = secrets.token_hex(32)
    (plain.path / "app.py").write_text(APP.replace("flask_secure.init", f"app.secret_key = '{key}'\nflask_secure.init"))
    env = production()
    del env["SECRET_KEY"]
    shown = plain.run("-c", "from app import app; print(app.config['SECRET_KEY'])", **env)
    assert shown.splitlines()[-1] == key
    assert key not in plain.run("-c", "from app import app; print(app.config)", **env)


def test_without_the_toolbar_development_starts_and_names_what_to_install(plain: Plain) -> None:
    plain.library("key", "init")
    (plain.path / "flask_debugtoolbar.py").write_text("raise ImportError\n")
    output = plain.run("-c", "import app", APP_ENV="development")
    assert "pip install flask-debugtoolbar" in output
    wanted = APP.replace("init_app(app)", "init_app(app, parts={'key', 'toolbar'})")
    (plain.path / "app.py").write_text(wanted)
    output = plain.run("-c", "import app", code=1, APP_ENV="development")
    assert "[toolbar-missing]" in output
    assert "flask-debugtoolbar" in output.partition("[toolbar-missing]")[2].lower()


def test_the_doctor_of_a_plain_application_finds_what_is_planted(plain: Plain) -> None:
    plain.library("key", "init")
    key = key_of(plain.path)
    assert json.loads(plain.library("doctor", "--json"))["findings"] == []
    (plain.path / ".env").chmod(0o644)
    (plain.path / "instance").mkdir()
    (plain.path / "instance" / "config.py").write_text("SESSION_COOKIE_HTTPONLY = False\n")
    (plain.path / "instance" / "config.py").chmod(0o600)
    (plain.path / "notes.txt").write_text(f"The key is {key}\n")
    commit_all(plain.path)
    output = plain.library("doctor", "--json", code=1)
    found = {finding["id"] for finding in json.loads(output)["findings"]}
    assert found == {"file-mode", "cookie-httponly", "git-not-ignored", "git-history"}
    assert key not in output
    assert plain.command in output.replace("uv run ", "")
    if plain.command == "flask secure":
        flask = plain.venv / "bin/flask"
        by_flask = run(flask, "secure", "doctor", "--json", cwd=plain.path, code=1, env=clean_environ())
        assert "No such command 'key'" in run(flask, "key", "show", cwd=plain.path, code=2, env=clean_environ())
        assert json.loads(by_flask) == json.loads(output)


def test_the_commands_work_without_running_the_application(environment: Plain, tmp_path: Path) -> None:
    plain = environment.another(tmp_path / "broken", BROKEN)
    plain.run("-c", "import app", code=1)
    (plain.path / "was-run").unlink()  # it does leave a trace

    plain.library("key", "init")
    shown = [plain.library("key", "show"), plain.library("key", "show", FLASK_APP="app.py")]
    report = json.loads(plain.library("doctor", "--json", code=1))
    assert report["environment"] == "development"
    assert [problem["id"] for problem in report["findings"]] == ["load-failed"]
    (plain.path / "was-run").unlink()  # the doctor alone runs it, in a process of its own
    assert "MAX_CONTENT_LENGTH" in plain.library("config")
    package = plain.path / "shop"
    package.mkdir()
    shutil.copy(plain.path / "app.py", package / "__init__.py")
    shutil.copy(plain.path / "app.py", package / "web.py")
    shown.append(plain.library("key", "show", FLASK_APP="shop.web:create_app('x')"))
    if plain.command == "flask secure":
        shown.append(run(plain.venv / "bin/flask", "secure", "key", "show", cwd=plain.path, env=clean_environ()))
    assert len({"".join(re.findall("[0-9a-f]{12}", output)) for output in shown}) == 1
    assert not (plain.path / "was-run").exists()


def test_an_application_that_is_not_there_is_named(plain: Plain) -> None:
    output = plain.library("key", "show", code=1, FLASK_APP="not_there")
    assert "not_there" in output
    assert "Traceback" not in output


def test_the_projects_root_is_the_nearest_folder_with_a_pyproject(environment: Plain, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "pyproject.toml").touch()
    plain = environment.another(tmp_path / "project" / "web", APP)
    plain.library("key", "init", FLASK_APP=str(plain.path / "app.py"))
    assert len(key_of(tmp_path / "project")) == 64
    assert not (plain.path / ".env").exists()
    page = "from app import app; print(app.config['APP_ENV'], app.config['SECRET_KEY'])"
    shown = plain.run("-c", page, APP_ENV="development").splitlines()[-1]
    assert shown.split() == ["development", key_of(tmp_path / "project")]


# `flask config`


def config_table(output: str) -> dict[str, tuple[str, str]]:
    """The layer and the value of each setting in the output of `flask config`."""
    rows = [re.split(r"\s{2,}", line, maxsplit=2) for line in output.splitlines() if re.match("[A-Z]", line)]
    return {row[0]: (row[1], row[2]) for row in rows if len(row) == 3}


def test_config_names_the_layer_of_each_value_and_shows_no_secret(project: Project, fresh: Path) -> None:
    values = {
        name: secrets.token_urlsafe(20) for name in ("FERNET_KEY", "STRIPE_KEY", "apiKey", "inner", "DB_PASSWORD")
    }
    default = fresh / "src" / SLUG / "config" / "default.py"
    nested = {"url": "https://api.example.org", "apiKey": values["apiKey"], "list": [{"token": values["inner"]}]}
    default.write_text(f"{default.read_text()}OWN = 1\nMAX_FORM_PARTS = 300\nSHOP = {nested!r}\n")
    (fresh / "instance").mkdir()
    (fresh / "instance" / "config.py").write_text(f"FERNET_KEY = {values['FERNET_KEY']!r}\nHERE = 2\n")
    (fresh / ".env").write_text(f"{(fresh / '.env').read_text()}FLASK_DB_PASSWORD={values['DB_PASSWORD']}\n")
    output = OwnService(fresh, project).flask(
        "config",
        FLASK_DATABASE_URL="postgres://user:p@ss@db.example.org/shop",
        FLASK_STRIPE_KEY=values["STRIPE_KEY"],
        FLASK_OTHER="3",
        TRUSTED_HOSTS="localhost,dev.example.org",
    )
    table = config_table(output)
    assert {name: table[name][0] for name in table} | {
        "PERMANENT_SESSION_LIFETIME": "Flask",
        "SESSION_COOKIE_SAMESITE": "flask_secure/defaults/default.py",
        "SESSION_COOKIE_SECURE": "flask_secure/defaults/development.py",
        "SERVICE_NAME": "config/default.py",
        "OWN": "config/default.py",
        "MAX_FORM_PARTS": "config/default.py",
        "SHOP": "config/default.py",
        "HERE": "instance/config.py",
        "FERNET_KEY": "instance/config.py",
        "STRIPE_KEY": "FLASK_STRIPE_KEY",
        "DATABASE_URL": "FLASK_DATABASE_URL",
        "DB_PASSWORD": "FLASK_DB_PASSWORD",
        "OTHER": "FLASK_OTHER",
        "TRUSTED_HOSTS": "TRUSTED_HOSTS",
        "SECRET_KEY": ".env",
    } == {name: table[name][0] for name in table}
    assert (table["OWN"][1], table["HERE"][1], table["OTHER"][1]) == ("1", "2", "3")
    assert "https://api.example.org" in table["SHOP"][1]
    assert "db.example.org/shop" in table["DATABASE_URL"][1]
    assert "ss@db" not in output
    assert "p@" not in output
    for secret in (*values.values(), key_of(fresh)):
        assert secret not in output


WORDS = st.sampled_from(["stripe", "db", "old", "my", "2", "id", "main"])
SECRETS = st.sampled_from(["key", "secret", "token", "password", "passwd", "credential", "dsn", "keys", "credentials"])
STYLES = {
    "A_KEY": lambda words: "_".join(words).upper(),
    "a_key": "_".join,
    "a-key": "-".join,
    "aKey": lambda words: words[0] + "".join(word.capitalize() for word in words[1:]),
}
VALUES = st.text(string.ascii_letters + string.digits + "-_.", min_size=10, max_size=60)


def config_in_process(folder: Path, **variables: str) -> str:
    """The output of `python -m flask_secure config` in `folder`."""
    environ = clean_environ(**production(**variables))
    app = str(folder / "app.py")
    with patch.dict(os.environ, environ, clear=True), patch.object(sys, "path", list(sys.path)):
        result = CliRunner().invoke(main, ["config"], catch_exceptions=False, env={"FLASK_APP": app})
    assert result.exit_code == 0
    return result.output


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(WORDS, max_size=2), word=SECRETS, after=st.lists(WORDS, max_size=1), value=VALUES, data=st.data()
)
def test_whatever_is_named_as_a_secret_is_not_shown(
    tmp_path: Path, before: list[str], word: str, after: list[str], value: str, data: st.DataObject
) -> None:
    value = f"Zq{value}qZ"  # which nothing else in the output is
    style = data.draw(st.sampled_from(sorted(STYLES)))
    name = STYLES[style]([*before, word, *after])
    nested = {"FLASK_SHOP": json.dumps({"public": "visible-value", name: [value, {"x": value}]})}
    flat = {f"FLASK_{STYLES['A_KEY']([*before, word, *after])}": value}
    output = config_in_process(tmp_path, **nested, **flat)
    assert "visible-value" in output
    assert value not in output


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(password=st.text(string.ascii_letters + string.digits + "@:!$%&*+-=_~", min_size=1, max_size=30))
def test_the_password_of_a_url_is_not_shown_up_to_its_last_at_sign(tmp_path: Path, password: str) -> None:
    output = config_in_process(tmp_path, FLASK_DATABASE_URL=f"postgres://reader:{password}@db.example.org/shop?a=b@c")
    line = config_table(output)["DATABASE_URL"][1]
    shown = re.fullmatch(r"'postgres://reader:(.*)@db\.example\.org/shop\?a=b@c'", line)
    assert shown is not None, line
    assert shown[1] == "[redacted]"


# Settings in files


def test_a_setting_in_a_file_is_verbatim_and_shows_nowhere(project: Project, fresh: Path, tmp_path: Path) -> None:
    secret = f" {secrets.token_urlsafe(20)}=\n"
    (tmp_path / "password").write_text(f"{secret}\n")
    (tmp_path / "hosts").write_text("localhost\n")
    service = OwnService(fresh, project)
    files = {"FLASK_DB_LOGIN_FILE": str(tmp_path / "password"), "TRUSTED_HOSTS_FILE": str(tmp_path / "hosts")}
    table = config_table(service.flask("config", **files))
    assert table["DB_LOGIN"] == ("FLASK_DB_LOGIN_FILE", "'[redacted]'")
    assert table["TRUSTED_HOSTS"][0] == "TRUSTED_HOSTS_FILE"
    assert "DB_LOGIN_FILE" not in table
    code = (
        "import logging, os; from flask import current_app; value = current_app.config['DB_LOGIN'];"
        f"print(value == {secret!r}, repr(value)); logging.error('it is %s', value)\n"
    )
    output = run(
        project.program("flask"),
        "shell",
        cwd=fresh,
        env=clean_environ(PYTHONPATH=str(fresh / "src"), **files),
        text=code,
    )
    assert "True '[redacted]'" in output
    assert "it is [redacted]" in output
    output = service.flask("routes", code=1, **files | {"FLASK_DB_LOGIN_FILE": "/nowhere"})
    assert output.startswith("Error: DB_LOGIN: /nowhere")
    assert len(output.splitlines()) == 1
    output = service.flask("routes", code=1, **files, FLASK_DB_LOGIN="x")
    assert "DB_LOGIN is set by FLASK_DB_LOGIN_FILE too" in output
    service.flask("routes", FLASK_ENV_FILE=str(fresh / ".flaskenv"))  # it is Flask's own


# An owner's changes

PAGES = '''"""The pages of a shop."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_login import current_user, login_required, login_user
from werkzeug.wrappers import Response

from .accounts import Account, db

bp = Blueprint("shop", __name__)


@bp.get("/")
def home() -> str:
    return render_template("home.html", user=current_user)


@bp.post("/sign-up")
def sign_up() -> Response:
    account = Account(name="first")
    db.session.add(account)
    db.session.commit()
    login_user(account)
    flash("Welcome")
    return redirect(url_for("shop.home"))


@bp.get("/orders")
@login_required
def orders() -> str:
    return f"Orders of {current_user.name}"
'''
ACCOUNTS = '''"""Who can sign in, and where they are kept."""

from flask import Blueprint
from flask_login import LoginManager, UserMixin
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

bp = Blueprint("accounts", __name__, url_prefix="/accounts")
db = SQLAlchemy()
login = LoginManager()


class Base(DeclarativeBase):
    pass


class Account(UserMixin, Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@login.user_loader
def load(id: str) -> Account | None:
    return db.session.get(Account, int(id))


@bp.get("/")
def index() -> list[str]:
    return [account.name for account in db.session.query(Account)]
'''
SHOP_TEST = '''"""The shop."""

from flask.testing import FlaskClient


def test_sign_up(client: FlaskClient) -> None:
    from importlib import import_module

    accounts = import_module(f"{client.application.import_name}.accounts")
    with client.application.app_context():
        accounts.Base.metadata.create_all(accounts.db.engine)
    assert client.get("/orders", base_url="https://localhost").status_code == 401
    page = client.post("/sign-up", base_url="https://localhost", follow_redirects=True).text
    assert "Welcome" in page
    assert "Orders of first" in client.get("/orders", base_url="https://localhost").text
    assert client.get("/accounts/", base_url="https://localhost").json == ["first"]
'''


def test_an_owners_changes_leave_the_generated_tests_green_but_those_of_the_page(fresh: Path) -> None:
    """Pages of one's own, Flask-Login, Flask-SQLAlchemy-Lite and another blueprint."""
    package = fresh / "src" / SLUG
    run("uv", "add", "--quiet", "--python", sys.executable, "flask-login", "flask-sqlalchemy-lite", cwd=fresh)
    (package / "templates" / "index.html").unlink()
    home = '{% extends "base.html" %}{% block main %}<h1>Shop</h1>{{ user.name }}{% endblock %}'
    (package / "templates" / "home.html").write_text(home)
    (package / "pages.py").write_text(PAGES)
    (package / "accounts.py").write_text(ACCOUNTS)
    (fresh / "tests" / "test_shop.py").write_text(SHOP_TEST)
    with (package / "config" / "default.py").open("a") as config:
        config.write('\nSQLALCHEMY_ENGINES = {"default": "sqlite://"}\n')
    wiring = package / "__init__.py"
    more = "    accounts.db.init_app(app)\n    accounts.login.init_app(app)\n    app.register_blueprint(accounts.bp)\n"
    text = (
        wiring.read_text()
        .replace("import errors", "import accounts, errors")
        .replace("    return app", more + "    return app")
    )
    assert text.count("accounts") == 4
    wiring.write_text(text)

    run("uv", "sync", "--quiet", "--python", sys.executable, cwd=fresh)
    output = run("uv", "run", "--no-sync", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", cwd=fresh, code=None)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    assert 1 <= len(failed) <= 2, output
    assert all(name.startswith("tests/test_pages.py::") for name in failed), output
    passed = re.search(r"(\d+) passed", output)
    assert passed is not None
    assert int(passed[1]) >= 5
    run("uv", "run", "--no-sync", "pytest", "-q", "tests/test_shop.py", cwd=fresh)


# Releases

RELEASE, RELEASED = "v0.2.0", "b3fefe5"  # the last one, and its commit, for clones without tags


def test_a_release_is_named_in_one_place() -> None:
    unreleased, last, *_ = re.findall(r"(?m)^## (.*)$", (TEMPLATE / "CHANGELOG.md").read_text())
    assert unreleased == f"Unreleased ({flask_secure.__version__})"
    assert last.startswith(f"{RELEASE[1:]} (")


def test_a_project_of_the_last_release_is_updated(project: Project, tmp_path: Path) -> None:
    """With an owner's page, setting, test and dependency in it: without a conflict."""
    template, own = tmp_path / "template", tmp_path / SLUG
    run("git", "clone", "--quiet", TEMPLATE, template, cwd=tmp_path)
    run("git", "checkout", "--quiet", "-B", "main", cwd=template)
    tagged = run("git", "tag", "--force", RELEASE, RELEASED, cwd=template, code=None)
    if "fatal" in tagged:
        skip_or_fail(f"The history does not go back to {RELEASE}: git fetch --unshallow")
    cruft = Path(sys.executable).with_name("cruft")
    env = clean_environ(HOME=str(tmp_path), GIT_CONFIG_GLOBAL=os.devnull)
    run(cruft, "create", "--no-input", "--checkout", RELEASE, template, cwd=tmp_path, env=env)
    commit_all(own)
    package, env_file = own / "src" / SLUG, own / ".env"
    with (package / "pages.py").open("a") as pages:
        pages.write('\n\n@bp.get("/about")\ndef about() -> str:\n    return "About us"\n')
    with (package / "config" / "default.py").open("a") as settings:
        settings.write('CURRENCY = "EUR"\n')
    test = "def test_about(client):\n    assert client.get('/about').text == 'About us'\n"
    (own / "tests" / "test_about.py").write_text(test)
    toml = (own / "pyproject.toml").read_text()
    (own / "pyproject.toml").write_text(toml.replace('"python-dotenv>=1.2",\n', '"python-dotenv>=1.2",\n  "idna",\n'))
    env_file.chmod(0o640)
    commit_all(own)
    before, key = (env_file.read_bytes(), env_file.stat().st_mode), key_of(own)

    release_template(template)
    output = run(cruft, "update", "--skip-apply-ask", cwd=own, env=env)

    assert (env_file.read_bytes(), env_file.stat().st_mode) == before
    assert key not in output
    assert list(own.rglob("*.rej")) == []
    assert run("git", "diff", "--name-only", "--diff-filter=U", cwd=own) == ""
    names = [path.relative_to(LIBRARY) for path in LIBRARY.rglob("*") if path.is_file() and "cache" not in str(path)]
    assert all((own / "src/flask_secure" / name).read_bytes() == (LIBRARY / name).read_bytes() for name in names)
    assert '"idna",' in (own / "pyproject.toml").read_text()
    python = clean_environ(PYTHONPATH=str(own / "src"))
    run(project.program("pytest"), "-q", "-p", "no:cacheprovider", cwd=own, env=python)
    assert config_table(OwnService(own, project).flask("config"))["CURRENCY"] == ("config/default.py", "'EUR'")
    assert "development" in OwnService(own, project).flask("key", "show")


def test_cookiecutter_takes_a_release(tmp_path: Path) -> None:
    run("git", "clone", "--quiet", TEMPLATE, tmp_path / "template.git", cwd=tmp_path)
    run("git", "tag", "--force", RELEASE, RELEASED, cwd=tmp_path / "template.git", code=None)
    options = ("--no-input", "--default-config", "--checkout", RELEASE)
    command = (Path(sys.executable).with_name("cookiecutter"), *options, f"file://{tmp_path}/template.git")
    home = clean_environ(HOME=str(tmp_path))
    run(*command, cwd=tmp_path, env=home)
    assert '__version__ = "0.2.0"' in (tmp_path / SLUG / "src/flask_secure/__init__.py").read_text()
