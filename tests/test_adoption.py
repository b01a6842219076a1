"""How the library comes into an application that others wrote: its parts, its environment, what it respects."""

import itertools
import json
import logging
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click import Context
from flask import Blueprint, Flask, session
from flask.sessions import SecureCookieSessionInterface, SessionInterface
from flask.views import MethodView
from flask_debugtoolbar import DebugToolbarExtension
from playwright.sync_api import Page
from sites import Site
from support import LIBRARY, RAW_PROJECT, SLUG, TEMPLATE, Project, clean_environ, free_port, production, run, serve
from werkzeug.debug import DebuggedApplication
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

import flask_secure
from flask_secure import StartupError, cli, dependencies, parts
from flask_secure.parts import PARTS
from flask_secure.redaction import is_worth_hiding, redacted

KEY, OTHER = secrets.token_hex(32), secrets.token_hex(32)
HTTPS = "https://localhost"
CROSS_SITE = {"Sec-Fetch-Site": "cross-site"}


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The folder of an application, in a process whose variables say what production needs."""
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    with patch.dict(os.environ, clean_environ(SECRET_KEY=KEY, TRUSTED_HOSTS="localhost"), clear=True):
        yield tmp_path


def plain(root: Path, **code: object) -> Flask:
    """An application before the library: it counts visits in its session."""
    app = Flask("shop", root_path=str(root))
    app.config.update(code)

    @app.route("/", methods=["GET", "POST"])
    def count() -> str:
        session["visits"] = session.get("visits", 0) + 1
        return str(session["visits"])

    return app


def make(root: Path, env: str | None = "production", code: Any = (), **options: Any) -> Flask:
    app = plain(root, **dict(code))
    flask_secure.init_app(app, env, **options)
    return app


def ids(root: Path, env: str | None = "production", code: Any = (), **options: Any) -> list[str]:
    with pytest.raises(StartupError) as caught:
        make(root, env, code, **options)
    assert KEY not in str(caught.value)
    return [problem.id for problem in caught.value.problems]


# Parts and settings


def test_the_readmes_table_of_the_parts() -> None:
    """To write it again: python -c 'from flask_secure import parts; print(parts.table())'"""
    assert parts.table() in (LIBRARY / "README.md").read_text()


@pytest.mark.parametrize("chosen", ["key", "keys", ["key", "cookie"], [], set(), 3])
def test_parts_that_mean_nothing_are_rejected(root: Path, chosen: Any) -> None:
    assert set(ids(root, parts=chosen)) == {"parts-format"}


def test_the_part_key_changes_no_attribute_of_the_cookie_and_logs_nobody_out(root: Path) -> None:
    before = plain(root, SECRET_KEY=KEY).test_client().get("/", base_url=HTTPS)
    app = make(root, parts={"key"})
    client = app.test_client()
    client.set_cookie("session", before.headers["Set-Cookie"].partition("=")[2].partition(";")[0])
    after = client.get("/", base_url=HTTPS)
    assert after.text == "2"
    attributes = [response.headers["Set-Cookie"].split("; ")[1:] for response in (before, after)]
    assert attributes[0] == attributes[1]
    assert set(after.headers.keys()) == set(before.headers.keys())
    assert client.post("/", base_url="https://evil.example", headers=CROSS_SITE).status_code == 200


@pytest.mark.parametrize("part", sorted(set(PARTS) - {"toolbar"}))
def test_a_part_that_is_off_sets_nothing_and_asks_for_nothing(root: Path, part: str) -> None:
    os.environ.pop({"key": "SECRET_KEY", "hosts": "TRUSTED_HOSTS"}.get(part, ""), None)
    app = make(root, parts=set(PARTS) - {part}, code={"SECRET_KEY": OTHER} if part == "key" else {})
    for setting in PARTS[part].settings:
        assert app.config.get(setting) == Flask.default_config.get(setting), setting
    assert app.test_client().get("/", base_url=HTTPS).status_code == 200


def test_a_part_that_is_off_leaves_settings_of_its_names_to_the_application(root: Path) -> None:
    """CTFd's TRUSTED_PROXIES is a list of patterns."""
    code = {"TRUSTED_PROXIES": [r"^127\.0\.0\.1$"]}
    with pytest.raises(StartupError, match="part 'hosts'"):
        make(root, code=code)
    os.environ["TRUSTED_PROXIES"] = "1"
    app = make(root, code=code, parts=set(PARTS) - {"hosts"})
    assert app.config["TRUSTED_PROXIES"] == code["TRUSTED_PROXIES"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_COOKIE_NAME", "session"),
        ("MAX_FORM_PARTS", 1000),
        ("MAX_CONTENT_LENGTH", None),
        ("SESSION_COOKIE_SAMESITE", None),
        ("STRICT_TRANSPORT_SECURITY", None),
        ("SESSION_COOKIE_SECURE", False),
    ],
)
def test_an_explicit_choice_is_kept_whatever_its_value(root: Path, name: str, value: object) -> None:
    assert make(root, settings={name: value}).config[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_COOKIE_NAME", "shop"),
        ("MAX_FORM_PARTS", 1001),
        ("SESSION_COOKIE_SAMESITE", "Strict"),
        ("STRICT_TRANSPORT_SECURITY", None),
        ("SESSION_COOKIE_HTTPONLY", False),
    ],
)
def test_what_differs_from_flasks_default_is_kept(root: Path, name: str, value: object) -> None:
    assert make(root, code={name: value}).config[name] == value


def test_the_library_changes_nothing_of_flask_or_logging_when_it_is_imported(root: Path) -> None:
    state = "[dict(vars(flask.Flask)), dict(vars(flask.Config)), dict(vars(logging)), logging.root.handlers]"
    text = f"import logging, flask\nbefore = {state}\nimport flask_secure\nassert {state} == before\n"
    started(root, text, "-c", "import app", **production())


