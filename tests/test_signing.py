"""`flask_secure.signer`: what it signs survives a rotation, for one purpose and for a time."""

import os
import secrets
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from flask import Flask
from itsdangerous import BadData, BadSignature, SignatureExpired, TimestampSigner, URLSafeTimedSerializer
from support import clean_environ

import flask_secure

OLD, NEW, NEXT = (secrets.token_hex(32) for _ in range(3))
LINKS = flask_secure.signer("accounts.links", max_age=3600)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    with patch.dict(os.environ, clean_environ(TRUSTED_HOSTS="localhost"), clear=True):
        yield


def app(key: str, **keys: str) -> Flask:
    """An application in production with these keys."""
    names = ("SECRET_KEY", "SECRET_KEY_NEXT", "SECRET_KEY_FALLBACKS")
    for name in names:
        os.environ.pop(name, None)
    os.environ.update({"SECRET_KEY": key, **keys})
    application = Flask("service")
    flask_secure.init_app(application, "production")
    return application


def test_a_value_is_read_by_the_purpose_that_signed_it_alone() -> None:
    with app(OLD).app_context():
        text = LINKS.dumps({"email": "ann@example.org", "number": 7})
        assert LINKS.loads(text) == {"email": "ann@example.org", "number": 7}
        with pytest.raises(BadSignature):
            flask_secure.signer("accounts.devices", max_age=3600).loads(text)
        with pytest.raises(BadSignature):
            LINKS.loads(f"{text}x")
        session = flask_secure.sessions.SessionInterface().get_signing_serializer(app(OLD))
        assert session is not None
        with pytest.raises(BadData):
            session.loads(text)


def test_it_survives_stage_promote_and_nothing_else() -> None:
    with app(OLD).app_context():
        text = LINKS.dumps("x")
    with app(OLD, SECRET_KEY_NEXT=NEW).app_context():
        assert LINKS.loads(text) == "x"
    with app(NEW, SECRET_KEY_FALLBACKS=OLD).app_context():
        assert LINKS.loads(text) == "x"
    with app(NEW).app_context(), pytest.raises(BadSignature):
        LINKS.loads(text)


def test_the_current_key_signs_not_the_oldest_or_the_staged() -> None:
    """CVE-2025-47278 was that order in Flask."""
    with app(NEW, SECRET_KEY_FALLBACKS=OLD, SECRET_KEY_NEXT=NEXT).app_context():
        text = LINKS.dumps("x")
    with app(NEW).app_context():
        assert LINKS.loads(text) == "x"
    for other in (OLD, NEXT):
        with app(other).app_context(), pytest.raises(BadSignature):
            LINKS.loads(text)


def test_it_expires() -> None:
    with app(OLD).app_context():
        with patch.object(TimestampSigner, "get_timestamp", lambda _: int(time.time()) - 3601):
            text = LINKS.dumps("x")
        with pytest.raises(SignatureExpired):
            LINKS.loads(text)


@pytest.mark.parametrize("age", [timedelta(days=32), 32 * 24 * 3600])
def test_an_age_above_the_session_lifetime_is_an_error(age: timedelta | int) -> None:
    """After that, `flask key retire` drops the key, and the value would end early."""
    signer = flask_secure.signer("long", max_age=age)
    with app(OLD).app_context():
        with pytest.raises(ValueError, match="PERMANENT_SESSION_LIFETIME"):
            signer.dumps("x")
        with pytest.raises(ValueError, match="PERMANENT_SESSION_LIFETIME"):
            signer.loads("x")


@pytest.mark.parametrize(("purpose", "age"), [("", 60), ("x", 0), ("x", -1), ("x", timedelta(milliseconds=5))])
def test_a_purpose_and_a_positive_age_are_needed(purpose: str, age: int | timedelta) -> None:
    with pytest.raises(ValueError, match=r"purpose|at least a second"):
        flask_secure.signer(purpose, max_age=age)


def test_no_key_is_in_an_error() -> None:
    with app(OLD).app_context(), pytest.raises(BadSignature) as caught:
        LINKS.loads(URLSafeTimedSerializer(NEW).dumps("x"))
    assert OLD not in repr(caught.value)
