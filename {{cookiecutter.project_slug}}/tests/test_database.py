"""The database: migrations that agree with the models, and a service that says when it is away."""

import pytest
import sqlalchemy as sa
from flask import Flask


def test_migrations_and_models_agree(app: Flask) -> None:
    with app.app_context():
        assert app.extensions["alembic"].compare_metadata() == []


def test_migrations_go_back_and_forth(app: Flask) -> None:
    migrations = app.extensions["alembic"]
    with app.app_context():
        migrations.downgrade("base")
    with app.app_context():
        migrations.upgrade()
        assert not migrations.needs_upgrade()


def test_the_service_is_not_ready_while_its_database_is_away(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = app.test_client()
    assert client.get("/readyz").status_code == 200
    away = sa.create_engine("sqlite:////no/such/folder/database")
    with app.app_context():
        monkeypatch.setitem(app.extensions["sqlalchemy"].engines, "default", away)
    response = client.get("/readyz")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert client.get("/healthz").status_code == 200