def test_settings_stand_between_the_files_and_the_variables(root: Path) -> None:
    (root / "instance").mkdir()
    (root / "instance/config.py").write_text("MAX_FORM_PARTS = 1\nMAX_CONTENT_LENGTH = 1\n")
    os.environ["FLASK_MAX_CONTENT_LENGTH"] = "3"
    policy = {"img-src": ["https://images.example"], "font-src": None}
    settings = {"MAX_FORM_PARTS": 2, "MAX_CONTENT_LENGTH": 2, "CONTENT_SECURITY_POLICY": policy}
    config = make(root, settings=settings).config
    assert (config["MAX_FORM_PARTS"], config["MAX_CONTENT_LENGTH"]) == (2, 3)
    assert config["CONTENT_SECURITY_POLICY"]["img-src"] == ["https://images.example"]
    assert config["CONTENT_SECURITY_POLICY"]["default-src"] == ["'none'"]
    assert "font-src" not in config["CONTENT_SECURITY_POLICY"]
    assert ids(root, settings={"SESSION_COOKIE_SECURE": "yes"}) == ["setting-type"]


@pytest.mark.parametrize(
    ("setting", "code", "is_read"),
    [
        ("LOG", {"LOG_FILE": "/var/log/shop.log"}, False),
        ("MAIL_CA", {"MAIL_CA_FILE": ""}, False),
        ("TLS_KEY", {"TLS_KEY_FILE": None}, False),
        ("LOG", {}, True),
        ("TLS_KEY", {}, True),
        ("REDIS_URL", {}, True),
        ("DB_PASSWORD", {"DB_PASSWORD": "of the code"}, True),
        ("TRUSTED_HOSTS", {}, True),
    ],
)
def test_a_variable_names_a_file_to_read_unless_the_application_has_that_setting(
    root: Path, setting: str, code: dict[str, object], is_read: bool
) -> None:
    """FLASK_LOG_FILE=/var/log/shop.log is a path, whether or not there is such a file, if there is a LOG_FILE."""
    path = root / "file"
    os.environ.pop("TRUSTED_HOSTS")
    os.environ["FLASK_TRUSTED_HOSTS"] = "localhost"
    if is_read:
        path.write_text("localhost\n")
    if setting == "TRUSTED_HOSTS":
        os.environ.pop("FLASK_TRUSTED_HOSTS")
    os.environ[f"FLASK_{setting}_FILE"] = str(path)
    config = make(root, code=code).config
    assert config.get(setting) in (["localhost", ["localhost"]] if is_read else [None])
    assert config.get(f"{setting}_FILE") == (None if is_read else str(path))


@pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEY_FALLBACKS", "APP_ENV", "DEBUG", "TESTING"])
def test_settings_hold_no_key_and_no_environment(root: Path, name: str) -> None:
    assert ids(root, settings={name: OTHER}) == ["settings-format"]


@pytest.mark.parametrize("settings", ["A=1", [("A", 1)], {1: 2}])
def test_settings_are_a_dict(root: Path, settings: Any) -> None:
    assert ids(root, settings=settings) == ["settings-format"]


# One line about what changes

APP = """
from flask import Flask
import flask_secure
app = Flask(__name__)
app.debug = True
app.config["WTF_CSRF_SECRET_KEY"] = {other!r}
flask_secure.init_app(app, parts={parts})
"""


def started(root: Path, text: str, *command: str, code: int | None = 0, **variables: str) -> str:
    (root / "app.py").write_text(text)
    env = clean_environ(PYTHONPATH=f"{LIBRARY.parent}:{root}", PYTHONDONTWRITEBYTECODE="1", **variables)
    return run(sys.executable, *(command or ("-c", "import app, app")), cwd=root, env=env, code=code)


def test_one_line_names_what_is_not_kept_what_is_off_and_the_cookie(root: Path) -> None:
    output = started(root, APP.format(other=OTHER, parts="{'key', 'cookies'}"), **production())
    (line,) = output.splitlines()
    assert OTHER not in line
    for text in ("WTF_CSRF_SECRET_KEY", "DEBUG", "__Host-app", "headers, csrf, hosts, limits, logs, toolbar"):
        assert text in line


TWICE = """
from flask import Flask
import flask_secure
def create_app():
    app = Flask("app")
    flask_secure.init_app(app)
for _ in range(2):
    create_app()
"""


def test_the_line_comes_once_a_process_and_never_in_a_project_of_the_template(root: Path, project: Project) -> None:
    (line,) = started(root, TWICE, **production()).splitlines()
    assert "__Host-app" in line
    own = (
        f"from flask import Flask; import flask_secure; app = Flask({SLUG!r}); app.config['WTF_CSRF_SECRET_KEY'] = 'x'"
    )
    for code in (f"from {SLUG} import create_app; create_app()", f"{own}; flask_secure.init_app(app)"):
        assert project.run("python", "-c", code, **production()) == ""


# The environment


def env_of(root: Path, *, argument: str | None = None, testing: bool | None = None) -> str:
    app = plain(root) if testing is None else plain(root, TESTING=testing)
    flask_secure.init_app(app, argument)
    assert app.testing == (app.config["APP_ENV"] == "testing")
    return str(app.config["APP_ENV"])


def test_the_order_of_what_says_the_environment(root: Path) -> None:
    (root / ".env").write_text("APP_ENV=development\n")
    assert env_of(root) == "production"
    with Context(cli.main):  # what `flask` and `python -m flask_secure` run in
        assert env_of(root, testing=True) == "testing"
        assert env_of(root) == "development"
    os.environ.pop("APP_ENV")  # which development has taken from .env
    assert env_of(root, testing=True) == "testing"
    os.environ["APP_ENV"] = "development"
    assert env_of(root, testing=True) == "development"
    assert env_of(root, argument="testing") == "testing"


def test_a_variable_never_makes_it_testing(root: Path) -> None:
    os.environ["FLASK_TESTING"] = "1"
    assert env_of(root) == "production"
    app = plain(root)
    app.config.from_prefixed_env()
    assert app.testing
    flask_secure.init_app(app)
    assert (app.config["APP_ENV"], app.testing) == ("production", False)


def test_production_with_testing_is_an_error(root: Path) -> None:
    os.environ["APP_ENV"] = "production"
    assert ids(root, None, {"TESTING": True}) == ["env-testing"]


