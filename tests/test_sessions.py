"""Sessions: re-signed after a rotation, and in everything else those of Flask, whose own tests they pass."""

import logging
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from flask import Flask, Response, session
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from itsdangerous import TimestampSigner
from support import LIBRARY, clean_environ, run, skip_or_fail

import flask_secure
from flask_secure import sessions

CURRENT, FALLBACK, NEXT, RETIRED = (secrets.token_hex(32) for _ in range(4))
COOKIE = "__Host-service"
HTTPS = "https://localhost"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """A service in production, in the middle of a rotation."""
    monkeypatch.chdir(tmp_path)
    keys = {"SECRET_KEY": CURRENT, "SECRET_KEY_NEXT": NEXT, "SECRET_KEY_FALLBACKS": FALLBACK}
    with patch.dict(os.environ, clean_environ(TRUSTED_HOSTS="localhost", **keys), clear=True):
        app = Flask("service", root_path=str(tmp_path))
        flask_secure.init_app(app, "production")

        @app.get("/visits")
        def visits() -> str:
            return str(session.get("visits", 0))

        @app.get("/count")
        def count() -> str:
            session["visits"] = session.get("visits", 0) + 1
            return str(session["visits"])

        @app.get("/public")
        def public() -> Response:
            response = Response("for everyone")
            response.cache_control.public = True
            return response

        @app.get("/plain")
        def plain() -> str:
            return "no session"

        @app.get("/stream")
        def stream() -> Response:
            return Response(iter(["a", "b"]))

        @app.get("/own")
        def own() -> Response:
            return Response(str(session.get("visits")), headers={"Cache-Control": "private, max-age=60"})

        yield app


def signed(key: str | bytes, data: Any = None, age: float = 0) -> str:
    """A session cookie as Flask signs it with `key`, `age` seconds ago."""
    forger = Flask("forger")
    forger.secret_key = "any"
    serializer = SecureCookieSessionInterface().get_signing_serializer(forger)
    assert serializer is not None
    serializer.secret_keys = [key if isinstance(key, bytes) else key.encode()]
    with patch.object(TimestampSigner, "get_timestamp", lambda _: int(time.time() - age)):
        return str(serializer.dumps({"visits": 7} if data is None else data))


def client(app: Flask, cookie: str = "") -> FlaskClient:
    """A browser that holds `cookie`."""
    browser = app.test_client()
    if cookie:
        browser.set_cookie(COOKIE, cookie, secure=True)
    return browser


def get(browser: FlaskClient, path: str) -> Any:
    response = browser.get(path, base_url=HTTPS)
    assert response.status_code == 200, response.text
    return response


def set_cookie(response: Any) -> str:
    """The session cookie that a response sets, or nothing."""
    found = re.match(rf"{COOKIE}=([^;]*);", response.headers.get("Set-Cookie", ""))
    return found[1] if found else ""


# Flask's own tests

PLUGIN = """
from _pytest import monkeypatch

vars(monkeypatch).setdefault("notset", vars(monkeypatch).get("NOTSET"))  # its name before pytest 9.1

import os

if os.environ["WHOSE"] == "ours":
    import flask.app
    from flask_secure.sessions import SessionInterface

    flask.app.SecureCookieSessionInterface = SessionInterface
    flask.Flask.session_interface = SessionInterface()
"""


def test_flasks_own_tests_of_sessions(tmp_path: Path) -> None:
    """All of them that pass with Flask's interface pass with ours in its place."""
    wanted = f"flask=={version('flask')}"
    download = ["uvx", "pip", "download", "--quiet", "--no-deps", "--no-binary=flask", f"--dest={tmp_path}", wanted]
    fetched = subprocess.run(download, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    if fetched.returncode:
        skip_or_fail(f"The sdist of {wanted} can't be fetched: {fetched.stderr[-200:]}")
    run("tar", "-xzf", next(tmp_path.glob("flask-*.tar.gz")), cwd=tmp_path)
    folder = next(path.parent for path in tmp_path.glob("flask-*/tests"))
    (tmp_path / "replaced.py").write_text(PLUGIN)
    paths = [str(path) for path in sorted(folder.glob("tests/test_*.py")) if "session" in path.read_text()]
    assert {"test_basic.py", "test_reqctx.py", "test_session_interface.py"} <= {Path(path).name for path in paths}
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "replaced", "-p", "no:cacheprovider", "--tb=short"]
    pytest_command += ["-W", "ignore::pytest.PytestUnraisableExceptionWarning"]  # an iterator of os.scandir, at the end
    search = os.pathsep.join([str(tmp_path), str(LIBRARY.parent)])
    environ = clean_environ(PYTHONPATH=search, PYTHONDONTWRITEBYTECODE="1", WHOSE="ours")
    output = run(*pytest_command, *paths, cwd=folder, env=environ, code=None)
    passed = re.search(r"(\d+) passed", output)
    assert passed, output
    assert int(passed[1]) > 200
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    if failed:  # an older Flask's tests, with a newer Werkzeug
        again = run(*pytest_command, *failed, cwd=folder, env=environ | {"WHOSE": "Flask's"}, code=None)
        assert not re.search(r"(\d+) passed", again), output
    print(f"{passed[1]} of Flask's tests pass; {len(failed)} fail with Flask's own interface too")


# A rotation


@pytest.mark.parametrize("key", [FALLBACK, NEXT], ids=["older key", "staged key"])
def test_a_session_of_another_key_is_re_signed_once(app: Flask, key: str) -> None:
    browser = client(app, signed(key))
    response = get(browser, "/visits")
    assert response.text == "7"
    fresh = set_cookie(response)
    assert get(client(app, fresh), "/visits").text == "7"
    again = get(browser, "/visits")
    assert (again.text, set_cookie(again)) == ("7", "")
    app.config["SECRET_KEY_FALLBACKS"] = []
    assert get(client(app, fresh), "/visits").text == "7"
    assert get(client(app, signed(key)), "/visits").text == "0"


