"""The database: private, checked before the service starts, and a service that survives it."""

import os
import time
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa
from flask import Flask

import flask_secure


def test_the_service_is_not_ready_while_its_database_is_away(
    app: Flask, service: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = app.test_client()
    assert client.get("/readyz").status_code == 200
    away = sa.create_engine("sqlite:////no/such/folder/database")
    with app.app_context():
        monkeypatch.setitem(app.extensions["sqlalchemy"].engines, "default", away)
    deadline = time.monotonic() + 5
    while client.get("/readyz").status_code == 200:  # a result counts for a second
        assert time.monotonic() < deadline
        time.sleep(0.1)
    response = client.get("/readyz")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert client.get("/healthz").status_code == 200


PASSWORD = "pw-of-the-database"  # no message may show it


@pytest.mark.parametrize(
    "url",
    [
        f"ann:{PASSWORD}@localhost/shop",
        f"//ann:{PASSWORD}@localhost/shop",
        f"postgresql://ann:{PASSWORD}@localhost:port/shop",
        f"postgresql://ann:x/{PASSWORD}@localhost/shop",
        f"postgresql://ann:x?{PASSWORD}@localhost/shop",
        f"postgresql://ann:x#{PASSWORD}@localhost/shop",
        f"postgresql://ann:x@{PASSWORD}@localhost/shop",
        f"nothing://ann:{PASSWORD}@localhost/shop",
        f"mysql+pymysql://ann:{PASSWORD}@localhost/shop",  # a driver that is not installed
        f"sqlite+aiosqlite:///{PASSWORD}",
    ],
)
def test_a_database_url_that_can_not_work_is_rejected(
    service: ModuleType, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(flask_secure.StartupError, match="database-url") as caught:
        service.create_app("testing")
    assert PASSWORD not in str(caught.value)


def test_sqlite_is_private_in_the_data_folder(
    service: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///own.sqlite")
    app: Flask = service.create_app("testing")
    umask = os.umask(0)
    try:
        with app.app_context(), app.extensions["sqlalchemy"].engine.connect() as connection:
            connection.execute(sa.text("CREATE TABLE private (id INTEGER)"))
            folder = tmp_path / "data"
            modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    finally:
        os.umask(umask)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert modes == dict.fromkeys(("own.sqlite", "own.sqlite-shm", "own.sqlite-wal"), 0o600)


def test_a_database_at_its_old_place_is_not_left_behind(
    service: ModuleType, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Path(app.instance_path, "own.sqlite")
    folder_was_there = old.parent.exists()
    monkeypatch.setenv("DATABASE_URL", "sqlite:///own.sqlite")
    old.parent.mkdir(exist_ok=True)
    old.touch()
    try:
        with pytest.raises(flask_secure.StartupError, match="database-moved"):
            service.create_app("testing")
    finally:
        old.unlink()
        if not folder_was_there:
            old.parent.rmdir()