def test_the_documented_fixture_of_flask_is_told_what_to_say(root: Path) -> None:
    """It sets TESTING after create_app(), which is too late: nothing has said testing yet."""
    (root / "shop.py").write_text(
        "from flask import Flask\nimport flask_secure\n\n\ndef create_app():\n"
        "    app = Flask(__name__)\n    flask_secure.init_app(app)\n    return app\n"
    )
    fixture = (
        "import os, pytest\nfrom shop import create_app\n\n\n@pytest.fixture()\ndef app():\n"
        "    {line}\n    app = create_app()\n    app.config.update({{'TESTING': True}})\n    yield app\n\n\n"
        "def test_it(app):\n    assert app.test_client().get('/').status_code == 404\n"
    )
    env = clean_environ(PYTHONPATH=f"{LIBRARY.parent}:{root}", PYTHONDONTWRITEBYTECODE="1")
    pytest_here = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "test_shop.py")
    (root / "test_shop.py").write_text(fixture.format(line="pass"))
    output = run(*pytest_here, cwd=root, env=env, code=1)
    assert "APP_ENV=testing" in output
    line = 'os.environ["APP_ENV"] = "testing"'
    assert line in output
    run(*pytest_here, cwd=root, env=env | {"APP_ENV": "testing"})
    (root / "test_shop.py").write_text(fixture.format(line=line))
    run(*pytest_here, cwd=root, env=env)


def test_a_laptop_is_told_what_a_laptop_needs(root: Path) -> None:
    (root / "app.py").write_text("from flask import Flask\nimport flask_secure\napp = Flask('app')\n")
    text = "from flask import Flask\nimport flask_secure\napp = Flask('app')\nflask_secure.init_app(app)\n"
    dev = text.replace("flask_secure.init", "app.config['SECRET_KEY'] = 'dev'\nflask_secure.init")
    debugged = (
        (("-c", "import app"), {"FLASK_DEBUG": "1"}),
        (("-m", "flask", "--debug", "routes"), {}),
    )
    for (command, variables), code in itertools.product(debugged, (text, dev)):
        output = started(root, code, *command, code=1, **variables).splitlines()[-1]
        assert "key init" in output
        assert "TRUSTED_HOSTS" not in output
    (root / ".env").write_text(f"APP_ENV=development\nSECRET_KEY={OTHER}\n")
    output = started(root, text, code=1)
    assert "export APP_ENV=development" in output
    assert str(root / ".env") in output
    started(root, text, APP_ENV="development")
    started(root, text, "-m", "flask", "routes")


SERVER_COMMAND = """
import os, subprocess, sys
import click
from flask import Flask
import flask_secure
app = Flask("app")
flask_secure.init_app(app)

@app.cli.command("show")
def show():
    code = "import app; print('in', app.app.config['APP_ENV'])"
    sys.exit(subprocess.run([sys.executable, "-c", code]).returncode)
"""


def test_what_a_flask_command_starts_does_not_go_by_env(root: Path) -> None:
    """A server that it starts inherits FLASK_RUN_FROM_CLI, and what flask has read from .env."""
    (root / ".env").write_text(f"APP_ENV=development\nSECRET_KEY={OTHER}\n")
    output = started(root, SERVER_COMMAND, "-m", "flask", "show", code=1)
    assert "in development" not in output
    assert "env-unset" in output
    assert OTHER not in output
    output = started(root, SERVER_COMMAND, "-m", "flask", "show", **production())
    assert "in production" in output


TESTED = """
from flask import Flask
import flask_secure
app = Flask("app")
app.testing = True
flask_secure.init_app(app)
app.add_url_rule("/healthz", "healthz", lambda: "well")
"""


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("gunicorn")
    run("uv", "venv", "--quiet", "--python", sys.executable, place / "venv", cwd=place)
    wanted = ("flask>=3.1.3,<3.2", "python-dotenv", "gunicorn>=27,<28")
    run("uv", "pip", "install", "--quiet", "--python", place / "venv", *wanted, cwd=place)
    return place / "venv" / "bin" / "gunicorn"


def served(gunicorn: Path, root: Path, text: str, **variables: str) -> tuple[int, str]:
    """The status of a response under gunicorn, and its log."""
    from support import fetch

    (root / "app.py").write_text(text)
    port = free_port()
    env = clean_environ(PYTHONPATH=str(LIBRARY.parent), PYTHONDONTWRITEBYTECODE="1", **variables)
    command = [gunicorn, f"--bind=127.0.0.1:{port}", "app:app"]
    with serve(command, port, root, env) as address:
        status = fetch(f"{address}/healthz")[0]
        fetch(f"{address}/healthz")
        return status, (root / f"server-{port}.log").read_text()


def test_a_server_does_not_serve_what_code_alone_calls_testing(gunicorn: Path, root: Path) -> None:
    status, log = served(gunicorn, root, TESTED)
    assert status == 500
    assert log.count("app.testing") == 1
    assert "APP_ENV=testing" in log
    status, log = served(gunicorn, root, TESTED, APP_ENV="testing")
    assert status == 200
    assert log.count("serves in the environment testing") == 1


def test_production_says_nothing_of_its_environment(gunicorn: Path, root: Path) -> None:
    status, log = served(gunicorn, root, TESTED.replace("app.testing = True", ""), **production())
    assert status == 200
    assert "serves in" not in log


# What is respected


class OwnInterface(SessionInterface):
    def open_session(self, app: Flask, request: Any) -> Any:
        return {}

    def save_session(self, *arguments: Any) -> None:
        pass


class Derived(SecureCookieSessionInterface):
    pass


@pytest.mark.parametrize("interface", [OwnInterface, Derived])
def test_a_session_interface_of_the_applications_own_is_kept(root: Path, interface: type[SessionInterface]) -> None:
    app = plain(root)
    app.session_interface = own = interface()
    flask_secure.init_app(app, "production")
    assert app.session_interface is own


@pytest.mark.parametrize("has_package", [False, True])
def test_a_config_folder_of_the_applications_own_is_not_run(root: Path, has_package: bool) -> None:
    (root / "config").mkdir()
    names = ["production.py", "default.py"] if has_package else ["production.py"]
    for name in names:
        (root / "config" / name).write_text("raise SystemExit('run')\n")
    if has_package:
        (root / "config/__init__.py").touch()
    make(root)
    assert "config/default.py" not in str(ids(root, settings={"MAX_FORM_PARTS": "x"}))


