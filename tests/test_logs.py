"""Logs: one JSON object a line in production, readable lines in development, no secret in either."""

import io
import json
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import Project, clean_environ, fetch, free_port, serve

import flask_secure
from flask_secure import redaction
from flask_secure.logs import JsonFormatter, LineFormatter

SECRET = "hunter2-correct-horse"
KEY, OLD = secrets.token_hex(32), secrets.token_hex(32)

SETTINGS: dict[str, Any] = {
    "FERNET_KEY": "fernet-0123456789",
    "STRIPE_KEY": "sk_live_0123456789",
    "LDAP_PASSWORD": "ldap\\'\"password",
    "LONGER_KEY": "sk_live_0123456789-and-more",
    "SLACK_TOKEN": "xoxb-0123456789",
    "apiKey": "camel-0123456789",
    "SENTRY_DSN": "https://0123456789abcdef@o1.ingest.example/2",
    "PROXY_PASSWORD": "odd://user:x@0123456789",
    "WEBHOOK_SECRET": "https://hooks.example/T0123/xyz",
    "OAUTH": {"github": {"client_id": "public-client-id", "client-secret": "nested-0123456789"}, "scopes": ["public"]},
    "SERVICE_PASSWORDS": ["first-password", "second-password"],
    "BACKUP_TOKENS": ("tuple-0123456789", "other"),
    "RAW_SECRET": b"\x00bytes\xff\n0123456789",
    "SQLALCHEMY_DATABASE_URI": "postgres://ann:p@ssw0rd@db.example/shop",
    "CACHE_URL": "redis://:per%40cent%2Fencoded@cache.example/0",
    "SHORT_KEY": "short",
    "MONKEY": "not-a-secret-monkey",
    "KEYBOARD": "not-a-secret-keyboard",
}
HIDDEN = {
    *("fernet-0123456789", "sk_live_0123456789", "ldap\\'\"password", "xoxb-0123456789", "camel-0123456789"),
    *("nested-0123456789", "first-password", "second-password", "p@ssw0rd", "per%40cent%2Fencoded", "per@cent/encoded"),
    *("https://0123456789abcdef@o1.ingest.example/2", "https://hooks.example/T0123/xyz"),
    "odd://user:x@0123456789",
    "tuple-0123456789",
}
SHOWN = {"public-client-id", "public", "not-a-secret-monkey", "not-a-secret-keyboard", "short"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application in production, with secrets among its settings and two keys."""
    before, folder = dict(os.environ), tmp_path_factory.mktemp("logs")
    (folder / "pyproject.toml").touch()
    keys = {"SECRET_KEY": KEY, "SECRET_KEY_FALLBACKS": OLD}
    variables = clean_environ(TRUSTED_HOSTS="localhost", FLASK_MAIL_PASSWORD=SECRET, **keys)
    os.environ.clear()
    os.environ.update(variables)
    app = Flask("shop", root_path=str(folder), instance_path=str(folder / "instance"))
    app.config.update(SETTINGS)
    flask_secure.init_app(app, "production")
    app.add_url_rule("/fail", "fail", lambda: str(1 // 0))
    yield app
    os.environ.clear()
    os.environ.update(before)


Extra = dict[str, Any] | None


def written(formatter: logging.Formatter, text: str, *args: object, extra: Extra = None, error: Any = None) -> str:
    """What the formatter makes of one record; `error` is an exception that is logged with it."""
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = logging.getLogger("test").makeRecord("test", logging.INFO, "", 1, text, args, exc_info, extra=extra)
    return formatter.format(record)


def line(message: str, *args: object, extra: Extra = None, error: Any = None) -> dict[str, Any]:
    """The JSON object of one record, which is one line of ASCII."""
    text = written(JsonFormatter(), message, *args, extra=extra, error=error)
    assert text.isascii()
    assert text.isprintable()
    result: dict[str, Any] = json.loads(text)
    return result


# Redaction


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("secret", sorted(HIDDEN))
def test_secret_settings_are_redacted_by_value_wherever_they_stand(secret: str) -> None:
    records = [
        line(f"sent {secret} away"),
        line("sent %s away", secret),
        line("sent %r away", secret),
        line("sent %s away", {"nested": [secret]}),
        line(f'{{"json": {json.dumps(secret)}}}'),
        line(f"at the start {secret}{secret}"),
        line("extra", extra={"sent": secret, "deep": {"list": [f"<{secret}>"]}}),
        line("failed", error=ValueError(f"no such {secret}")),
        line("failed", error=KeyError(secret)),
    ]
    for each in records:
        for value in each.values():
            assert secret not in str(value)
            assert json.dumps(secret)[1:-1] not in str(value)
        assert "[redacted]" in str(each)
    assert secret not in written(LineFormatter(), f"sent {secret}", error=ValueError(secret))


@pytest.mark.usefixtures("app")
def test_secrets_from_variables_and_of_bytes_are_redacted() -> None:
    assert line(f"it was {SECRET}")["message"] == "it was [redacted]"
    assert line("%s", SETTINGS["LONGER_KEY"])["message"] == "[redacted]"  # though it begins with STRIPE_KEY
    assert "bytes" not in line("it was %r", SETTINGS["RAW_SECRET"])["message"]


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("text", [*sorted(SHOWN), "key rotated", "primary_key=7", "password", "ann", "db.example"])
def test_what_is_not_secret_stays(text: str) -> None:
    assert line("it says %s", text)["message"] == f"it says {text}"


@pytest.mark.usefixtures("app")
def test_extras_with_secret_names_are_redacted_whatever_their_value() -> None:
    logged = line("login", extra={"password": "short", "apiToken": 7, "Authorization_key": None, "user": "ann"})
    assert logged["password"] == logged["apiToken"] == logged["Authorization_key"] == "[redacted]"
    assert logged["user"] == "ann"


def test_keys_show_as_their_fingerprints(app: Flask) -> None:
    fingerprint = app.config["SECRET_KEY"].fingerprint
    logged = line("loaded %s after %s", KEY, OLD, extra={"at": [f"<{KEY}>"]}, error=ValueError(f"{KEY}{OLD}"))
    assert KEY not in str(logged)
    assert OLD not in str(logged)
    for name in ("message", "at", "exception"):
        assert f"<key {fingerprint}>" in logged[name]


def test_settings_and_keys_show_in_no_repr(app: Flask) -> None:
    shown = repr(dict(app.config))
    for secret in HIDDEN | {KEY, OLD, SECRET}:
        assert secret not in shown
    assert SETTINGS["RAW_SECRET"] == app.config["RAW_SECRET"]  # it is only its repr that differs
    assert app.config["SQLALCHEMY_DATABASE_URI"] == SETTINGS["SQLALCHEMY_DATABASE_URI"]
    assert "ann" in shown
    assert "db.example" in shown


@pytest.fixture
def unmarked() -> Iterator[None]:
    """What a test hides shows again after it: the process has one list of what is hidden."""
    before = dict(redaction._markers)
    yield
    redaction._markers.clear()
    redaction._markers.update(before)


@pytest.mark.usefixtures("unmarked")
@pytest.mark.parametrize("kind", [list, tuple])
def test_keys_that_the_application_sets_show_in_no_repr(tmp_path: Path, kind: Callable[..., Any]) -> None:
    keys = [secrets.token_hex(32) for _ in range(2)]
    other = Flask("other", root_path=str(tmp_path), instance_path=str(tmp_path / "instance"))
    other.config.update(SECRET_KEY=keys[0], SECRET_KEY_FALLBACKS=kind(keys[1:]), TRUSTED_HOSTS=["localhost"])
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("SECRET_KEY")]:
            patch.delenv(name)
        flask_secure.init_app(other, "production")
    assert other.config["SECRET_KEY_FALLBACKS"] == keys[1:]
    for key in keys:
        assert key not in repr(dict(other.config))
        assert key not in line("%s", f"it is {key}")["message"]


PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=8, max_size=30)


@pytest.mark.usefixtures("unmarked")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(password=PASSWORDS, around=st.tuples(st.text(max_size=30), st.text(max_size=30)))
@example("p@ssword", ("", ""))
@example("a:b/c?d#e@f", ("x", "y"))
@example("\\u0041\\\"'", ("", ""))
def test_any_password_and_any_url_with_it_is_redacted(
    app: Flask, tmp_path: Path, password: str, around: tuple[str, str]
) -> None:
    other = Flask("other", root_path=str(tmp_path), instance_path=str(tmp_path / "instance"))
    other.config.update(MY_PASSWORD=password, MY_URL=f"amqp://ann:{quote(password, safe='@')}@queue.example/")
    flask_secure.init_app(other, "testing")
    for text in (password, quote(password, safe="@")):
        before, after = around
        assert text not in line("%s", f"{before}{text}{after}")["message"].replace("[redacted]", "\0")
        assert text not in line("%s", [f"{before}{text}{after}"])["message"].replace("[redacted]", "\0")
    assert quote(password, safe="@") not in repr(other.config["MY_URL"])


# Cost

PARTS = [
    "-----BEGIN ",
    "PRIVATE KEY",
    "a_",
    "key-",
    "eyJa.",
    "://a:",
    "password='",
    "key  ",
    "@",
    "\x1b",
    "\\",
    KEY[:63],
]


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("part", PARTS, ids=range(len(PARTS)))
def test_hostile_texts_take_linear_time(part: str) -> None:
    text = part * (500_000 // len(part))
    started = time.process_time()
    for formatter in (JsonFormatter(), LineFormatter()):
        assert len(written(formatter, text, error=ValueError(text))) < 130_000
    assert time.process_time() - started < 2


@pytest.mark.usefixtures("app")
def test_texts_over_8_kb_are_cut_in_the_middle() -> None:
    logged = line("begins" + "x" * 100_000 + "ends", extra={"sent": "y" * 100_000}, error=ValueError("z" * 100_000))
    assert str(logged["message"]).startswith("beginsx")
    assert str(logged["message"]).endswith("xends")
    for name in ("message", "sent", "exception"):
        assert len(logged[name]) < 8300
        assert re.search(r"\d+ characters", logged[name])
    assert line("x" * 8000)["message"] == "x" * 8000


@pytest.mark.usefixtures("app")
@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9000))
def test_a_key_that_is_cut_shows_in_no_part(offset: int) -> None:
    """A text is redacted before it is cut."""
    logged = line("x" * offset + KEY + "y" * (9000 - offset))["message"]
    assert not any(KEY[start : start + 12] in logged for start in range(len(KEY) - 12))


# Form


def test_arguments_that_do_not_fit_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    private = "a private matter"
    for formatter in (JsonFormatter(), LineFormatter()):
        text = written(formatter, "%d of %d", private)
        assert "do not fit" in text
        assert private not in text + "".join(capsys.readouterr())


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


def test_objects_that_do_not_print_do_not_break_a_line() -> None:
    assert "do not fit" in line("it is %s", Broken())["message"]


@settings(deadline=None)
@given(st.text(), st.text(), st.dictionaries(st.sampled_from(["path", "user", "level"]), st.text() | st.floats()))
@example("forged\n{}", '", "level": "CRITICAL', {"path": "/a\r\n\u2028b"})
def test_any_text_stays_one_line_and_forges_no_field(message: str, argument: str, extra: dict[str, Any]) -> None:
    logged = line("%s|%s", message, argument, extra=extra)
    assert (logged["level"], logged["logger"]) == ("INFO", "test")
    if len(message + argument) < 1000 and not re.search(r"hunter2|0123456789", message + argument):
        assert logged["message"] == f"{message}|{argument}"


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=0x2FFF)))
@example("\x1b]0;owned\x07\x1b[2J\x9b31m\r\x7f\x08")
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    shown = written(LineFormatter(), "%s", text, error=ValueError(text))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


def test_a_line_names_its_request(app: Flask) -> None:
    stream = io.StringIO()
    handlers = [logging.StreamHandler(stream), logging.StreamHandler(stream)]
    for handler, formatter in zip(handlers, (JsonFormatter(), LineFormatter()), strict=True):
        handler.setFormatter(formatter)
        app.logger.addHandler(handler)
    try:
        response = app.test_client().get(f"/fail?q={SECRET}")
    finally:
        for handler in handlers:
            app.logger.removeHandler(handler)
    assert response.status_code == 500
    first, rest = stream.getvalue().split("\n", 1)
    logged, name = json.loads(first), response.headers["X-Request-ID"]
    assert (logged["level"], logged["request_id"], logged["path"]) == ("ERROR", name, "/fail")
    assert "ZeroDivisionError" in logged["exception"]
    assert f"(request {name})" in rest
    assert "\nTraceback" in rest
    assert SECRET not in stream.getvalue()


# gunicorn's access log

ATOMS = {"{x-request-id}o": "abc", "m": "GET", "B": 12, "M": 3, "h": "127.0.0.1", "s": "200 OK"}
FIELDS = {"time", "level", "logger", "message", "request_id", "method", "path", "status", "bytes", "milliseconds"}
FIELDS |= {"address"}


@settings(deadline=None)
@given(path=st.text(st.characters(max_codepoint=0xFF)))
@example('/%5C%22,%22status%22: \\","status": 500, "x":"')
@example("/\n{}\r\n")
def test_a_path_can_not_forge_a_field_of_the_access_log(path: str) -> None:
    record = logging.makeLogRecord({"name": "gunicorn.access", "msg": "%(m)s", "args": ATOMS | {"U": path}})
    record.args = ATOMS | {"U": path}
    text = JsonFormatter().format(record)
    assert text.isascii()
    assert text.isprintable()
    logged = json.loads(text)
    assert set(logged) == FIELDS
    assert (logged["status"], logged["method"], logged["request_id"]) == (200, "GET", "abc")
    assert logged["path"] == path or "[redacted]" in logged["path"]


@pytest.mark.usefixtures("app")
def test_secrets_in_a_path_are_redacted_in_the_access_log() -> None:
    record = logging.makeLogRecord({"name": "gunicorn.access"})
    record.args = ATOMS | {"U": f"/reset/{KEY}/{SECRET}"}
    text = JsonFormatter().format(record)
    assert KEY not in text
    assert SECRET not in text


# The development server

LEAKS = """
import logging
from flask import current_app
from my_flask_service import create_app

app = create_app()

def leak():
    key = str(current_app.config["SECRET_KEY"])
    url = current_app.config["DATABASE_URL"]
    try:
        try:
            raise ValueError(f"first {key}")
        except ValueError:
            raise KeyError(f"second {key}")
    except KeyError as error:
        raise RuntimeError(f"third {key} at {url}", [key, {"url": str(url)}]) from error

def log():
    logging.getLogger("other").warning("it is %s", current_app.secret_key)
    return "logged"

app.add_url_rule("/leak", view_func=leak)
app.add_url_rule("/log", view_func=log)
"""


def test_the_development_server_and_its_debugger_show_no_key(project: Project, tmp_path: Path) -> None:
    (tmp_path / "leaks.py").write_text(LEAKS)
    port, password = free_port(), "correct-horse-battery"
    url = f"postgres://ann:{password}@db.example/x"
    env = clean_environ(PYTHONPATH=str(tmp_path), FLASK_APP="leaks", FLASK_DATABASE_URL=url, PWD=str(project.path))
    command = [project.program("flask"), "run", "--no-reload", "--port", str(port)]
    with serve(command, port, project.path, env) as address:
        status, page = fetch(f"{address}/leak", Accept="text/html")
        fetch(f"{address}/log")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"POST /\x1b[1m HTTP/1.1\r\nHost: localhost\r\nOrigin: \x1b[31mevil\x9b2J\r\n\r\n")
            assert b" 403 " in client.recv(65536)
        time.sleep(0.2)
        log = (project.path / f"server-{port}.log").read_text()
    assert status == 500
    for text in ("ValueError", "KeyError", "third &lt;key "):
        assert text in page
    for text in ("first <key", "second <key", "third <key ", "it is <key ", "evil"):
        assert text in log
    for secret in (project.key, password):
        assert secret not in log
        assert secret not in page
    assert not re.search(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[\d*m)|\x1b\[1mevil", log)


def test_flask_run_on_a_laptop_warns_of_nothing_of_ours(project: Project) -> None:
    port = free_port()
    command = [project.program("flask"), "run", "--port", str(port)]
    with serve(command, port, project.path, clean_environ()) as address:
        fetch(address)
        log = (project.path / f"server-{port}.log").read_text()
    assert re.findall(r"(\w+) flask_secure: .*environment development", log) == ["INFO"]
    assert "WARNING flask_secure" not in log