def test_a_session_is_re_signed_also_where_a_view_does_not_read_it(app: Flask) -> None:
    assert set_cookie(get(client(app, signed(FALLBACK)), "/plain"))
    assert not set_cookie(get(client(app, signed(CURRENT)), "/plain"))


def test_public_responses_do_not_carry_a_session(app: Flask) -> None:
    """A shared cache would hand the cookie to others."""
    browser = client(app, signed(FALLBACK))
    response = get(browser, "/public")
    assert not set_cookie(response)
    assert response.headers["Cache-Control"] == "public"
    assert set_cookie(get(browser, "/visits"))


def test_a_permanent_session_of_an_older_key_stays_permanent(app: Flask) -> None:
    cookie = signed(FALLBACK, {"visits": 7, "_permanent": True})
    assert "Expires=" in get(client(app, cookie), "/visits").headers["Set-Cookie"]
    assert "Expires=" not in get(client(app, signed(FALLBACK)), "/visits").headers["Set-Cookie"]


def test_an_empty_session_of_an_older_key_is_not_an_error(app: Flask) -> None:
    assert get(client(app, signed(FALLBACK, {})), "/visits").text == "0"


# Caches


def test_responses_made_from_a_session_are_not_stored(app: Flask) -> None:
    browser = client(app)
    assert get(browser, "/count").headers["Cache-Control"] == "no-store"
    assert get(browser, "/visits").headers["Cache-Control"] == "no-store"
    assert get(browser, "/stream").headers["Cache-Control"] == "no-store"  # which may read the session later
    assert get(browser, "/own").headers["Cache-Control"] == "private, max-age=60"
    assert "Cache-Control" not in get(browser, "/plain").headers
    assert "Cache-Control" not in get(client(app), "/stream").headers


def test_responses_made_from_a_session_vary_by_cookie(app: Flask) -> None:
    browser = client(app, signed(CURRENT))
    assert "Cookie" in get(browser, "/visits").headers["Vary"]
    assert "Vary" not in get(browser, "/plain").headers


# Cookies that are rejected

FORGED = {
    "an empty key": signed(""),
    "a character of a fallback": signed(FALLBACK[0]),
    "the last character of a fallback": signed(FALLBACK[-1]),
    "a retired key": signed(RETIRED),
    "a sample": signed("not-so-secret"),
    "a part of the key": signed(CURRENT[:-1]),
    "expired": signed(CURRENT, age=32 * 24 * 60 * 60),
    "expired, of a fallback": signed(FALLBACK, age=32 * 24 * 60 * 60),
    "from the future": signed(CURRENT, age=-3600),
    "no signature": signed(CURRENT).rpartition(".")[0],
    "another's signature": signed(CURRENT, {"visits": 8}).rpartition(".")[0] + "." + signed(CURRENT).rpartition(".")[2],
    "cut": signed(CURRENT)[:-4],
    "dots": "....",
    "long": "a" * 4000,
}


@pytest.mark.parametrize("cookie", FORGED.values(), ids=FORGED)
def test_a_session_that_the_keys_did_not_sign_is_empty(
    app: Flask, cookie: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert get(client(app, cookie), "/visits").text == "0"
        assert get(client(app, cookie), "/count").text == "1"
    (record,) = [record for record in caplog.records if "rejected" in record.getMessage()]
    assert record.levelname == "WARNING"
    assert cookie not in caplog.text
    assert not [key for key in (CURRENT, FALLBACK, NEXT) if key in caplog.text]


@given(st.text(st.characters(codec="latin-1", exclude_characters=';,\r\n\0"\\ '), min_size=1, max_size=80))
@example(".eJw.")
@example(signed(CURRENT).replace(".", "..", 1))
@example("\xff" * 20)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_garbage_is_an_empty_session(app: Flask, cookie: str) -> None:
    environ = {"HTTP_COOKIE": f"{COOKIE}={cookie}"}
    response = app.test_client(use_cookies=False).get("/visits", base_url=HTTPS, environ_overrides=environ)
    assert (response.status_code, response.text) == (200, "0")


def test_a_flood_of_forged_cookies_is_one_line_a_minute_with_a_count(
    app: Flask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(sessions.time, "monotonic", lambda: now)

    def flood() -> list[str]:
        caplog.clear()
        for _ in range(50):
            get(client(app, signed(RETIRED)), "/visits")
        get(client(app, signed(CURRENT)), "/visits")
        get(client(app), "/visits")
        return [record.getMessage() for record in caplog.records if "rejected" in record.getMessage()]

    caplog.set_level(logging.INFO)
    (first,) = flood()
    assert first.startswith("1 ")
    now += 59
    assert flood() == []
    now += 2
    (second,) = flood()
    assert second.startswith("100 ")  # of the first flood and of the second, and the first of the third


# Without a key


@pytest.mark.parametrize("env", ["development", "production"])
def test_without_a_key_nothing_starts_that_would_lose_sessions(app: Flask, env: str) -> None:
    for name in ("SECRET_KEY", "SECRET_KEY_NEXT", "SECRET_KEY_FALLBACKS"):
        del os.environ[name]
    with pytest.raises(flask_secure.StartupError):
        flask_secure.init_app(Flask("service", root_path=app.root_path), env)


def test_the_cookie_of_production_is_bound_to_the_host(app: Flask) -> None:
    header = get(client(app), "/count").headers["Set-Cookie"]
    assert header.startswith(f"{COOKIE}=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(header.split("; "))
    assert "Domain" not in header