LOGGING = """
import logging
from flask import Flask
import flask_secure
app = Flask("app")
{before}
flask_secure.init_app(app)
{after}
app.logger.warning("one")
logging.getLogger("other").warning("two")
logging.getLogger("werkzeug").warning("three")
"""
OWN = "logging.basicConfig(format='own %(message)s')"
FORCED = "logging.basicConfig(format='own %(message)s', force=True)"
CONFIGURED = """
import logging.config
logging.config.dictConfig({
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"own": {"format": "own %(message)s"}},
    "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
    "root": {"handlers": ["own"]},
})
"""
HANDLER = """
handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter('own %(message)s'))
logging.getLogger('app').addHandler(handler)
"""


COLLECTOR = """
class Collector(logging.Handler):
    def emit(self, record):
        pass
logging.root.addHandler(Collector())
"""
REQUEST = "app.test_client().get('/', base_url='https://localhost')"


@pytest.mark.parametrize(
    ("before", "after", "own"),
    [
        ("", "", []),
        ("", COLLECTOR, []),
        ("", REQUEST, []),
        ("", "flask_secure.init_app(Flask('second'))", []),
        ("", "logging.getLogger('werkzeug').addHandler(logging.StreamHandler())", []),
        ("app.logger", "", []),
        (OWN, "", ["own one", "own two"]),
        ("", OWN, ["own one", "own two"]),
        ("app.logger", OWN, ["own one", "own two"]),
        ("", f"{COLLECTOR}\nlogging.getLogger('third').warning('3')\n{FORCED}", ["own one", "own two"]),
        ("", f"{REQUEST}\n{OWN}", ["own one", "own two"]),
        ("", f"flask_secure.init_app(Flask('second'))\n{OWN}", ["own one", "own two"]),
        ("", FORCED, ["own one", "own two"]),
        ("app.logger", FORCED, ["own one", "own two"]),
        ("", CONFIGURED, ["own one", "own two"]),
        (HANDLER, "", ["own one"]),
        ("", HANDLER, ["own one"]),
        ("", f"{COLLECTOR}\n{HANDLER}", ["own one"]),
    ],
)
def test_logging_that_is_set_up_is_kept_and_no_line_comes_twice(
    root: Path, before: str, after: str, own: list[str]
) -> None:
    output = started(root, LOGGING.format(before=before, after=after), **production())
    lines = output.splitlines()
    assert [line for line in lines if line in ("own one", "own two")] == own
    assert len([line for line in lines if "one" in line and "session" not in line]) == 1
    assert len([line for line in lines if "two" in line]) == 1
    assert len([line for line in lines if "three" in line]) == 1


def test_a_toolbar_of_the_applications_own_is_kept(root: Path) -> None:
    app = plain(root, SECRET_KEY=KEY)
    app.debug = True
    toolbar = DebugToolbarExtension(app)
    flask_secure.init_app(app, "development")
    own = [toolbar.process_response]
    assert app.after_request_funcs[None] == own


def test_a_variable_that_the_application_reads_itself_is_not_to_be_unset(root: Path) -> None:
    os.environ["SESSION_COOKIE_SAMESITE"] = "Nowhere"
    os.environ["FLASK_SESSION_COOKIE_SAMESITE"] = "Nowhere"
    for code, is_unset in (({}, True), ({"SESSION_COOKIE_SAMESITE": "Nowhere"}, False)):
        with pytest.raises(StartupError) as caught:
            make(root, code=code)
        (problem,) = caught.value.problems
        assert problem.fix.startswith("unset ") == is_unset


SHOWN = """
key = str(app.secret_key)
logging.error("it is %s", key)
logging.getLogger("other").error("it is %(key)s", {"key": key})
try:
    raise LookupError(f"it is {key}")
except LookupError:
    app.logger.exception("failed")
"""


@pytest.mark.parametrize("before", ["", OWN, HANDLER])
@pytest.mark.parametrize("between", ["", OWN])
def test_no_handlers_lines_show_a_secret(root: Path, before: str, between: str) -> None:
    """Those of a handler that the application sets up, and of the one that logging.error sets up by itself."""
    env = production()
    output = started(root, LOGGING.format(before=before, after=f"{between}\n{SHOWN}"), **env)
    assert output.count("it is") >= 3
    assert "LookupError" in output
    assert env["SECRET_KEY"] not in output


# What signs was checked


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("SECRET_KEY", "dev"),
        ("SECRET_KEY", OTHER),
        ("SECRET_KEY", None),
        ("SECRET_KEY_FALLBACKS", [OTHER]),
        ("SECRET_KEY_FALLBACKS", OTHER),
    ],
    ids=["placeholder", "good", "none", "fallback", "text"],
)
def test_a_key_that_is_set_later_signs_nothing(
    root: Path, setting: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    app = make(root)
    client = app.test_client()
    assert client.get("/", base_url=HTTPS).status_code == 200
    app.config[setting] = value
    for _ in range(3):
        response = client.get("/", base_url=HTTPS)
        assert (response.status_code, "Set-Cookie" in response.headers) == (500, False)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.startswith(setting)
    assert OTHER not in line


def test_a_test_may_set_its_key_later(root: Path) -> None:
    """Suites do: app = create_app(); app.config.update(SECRET_KEY="test")."""
    app = make(root, "testing")
    app.config["SECRET_KEY"] = "test"
    response = app.test_client().get("/", base_url=HTTPS)
    assert (response.status_code, "Set-Cookie" in response.headers) == (200, True)


def test_the_same_key_set_later_is_the_same(root: Path) -> None:
    app = make(root)
    app.secret_key = KEY
    assert app.test_client().get("/", base_url=HTTPS).status_code == 200


DEBUGGED = """
from flask import Flask
import flask_secure
app = Flask("app")
flask_secure.init_app(app)
{run}
"""


@pytest.mark.parametrize("run", ["app.run(debug=True)", "app.run(use_debugger=True)"])
def test_app_run_outside_development_takes_no_debugger(root: Path, run: str) -> None:
    port = free_port()
    output = started(root, DEBUGGED.format(run=run.replace(")", f", port={port})")), code=1, **production())
    assert "[debugger]" in output
    assert "Running on" not in output


def test_flask_run_outside_development_takes_no_debugger(root: Path) -> None:
    text = DEBUGGED.format(run="")
    output = started(root, text, "-m", "flask", "run", "--debugger", code=1, **production())
    assert "[debugger]" in output


def test_a_debugger_put_around_by_hand_is_rejected(root: Path) -> None:
    app = plain(root)
    app.wsgi_app = DebuggedApplication(app.wsgi_app)  # type: ignore[method-assign]
    with pytest.raises(StartupError, match="debugger"):
        flask_secure.init_app(app, "production")
    debugged = Client(DebuggedApplication(make(root), evalex=True))
    environ = {"SERVER_SOFTWARE": "gunicorn"}
    assert debugged.get("/", base_url=HTTPS, environ_overrides=environ).status_code == 500


# Several applications


def test_a_second_application_is_no_error_and_a_second_call_is(root: Path) -> None:
    app = make(root)
    make(root)
    with pytest.raises(StartupError) as caught:
        flask_secure.init_app(app, "production")
    assert [problem.id for problem in caught.value.problems] == ["init-twice"]


@pytest.mark.parametrize("env", ["production", "development"])
def test_an_application_under_a_prefix_has_a_cookie_of_its_path(root: Path, env: str) -> None:
    config = make(root, env, {"APPLICATION_ROOT": "/shop"}).config
    name = "__Secure-shop" if env == "production" else "shop_session"
    assert (config["SESSION_COOKIE_NAME"], config["SESSION_COOKIE_PATH"]) == (name, "/shop")
    kept = {"SESSION_COOKIE_NAME": "session"}
    assert make(root, env, {"APPLICATION_ROOT": "/shop"}, settings=kept).config["SESSION_COOKIE_NAME"] == "session"


def test_applications_that_share_a_cookie_and_a_key_are_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"SESSION_COOKIE_NAME": f"__Host-{secrets.token_hex(4)}"}
    front, back = (make(root, settings=settings) for _ in range(2))
    client = Client(DispatcherMiddleware(front, {"/admin": back}))
    for path in ("/", "/admin/", "/", "/admin/"):
        client.get(path, base_url=HTTPS)
    (line,) = [record.getMessage() for record in caplog.records if "share the session cookie" in record.getMessage()]
    assert "'/admin'" in line
    assert "APPLICATION_ROOT" in line


