"""The first page, its session, the health checks."""

import secrets
from collections.abc import Callable

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from markupsafe import escape

CreateApp = Callable[..., Flask]


def test_the_page_says_what_the_service_is(client: FlaskClient) -> None:
    page = client.get("/").get_data(as_text=True)
    for setting in ("SERVICE_NAME", "SERVICE_DESCRIPTION", "APP_ENV"):
        assert str(escape(client.application.config[setting])) in page


def test_the_session_counts_visits(client: FlaskClient) -> None:
    assert "first visit" in client.get("/").get_data(as_text=True)
    assert "2 times" in client.get("/").get_data(as_text=True)
    assert "3 times" in client.get("/").get_data(as_text=True)


@pytest.mark.parametrize("env", ["development", "production"])
def test_a_session_is_set_once(create_app: CreateApp, monkeypatch: pytest.MonkeyPatch, env: str) -> None:
    monkeypatch.setenv("SECRET_KEY", secrets.token_hex(32))
    answer = create_app(env).test_client().get("/", base_url="https://localhost")
    assert len(answer.headers.getlist("Set-Cookie")) == 1


def test_a_forged_session_is_an_empty_one(client: FlaskClient) -> None:
    for _ in range(3):
        client.get("/")
    name = client.application.config["SESSION_COOKIE_NAME"]
    cookie = client.get_cookie(name)
    assert cookie is not None
    payload, rest = cookie.value.split(".", 1)
    client.set_cookie(name, f"{payload[::-1]}.{rest}")
    assert "first visit" in client.get("/").get_data(as_text=True)


def test_the_session_cookie_is_closed_to_scripts_and_other_sites(client: FlaskClient) -> None:
    cookie = client.get("/").headers["Set-Cookie"]
    assert cookie.startswith("__Host-")
    assert {"Secure", "HttpOnly", "Path=/"} < set(cookie.split("; "))
    assert "SameSite=Lax" in cookie or "SameSite=Strict" in cookie


def test_health_checks_answer_without_a_session(client: FlaskClient) -> None:
    for path in ("/healthz", "/readyz"):
        answer = client.get(path)
        assert answer.json == {"status": "ok"}
        assert "Set-Cookie" not in answer.headers


def signed_with(key: str, **data: object) -> str:
    """A session cookie signed with `key`."""
    other = Flask("other")
    other.secret_key = key
    serializer = SecureCookieSessionInterface().get_signing_serializer(other)
    assert serializer is not None
    return str(serializer.dumps(data))


def test_a_session_of_an_older_key_is_signed_anew(create_app: CreateApp, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = secrets.token_hex(32), secrets.token_hex(32)
    monkeypatch.setenv("SECRET_KEY", new)
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", old)
    app = create_app("production")
    app.add_url_rule("/untouched", view_func=lambda: "", endpoint="untouched")
    client = app.test_client()
    name = app.config["SESSION_COOKIE_NAME"]
    client.set_cookie(name, signed_with(old, visits=7))
    answer = client.get("/untouched")
    assert "Cookie" in answer.vary
    assert "Expires" not in answer.headers["Set-Cookie"]
    assert "Set-Cookie" not in client.get("/untouched").headers  # once
    monkeypatch.delenv("SECRET_KEY_FALLBACKS")
    retired = create_app("production").test_client()
    cookie = client.get_cookie(name)
    assert cookie is not None
    retired.set_cookie(name, cookie.value)
    assert "8 times" in retired.get("/").get_data(as_text=True)


def test_no_session_is_set_on_an_answer_that_caches_share(
    create_app: CreateApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = secrets.token_hex(32)
    for name, value in {"KEY": secrets.token_hex(32), "KEY_FALLBACKS": old}.items():
        monkeypatch.setenv(f"SECRET_{name}", value)
    monkeypatch.setenv("FLASK_SEND_FILE_MAX_AGE_DEFAULT", "3600")
    app = create_app("production")
    client = app.test_client()
    client.set_cookie(app.config["SESSION_COOKIE_NAME"], signed_with(old, visits=7))
    with client.get("/static/style.css") as answer:
        assert "public" in answer.headers["Cache-Control"]
        assert "Set-Cookie" not in answer.headers
