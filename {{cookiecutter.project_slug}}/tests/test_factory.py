"""create_app in each environment."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.cli import NoAppException

CreateApp = Callable[..., Flask]
KEY = secrets.token_hex(32)


def test_nothing_said_is_production(create_app: CreateApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", KEY)
    app = create_app()
    assert app.config["APP_ENV"] == "production"
    assert not app.debug
    assert app.config["SESSION_COOKIE_SECURE"]


def test_dotenv_names_the_environment_and_the_real_one_wins(
    create_app: CreateApp, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".env").write_text(f"APP_ENV=development\nSECRET_KEY={KEY}\n")
    assert create_app().config["APP_ENV"] == "development"
    monkeypatch.setenv("APP_ENV", "testing")
    assert create_app().config["APP_ENV"] == "testing"
    assert create_app("development").config["APP_ENV"] == "development"


def test_an_unknown_environment_is_refused_with_the_three(
    create_app: CreateApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_ENV", "staging")
    with pytest.raises(NoAppException, match="'staging'; it is one of development, testing, production"):
        create_app()


def test_later_layers_win(create_app: CreateApp, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert create_app("testing").config["MAX_CONTENT_LENGTH"] == 2 * 1024 * 1024
    (project / "instance").mkdir()
    (project / "instance" / "config.py").write_text("MAX_CONTENT_LENGTH = 11\n")
    assert create_app("testing").config["MAX_CONTENT_LENGTH"] == 11
    monkeypatch.setenv("FLASK_MAX_CONTENT_LENGTH", "12")
    assert create_app("testing").config["MAX_CONTENT_LENGTH"] == 12


def test_production_has_no_debug_and_no_toolbar_whatever_is_set(
    create_app: CreateApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SECRET_KEY": KEY, "FLASK_DEBUG": "1", "FLASK_DEBUG_TB_ENABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    app = create_app("production")
    assert not app.debug
    assert not any("toolbar" in endpoint for endpoint in app.view_functions)


def test_the_toolbar_answers_this_machine_only(create_app: CreateApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", KEY)
    client = create_app("development").test_client()
    script = "/_debug_toolbar/static/js/toolbar.js"
    assert b'id="flDebug"' in client.get("/").data
    with client.get(script) as answer:
        assert answer.status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.1"}
    assert b'id="flDebug"' not in client.get("/", environ_overrides=elsewhere).data
    assert client.get(script, environ_overrides=elsewhere).status_code == 404