# Cross-site requests


class Hook(MethodView):
    def get(self) -> str:
        return "get"

    def post(self) -> str:
        return "post"

    def put(self) -> str:
        return "put"


class Exempt(Hook):
    pass


class BelowExempt(Exempt):
    pass


class OneMethod(Hook):
    @flask_secure.csrf_exempt
    def post(self) -> str:
        return "post"


class Bound:
    def view(self) -> str:
        return "bound"


def test_what_csrf_exempt_marks_and_nothing_else(root: Path) -> None:
    app = make(root)
    flask_secure.csrf_exempt(Exempt)
    for each in (Hook, Exempt, BelowExempt, OneMethod):
        app.add_url_rule(f"/{each.__name__}", view_func=each.as_view(each.__name__))
    app.add_url_rule("/bound", "bound", flask_secure.csrf_exempt(Bound().view), methods=["POST"])
    outer, inner, other = (Blueprint(name, name, url_prefix=f"/{name}") for name in ("outer", "inner", "other"))
    for blueprint in (outer, inner, other):
        blueprint.add_url_rule("/", "view", lambda: "view", methods=["POST"])
    outer.register_blueprint(inner)
    flask_secure.csrf_exempt(outer)
    app.register_blueprint(outer)
    app.register_blueprint(other)
    client = app.test_client()

    def status(path: str, method: str = "POST") -> int:
        return client.open(path, method=method, base_url=HTTPS, headers=CROSS_SITE).status_code

    assert (status("/Exempt"), status("/OneMethod"), status("/bound")) == (200, 200, 200)
    assert (status("/Hook"), status("/BelowExempt"), status("/OneMethod", "PUT")) == (403, 403, 403)
    assert (status("/outer/"), status("/outer/inner/"), status("/other/")) == (200, 200, 403)


@pytest.mark.parametrize("wrong", ["shop.hook", None, 3, dict, staticmethod(len), property(len), len, Flask("x")])
def test_what_csrf_exempt_cannot_mark_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="csrf_exempt"):
        flask_secure.csrf_exempt(wrong)


@pytest.mark.parametrize(
    ("authorization", "cookie", "status"),
    [
        ("Bearer abc", "", 200),
        ("bearer abc", "", 200),
        ("Bearer abc", "theme=dark", 403),
        ("Basic YTpi", "", 403),
        ("Digest username=a", "", 403),
        ("Negotiate abc", "", 403),
        ("Token abc", "", 403),
        ("Bearer", "", 200),
        ("", "", 403),
    ],
)
def test_a_token_without_a_cookie_comes_from_code(root: Path, authorization: str, cookie: str, status: int) -> None:
    headers = CROSS_SITE | {"Authorization": authorization} | ({"Cookie": cookie} if cookie else {})
    client = make(root).test_client(use_cookies=False)
    assert client.post("/", base_url=HTTPS, headers=headers).status_code == status


def test_an_owner_names_a_scheme_that_no_browser_sends(root: Path) -> None:
    client = make(root, settings={"CSRF_AUTHORIZATION_SCHEMES": ["Bearer", "Token"]}).test_client(use_cookies=False)
    headers = CROSS_SITE | {"Authorization": "Token abc"}
    assert client.post("/", base_url=HTTPS, headers=headers).status_code == 200
    for scheme in ("Basic", "digest", "Negotiate", "a b"):
        assert ids(root, settings={"CSRF_AUTHORIZATION_SCHEMES": [scheme]}) == ["csrf-schemes"]


SIGNED_IN_BY_BASIC = """

def is_signed_in():
    given = request.authorization
    return given is not None and given.type == "basic" and given.username == "ann"

@app.get("/private")
def private():
    return ("in", 200) if is_signed_in() else ("", 401, {"WWW-Authenticate": 'Basic realm="shop"'})

@app.post("/protected")
def protected():
    return f"done: {is_signed_in()}"

@app.post("/exempt")
@flask_secure.csrf_exempt
def exempt():
    return f"done: {is_signed_in()}"
"""


