"""The doctor finds nothing wrong with production, and finds what is made wrong."""

import json
import secrets
from importlib import import_module
from pathlib import Path

import pytest
from conftest import PACKAGE

doctor = import_module(f"{PACKAGE}.doctor")


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a machine of production says, to this project's doctor on a developer's."""
    settings = import_module(f"{PACKAGE}.settings")
    monkeypatch.setattr(settings, "ROOT", Path(__file__).parents[1])
    monkeypatch.setenv("APP_ENV", "development")
    monkeypatch.setenv("SECRET_KEY", secrets.token_hex(32))
    monkeypatch.setenv("TRUSTED_HOSTS", "www.example.org")


def found(env: str) -> set[str]:
    """The ids of what is wrong."""
    return {finding.id for finding in doctor.examine(env).findings}


@pytest.mark.usefixtures("production")
def test_nothing_is_wrong_with_production() -> None:
    assert doctor.examine("production").findings == []


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(
    ("variable", "value", "finding"),
    [
        ("SECRET_KEY", "changeme", "key-placeholder"),
        ("TRUSTED_HOSTS", "", "hosts-missing"),
        ("FLASK_SESSION_COOKIE_SECURE", "false", "cookie-secure"),
        ("FLASK_MAX_CONTENT_LENGTH", "null", "limit-body"),
        ("FLASK_CONTENT_SECURITY_POLICY__script-src", "[\"'unsafe-inline'\"]", "csp-unsafe-inline"),
    ],
)
def test_what_is_made_wrong_is_found(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, finding: str) -> None:
    monkeypatch.setenv(variable, value)
    assert finding in found("production")


@pytest.mark.usefixtures("production")
def test_it_works_where_the_service_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRUSTED_HOSTS")
    monkeypatch.delenv("SECRET_KEY")
    assert found("production") == {"key-missing", "hosts-missing"}


def test_development_is_examined_too(project: Path) -> None:
    (project / ".env").write_text(f"SECRET_KEY={secrets.token_hex(32)}\n")
    (project / ".env").chmod(0o600)
    (project / ".gitignore").write_text(".env\n")
    assert found("development") == set()
    (project / ".gitignore").unlink()
    assert "git-not-ignored" in found("development")


@pytest.mark.usefixtures("production")
def test_settings_are_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, sources = import_module(f"{PACKAGE}.doctor.shown"), import_module(f"{PACKAGE}.keys.sources")
    monkeypatch.setenv("FLASK_MAIL_PASSWORD", "hunter2")
    app = import_module(f"{PACKAGE}.settings").configured("production")
    sources.init_app(app)
    rows = {row.name: row for row in shown.effective(app)}
    assert "hunter2" not in json.dumps(list(rows.values()))
    assert rows["MAIL_PASSWORD"].layer == "FLASK_MAIL_PASSWORD in the environment"
    assert rows["SECRET_KEY"].layer == "the environment"
    assert rows["SECRET_KEY"].value == repr(app.config["SECRET_KEY"])
    assert rows["MAX_FORM_PARTS"].layer == "config/default.py"
    assert rows["SERVER_NAME"].layer == "Flask"
