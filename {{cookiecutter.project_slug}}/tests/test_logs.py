"""Logs: their form, the request's id in them, and what is never in them."""

import json
import logging
import secrets
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from conftest import PACKAGE
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

logs, redaction = (import_module(f"{PACKAGE}.{name}") for name in ("logs", "logs.redaction"))

SECRET = "hunter2-correct-horse"
SIGNED = "eyJ1c2VyIjo3fQ.aSABCD.c2lnbmF0dXJlLW9mLXRoZS1zZXNzaW9u"


def line(message: str, *arguments: object, extra: dict[str, Any] | None = None, error: bool = False) -> dict[str, Any]:
    """What production writes for one call of a logger; with `error`, in the handling of an exception."""
    log, exc_info = logging.getLogger("test"), sys.exc_info() if error else None
    record = log.makeRecord("test", logging.INFO, __file__, 1, message, arguments, exc_info, extra=extra)
    text = logs.JsonLines().format(record)
    assert "\n" not in text
    result: dict[str, Any] = json.loads(text)
    return result


@pytest.mark.parametrize(
    "message",
    [
        f"password={SECRET}",
        f"DB_PASSWORD: {SECRET}",
        f"{{'password': '{SECRET}', 'user': 'ann'}}",
        f'{{"api_key": "{SECRET}"}}',
        f'"apiKey" : "{SECRET}"',
        f"csrf_token => {SECRET}, user ann",
        f"Authorization: Basic {SECRET}",
        f"sent Bearer {SECRET} there",
        f"Cookie: a=1; session={SECRET}; b=2",
        f"Set-Cookie: x={SECRET}; HttpOnly",
        f"{{'Cookie': b'a={SECRET}; b=2'}}",
        f"postgresql://ann:{SECRET}@db.example.org/x",
        f"GET /reset?token={SECRET}&a=1 HTTP/1.1",
        f"GET /search?q={SECRET} HTTP/1.1",
        f"the session {SIGNED} was sent",
        f"ImmutableMultiDict([('password', '{SECRET}'), ('user', 'ann')])",
        f"passwords=['{SECRET}', 'b']",
        f'{{\\"password\\": \\"{SECRET}\\"}}',
        f"SecretAccessKey={SECRET}",
        f"SMTP_PASS={SECRET}",
        f"https://{SECRET}@example.org/x",
        f"Error handling request GET /a?q={SECRET}",
        f"<Request 'http://localhost/?q={SECRET}' [GET]>",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
    ],
)
def test_nothing_secret_is_in_a_message(message: str) -> None:
    for logged in (line(message), line("%s", message), line("it said: %s", {"nested": [message]})):
        text = json.dumps(logged)
        assert SECRET not in text
        assert SIGNED not in text
        assert redaction.REDACTED in text or "GET /" in message or "Request" in message


def test_nothing_secret_is_in_extras_however_deep() -> None:
    extra = {
        "token": SECRET,
        "form": {"user": "ann", "password": SECRET, "more": [{"Authorization": SECRET}, (f"key={SECRET}",)]},
        "pairs": [("password", SECRET)],
        "sent": Headers({"Cookie": SECRET, "Accept": "*/*"}),
        "nan": float("nan"),
        "headers": {"Cookie": SECRET, "url": f"https://ann:{SECRET}@example.org"},
    }
    logged = line("posted", extra=extra)
    assert SECRET not in json.dumps(logged)
    assert logged["form"]["user"] == "ann"


def test_nothing_secret_is_in_a_traceback() -> None:
    def login(password: str) -> None:
        raise ValueError(f"no such password={password}, Authorization: Bearer {password}")

    try:
        login(SECRET)
    except ValueError:
        logged = line("it failed", error=True)
    assert "ValueError" in str(logged["exception"])
    assert SECRET not in json.dumps(logged)


def test_a_key_in_use_shows_as_its_fingerprint_wherever_it_stands(
    create_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, old = secrets.token_hex(32), secrets.token_hex(32)
    monkeypatch.setenv("SECRET_KEY", key)
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", old)
    fingerprint = create_app("production").config["SECRET_KEY"].fingerprint
    logged = json.dumps(line("loaded %s after %s", key, old, extra={"at": [f"<{key}>"]}))
    assert key not in logged
    assert old not in logged
    assert f"<key {fingerprint}>" in logged


@pytest.mark.parametrize(
    "message",
    [
        "key rotated",
        "monkey: 3",
        "primary_key=7",
        "basic authentication",
        "the password was changed",
        "SESSION_COOKIE_NAME=x",
        "<key 0123456789ab>",
    ],
)
def test_what_is_not_secret_stays(message: str) -> None:
    assert line(message)["message"] == message


def test_a_long_text_takes_no_longer_than_its_length_asks_for() -> None:
    for part in (
        "a_",
        "key-",
        "eyJ",
        "eyJa.",
        "://a:",
        "-----BEGIN PRIVATE KEY-----",
        "password='\\\\",
        "key  ",
        "secret_key",
    ):
        line(part * 20_000)  # seconds, or minutes, where a pattern looks at the whole from each of its places


def test_arguments_that_do_not_fit_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "do not fit" in str(line("%d of %d", SECRET)["message"])
    assert SECRET not in "".join(capsys.readouterr())


def test_a_line_stays_one_line() -> None:
    assert line("forged\n{}", extra={"path": "/a\r\n\u2028b"})["message"] == "forged\n{}"


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put the process's handlers back after the test."""
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    root.handlers = before


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("env", ["production", "development"])
def test_the_request_is_named_in_the_log_the_answer_and_the_page(
    create_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], env: str
) -> None:
    monkeypatch.setenv("SECRET_KEY", secrets.token_hex(32))
    app = create_app(env)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.add_url_rule("/-/fail", "-fail", lambda: str(1 // 0))
    answer = app.test_client().get(f"/-/fail?q={SECRET}", base_url="https://localhost")
    name = answer.headers["X-Request-ID"]
    assert answer.status_code == 500
    assert name in answer.text
    assert app.test_client().get("/-/fail", headers={"Accept": "application/json"}).json["request_id"]  # type: ignore[index]
    written = capsys.readouterr().err
    assert SECRET not in written
    assert "ZeroDivisionError" in written
    if env == "production":
        logged = json.loads(written.splitlines()[0])
        assert (logged["level"], logged["request_id"], logged["path"]) == ("ERROR", name, "/-/fail")
    else:
        assert f"(request {name})" in written
        assert "\nTraceback" in written


def test_each_request_has_a_name_of_its_own(client: FlaskClient) -> None:
    names = {client.get("/healthz", headers={"X-Request-ID": "mine"}).headers["X-Request-ID"] for _ in range(3)}
    assert len(names) == 3
    assert "mine" not in names