def test_a_browser_sends_basic_credentials_with_another_sites_form_which_is_rejected(
    root: Path, tab: Page, elsewhere: Callable[..., str]
) -> None:
    """The exempt view shows what the form can do: Chromium is signed in there, without any cookie."""
    site = Site(root / "site", code=SIGNED_IN_BY_BASIC, settings="app.config['DEBUG_TB_ENABLED'] = False")
    with site.served() as address:
        tab.goto(f"{address.replace('http://', 'http://ann:secret@')}/private")
        assert tab.inner_text("body") == "in"
        for path, status in (("exempt", 200), ("protected", 403)):
            form = f"<form method=post action='{address}/{path}'><button>Win</button></form>"
            tab.goto(elsewhere(form))
            with tab.expect_navigation() as navigation:
                tab.click("text=Win")
            response = navigation.value
            assert response is not None
            assert response.status == status
            assert response.request.all_headers()["authorization"].startswith("Basic ")
            assert "cookie" not in response.request.all_headers()
            assert ("done: True" in tab.inner_text("body")) == (status == 200)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://app.example.org", 200),
        ("https://a.b.example.org", 200),
        ("https://example.org", 403),
        ("https://.example.org", 403),
        ("http://app.example.org", 403),
        ("https://app.example.org:8443", 403),
        ("https://evilexample.org", 403),
        ("https://app.example.org.evil.com", 403),
    ],
)
def test_every_sub_domain_of_an_origin_may_post(root: Path, origin: str, status: int) -> None:
    client = make(root, settings={"CSRF_TRUSTED_ORIGINS": ["https://*.example.org"]}).test_client()
    headers = CROSS_SITE | {"Origin": origin}
    assert client.post("/", base_url=HTTPS, headers=headers).status_code == status


@pytest.mark.parametrize("origin", ["https://*", "https://*.org", "https://*.*.example.org", "https://a.*.org", "*"])
def test_an_origin_that_is_too_wide_is_rejected(root: Path, origin: str) -> None:
    assert ids(root, settings={"CSRF_TRUSTED_ORIGINS": [origin]}) == ["csrf-origins"]


# Old dependencies


def test_an_old_dependency_is_the_only_problem(root: Path) -> None:
    os.environ.pop("SECRET_KEY")
    with patch.object(dependencies, "version", {"flask": "3.0.3", "werkzeug": "3.0.0", "python-dotenv": "1.0.0"}.get):
        assert ids(root) == ["dependency-old"]


@pytest.mark.parametrize("folder", [TEMPLATE, RAW_PROJECT])
def test_start_up_takes_what_the_pyproject_takes(folder: Path) -> None:
    """The wheel goes as low as start-up does; a new project may ask for more."""
    text = (folder / "pyproject.toml").read_text()
    for name, (lowest, _) in dependencies.LOWEST.items():
        bound = re.search(rf'^  "{name}>=([\d.]+)[",]', text, re.MULTILINE)
        assert bound is not None, name
        numbers = dependencies.numbers(bound[1])
        assert numbers == lowest or (folder == RAW_PROJECT and numbers > lowest)


# Only observing

OBSERVED = """
import logging, os, sys, time, warnings
now = time.time()
time.time = lambda: now  # a cookie says when it was signed
warnings.simplefilter("error")
from flask import Flask, session
app = Flask("app", root_path={root!r})
app.config.update(SECRET_KEY="dev", SESSION_COOKIE_SAMESITE="None", DB_PASSWORD="correct horse")

@app.route("/", methods=["GET", "POST"])
def count():
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])

def state():
    client = app.test_client()
    responses = [client.get("/"), client.post("/", headers={{"Sec-Fetch-Site": "cross-site"}})]
    handlers = (logging.root.handlers, logging.root.level, app.logger.handlers, logging.lastResort)
    hooks = [dict(hooks) for hooks in (app.before_request_funcs, app.after_request_funcs)]
    return repr([
        dict(app.config), dict(os.environ), handlers, hooks, app.wsgi_app, app.session_interface,
        [(r.status, headers_of(r), r.text) for r in responses],
    ])

def headers_of(response):  # the cookie holds the time of its signature, so only its attributes count
    headers = dict(response.headers)
    name, _, attributes = headers.pop("Set-Cookie").partition(";")
    return headers, name.partition("=")[0], attributes

app.logger
before = state()
import flask_secure
flask_secure.observe(app, report=False)  # with reports one header and one path more: tests/test_observed.py
print("same" if state() == before else "changed")
{more}
"""


def observed(root: Path, more: str = "", *command: str, **variables: str) -> list[str]:
    (root / ".env").write_text(f"APP_ENV=development\nOF_DOTENV=1\nSECRET_KEY={OTHER}\n")
    (root / "config").mkdir(exist_ok=True)
    (root / "config/default.py").write_text("raise SystemExit('run')\n")
    text = OBSERVED.format(root=str(root), more=more)
    return started(root, text, *command, **variables).splitlines()


def test_observe_changes_nothing_and_says_what_would_change(root: Path) -> None:
    lines = observed(root)
    assert "same" in lines
    assert "only observes" in lines[0]
    text = "\n".join(lines)
    assert "rejected: SECRET_KEY in the application" in text
    assert "rejected in production alone: TRUSTED_HOSTS is not set" in text
    assert "SESSION_COOKIE_NAME: 'session', would be '__Host-app'" in text
    assert "horse" not in text
    assert OTHER not in text
    assert "'run'" not in text
    assert "SAMESITE" not in text  # which would stay


def test_observe_speaks_once_and_not_in_tests(root: Path) -> None:
    again = "other = Flask('app'); flask_secure.observe(other)"
    assert len(observed(root, again)) == len(observed(root))
    tested = "print('now'); app = Flask('tested'); app.testing = True; flask_secure.observe(app)"
    assert observed(root, tested)[-1] == "now"


def test_an_error_inside_observe_is_one_line(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ValueError("odd")

    app = plain(root, SESSION_COOKIE_NAME=Odd())
    flask_secure.observe(app)
    assert "observe failed: ValueError" in caplog.text
    assert app.test_client().get("/static/none").status_code == 404


@pytest.mark.parametrize("ways", [("observe", "init_app"), ("init_app", "observe")])
def test_observe_and_init_app_on_one_application_is_an_error(root: Path, ways: tuple[str, str]) -> None:
    app = plain(root)
    app.testing = True
    getattr(flask_secure, ways[0])(app)
    with pytest.raises(StartupError, match="init-twice"):
        getattr(flask_secure, ways[1])(app)


OLD = """
from flask import Flask
import flask_secure
app = Flask("app")
app.add_url_rule("/", "page", lambda: "page")
flask_secure.{way}(app)
print(app.test_client().get("/").text)
"""


@pytest.mark.parametrize("flask", ["2.2.5", "3.0.3", "3.1.2"])
def test_an_old_flask_is_one_problem_and_observe_goes_on(root: Path, flask: str) -> None:
    run("uv", "venv", "--quiet", "--python", sys.executable, root / "venv", cwd=root)
    wanted = [f"flask=={flask}", "python-dotenv", *(["werkzeug<3"] if flask.startswith("2") else [])]
    run("uv", "pip", "install", "--quiet", "--python", root / "venv", *wanted, cwd=root)
    env = clean_environ(PYTHONPATH=str(LIBRARY.parent), PYTHONDONTWRITEBYTECODE="1", SECRET_KEY=KEY)
    for way, code in (("init_app", 1), ("observe", 0)):
        (root / "app.py").write_text(OLD.format(way=way))
        output = run(root / "venv/bin/python", "-c", "import app", cwd=root, env=env, code=code)
        assert f"flask {flask} is installed" in output
        assert "[dependency-old]" in output
    assert output.splitlines()[-1] == "page"


# The doctor, and what code sets

CODE = """
import sys, time
from flask import Flask
import flask_secure

class Settings:
    SECRET_KEY = {key!r}
    SESSION_COOKIE_HTTPONLY = False

app = Flask("app")
app.config.from_object(Settings)
print("printed", flush=True)
{call}
"""
INIT = "flask_secure.init_app(app)"


def doctor(root: Path, text: str, *options: str, code: int = 1, **variables: str) -> dict[str, Any]:
    arguments = ("-m", "flask_secure", "doctor", "--json", *options)
    output = started(root, text, *arguments, code=code, **variables)
    assert "printed" not in output
    report: dict[str, Any] = json.loads(output)
    return report


def found(report: dict[str, Any]) -> set[str]:
    return {problem["id"] for problem in report["findings"]}


def unkeyed(**variables: str) -> dict[str, str]:
    return {name: value for name, value in production(**variables).items() if name != "SECRET_KEY"}


@pytest.mark.parametrize("call", ["", INIT, "flask_secure.observe(app)"])
def test_the_doctor_sees_what_code_sets(root: Path, call: str) -> None:
    report = doctor(root, CODE.format(key="dev", call=call), **unkeyed())
    assert "key-placeholder" in found(report)
    (problem,) = [problem for problem in report["findings"] if problem["id"] == "key-placeholder"]
    assert problem["fix"].startswith("Remove SECRET_KEY from the code, then: export SECRET_KEY=")
    assert ("does not call init_app" in report["not_seen"]) == (call != INIT)


def test_the_doctor_sees_what_code_sets_after_init_app(root: Path) -> None:
    late = f"{INIT}\napp.config['SESSION_COOKIE_SECURE'] = False\napp.secret_key = {OTHER!r}\n"
    report = doctor(root, CODE.format(key=KEY, call=late), **unkeyed())
    assert {"cookie-httponly", "cookie-secure", "key-late"} <= found(report)


def test_the_doctor_names_the_parts_that_are_off(root: Path) -> None:
    text = CODE.format(key=KEY, call="flask_secure.init_app(app, parts={'key', 'cookies', 'hosts', 'csrf'})")
    report = doctor(root, text, **unkeyed())
    assert report["off"] == ["headers", "limits", "logs", "toolbar"]
    assert found(report) == {"cookie-httponly"}


def test_a_key_in_code_beside_one_in_env_is_removed_from_the_code(root: Path) -> None:
    (root / ".env").write_text(f"APP_ENV=development\nSECRET_KEY={OTHER}\n")
    (root / ".env").chmod(0o600)
    report = doctor(root, CODE.format(key="dev", call=INIT))
    (problem,) = [problem for problem in report["findings"] if problem["id"] == "key-placeholder"]
    assert problem["fix"] == f"Remove SECRET_KEY from the code: {root / '.env'} has one."


HANGS = pytest.param("time.sleep(60)", marks=pytest.mark.long)  # the doctor waits for 20 seconds


@pytest.mark.parametrize(
    "call",
    [HANGS, "sys.exit(3)", "raise ValueError('secret text')", "import os; os._exit(0)", "input()"],
)
def test_an_application_that_does_not_load_is_a_problem_and_the_rest_goes_on(root: Path, call: str) -> None:
    with patch.dict(os.environ):
        report = doctor(root, CODE.format(key=KEY, call=call), **production(SESSION_COOKIE_NAME="x"))
    assert found(report) == {"load-failed"}
    assert "secret text" not in json.dumps(report)
    report = doctor(root, CODE.format(key=KEY, call="sys.exit()"), **production(FLASK_SESSION_COOKIE_HTTPONLY="false"))
    assert found(report) == {"load-failed", "cookie-httponly"}


def test_the_doctor_says_first_what_it_has_not_seen(root: Path) -> None:
    (root / "config").mkdir()
    (root / "config/default.py").touch()
    text = "open('was-run', 'w')\n" + CODE.format(key=KEY, call=INIT)
    env = production()
    assert doctor(root, text, code=0, **env)["not_seen"]
    assert not (root / "was-run").exists()
    first = started(root, text, "-m", "flask_secure", "doctor", **env).splitlines()[0]
    assert "not seen: settings made in code" in first
    assert found(doctor(root, text, "--load", **env)) == {"cookie-httponly"}
    (root / "was-run").unlink()
    assert doctor(root, text, "--env", "testing", code=0, **env)["not_seen"]
    started(root, text, "-m", "flask_secure", "doctor", "--env", "testing", "--load", code=2, **env)
    assert not (root / "was-run").exists()


FACTORY = """
from flask import Flask
import flask_secure

open("was-run", "w")

def create_app(name="shop"):
    app = Flask(__name__)
    flask_secure.init_app(app)
    return app
"""
ENTRIES = [
    ("wsgi:app", {"wsgi.py": "from shop import create_app\napp = create_app()\n"}),
    ("wsgi", {"wsgi.py": "from shop import create_app\napplication: object = create_app('x')\n"}),
    ("wsgi.py", {"wsgi.py": "import shop as package\nif True:\n    app = package.create_app()\n"}),
    ("wsgi:create_app('x')", {"wsgi.py": "from shop import create_app\n"}),
    ("wsgi:app", {"wsgi.py": "from entry import app\n", "entry.py": "import shop\napp = shop.create_app()\n"}),
    ("shop.wsgi:app", {"shop/wsgi.py": "from . import create_app\napp = create_app()\n"}),
    ("shop/wsgi.py:app", {"shop/wsgi.py": "from . import create_app\napp = create_app()\n"}),
    ("shop", {}),
    ("shop:create_app()", {}),
    ("", {"wsgi.py": "from shop import create_app\napp = create_app()\n", "app.py": "raise SystemExit"}),
]


@pytest.mark.parametrize(("flask_app", "files"), ENTRIES)
def test_the_doctor_examines_the_application_that_a_module_has_from_a_package(
    root: Path, flask_app: str, files: dict[str, str]
) -> None:
    """Its name, its config/ and its environments are the package's; and nothing is run to find that out."""
    config = root / "shop" / "config"
    config.mkdir(parents=True)
    (config / "default.py").write_text("SESSION_COOKIE_HTTPONLY = False\n")
    (config / "staging.py").write_text("MAX_FORM_PARTS = 77\n")
    (root / "shop/__init__.py").write_text(FACTORY)
    for name, text in files.items():
        (root / name).write_text(text)
    env = clean_environ(**production(APP_ENV="staging"), PYTHONPATH=f"{LIBRARY.parent}", PYTHONDONTWRITEBYTECODE="1")
    if flask_app:
        env["FLASK_APP"] = flask_app
    command = (sys.executable, "-m", "flask_secure", "doctor", "--json")
    report = json.loads(run(*command, cwd=root, env=env, code=1))
    assert (report["environment"], found(report)) == ("staging", {"cookie-httponly"})
    output = run(sys.executable, "-m", "flask_secure", "config", "--env", "staging", cwd=root, env=env)
    assert "'__Host-shop'" in output
    assert not (root / "was-run").exists()


@pytest.mark.parametrize(
    "text",
    [
        "from flask import Flask\napp = Flask(__name__)\n",
        "from own import Own\napp = Own('x')\n",
        "import own\napp = own.Own('x')\nserver = app\n",
        "from own import *\napp = create()\n",
        "from circle import app\n",
        "import missing\napp = missing.create()\n",
    ],
)
def test_an_application_that_a_module_makes_itself_is_the_modules(root: Path, text: str) -> None:
    (root / "single.py").write_text(text)
    (root / "circle.py").write_text("from single import app\n")
    (root / "own.py").write_text("from flask import Flask\nclass Own(Flask):\n    pass\n")
    env = clean_environ(**production(FLASK_APP="single:app"), PYTHONPATH=f"{LIBRARY.parent}")
    output = run(sys.executable, "-m", "flask_secure", "config", cwd=root, env=env)
    assert "'__Host-single'" in output


@pytest.mark.parametrize("named", ["wsgi:app", "wsgi.py", "wsgi"])
def test_the_doctor_loads_the_application_that_a_module_has_from_a_package(root: Path, named: str) -> None:
    """With --load: the test above is the same without it."""
    (root / "shop/config").mkdir(parents=True)
    (root / "shop/config/default.py").write_text("SESSION_COOKIE_HTTPONLY = False\n")
    (root / "shop/config/staging.py").touch()
    factory = "import flask, flask_secure\ndef create_app():\n    app = flask.Flask(__name__)\n"
    (root / "shop/__init__.py").write_text(f"{factory}    flask_secure.init_app(app)\n    return app\n")
    (root / "wsgi.py").write_text("import os\nfrom shop import create_app\n\napp = create_app()\n")
    env = production(APP_ENV="staging", FLASK_APP=named)
    report = doctor(root, "", "--load", **env)
    assert (report["environment"], found(report)) == ("staging", {"cookie-httponly"})
    assert "__Host-shop" in started(root, "", "-m", "flask_secure", "config", **env)


def test_flask_and_python_say_the_same_of_another_environment(root: Path) -> None:
    """What the flask command has taken from .env is a laptop's, and no server of production gets it."""
    (root / ".env").write_text(
        f"APP_ENV=development\nSECRET_KEY={OTHER}\nTRUSTED_HOSTS=localhost\nFLASK_SESSION_COOKIE_HTTPONLY=false\n"
        "FLASK_API_TOKEN_FILE=/nowhere\n"
    )
    (root / ".env").chmod(0o600)
    (root / "config").mkdir()
    (root / "config/default.py").touch()
    reports = []
    as_flask = "from flask.cli import FlaskGroup\nfrom flask_secure.cli import main\n"
    as_flask += "cli = FlaskGroup(add_default_commands=False)\ncli.add_command(main, 'secure')\ncli()\n"
    (root / "as_flask.py").write_text(as_flask)  # a wheel's entry point does this
    for command in (("as_flask.py", "secure"), ("-m", "flask_secure")):
        output = started(root, "", *command, "doctor", "--env", "production", "--json", code=1)
        reports.append(found(json.loads(output)))
    # Under flask the key is called what it is: the one that flask has taken from .env.
    assert reports[0] - {"key-development"} == reports[1] - {"key-missing"}
    assert "hosts-missing" in reports[0]
    assert "cookie-httponly" not in reports[0]


# What a log may show


@pytest.mark.parametrize(
    ("name", "value", "is_hidden"),
    [
        ("PASSWORD_RESET_URL", "/password/reset", False),
        ("PASSWORD_RESET_URL", "https://shop.example/reset", False),
        ("JWT_TOKEN_LOCATION", "query_string", False),
        ("PASSWORD_RESET_URL", "https://shop.example/reset/4f9aXk20Qq81", True),
        ("SECURITY_PASSWORD_SALT", "146585145368132386173505678", True),
        ("DB_PASSWORD", "correct horse", True),
        ("API_KEY_2", "query_string", True),
        ("TOKEN_OF_SHOP", "correct horse battery staple", True),
    ],
)
def test_a_value_is_redacted_by_the_name_and_the_worth(root: Path, name: str, value: str, is_hidden: bool) -> None:
    assert is_worth_hiding(name, value) is is_hidden
    if not is_hidden:
        make(root, code={name: value})
        assert redacted(f"for {value}") == f"for {value}"
