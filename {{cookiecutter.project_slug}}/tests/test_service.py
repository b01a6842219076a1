"""The service as a whole: it starts with a good key alone, in production with its defences, and fails readably."""

import secrets
from types import ModuleType

import pytest
from flask import Flask
from flask.testing import FlaskClient

import flask_secure


@pytest.fixture
def production(service: ModuleType, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A client of the service as a production host runs it."""
    monkeypatch.setenv("SECRET_KEY", secrets.token_hex(32))
    monkeypatch.setenv("TRUSTED_HOSTS", "localhost")
    app: Flask = service.create_app("production")
    return app.test_client()


def test_production_does_not_start_without_a_good_key(service: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_HOSTS", "localhost")
    monkeypatch.setenv("SECRET_KEY", "changeme")
    with pytest.raises(flask_secure.StartupError, match="key-placeholder"):
        service.create_app("production")
    monkeypatch.delenv("SECRET_KEY")
    with pytest.raises(flask_secure.StartupError, match="key-missing"):
        service.create_app("production")


def test_every_response_has_the_security_headers(production: FlaskClient) -> None:
    response = production.get("/healthz", base_url="https://localhost")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert response.headers["Strict-Transport-Security"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_a_cross_site_post_is_rejected(production: FlaskClient) -> None:
    response = production.post("/", base_url="https://localhost", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403


def test_other_hosts_are_rejected(production: FlaskClient) -> None:
    assert production.get("/", base_url="https://evil.example").status_code == 400


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_checks_answer_to_any_host_without_a_session(production: FlaskClient, path: str) -> None:
    response = production.get(path, base_url="http://10.0.0.1:8000")
    assert response.json == {"status": "ok"}
    assert "Set-Cookie" not in response.headers


def test_errors_are_pages_for_browsers_and_problem_details_for_others(client: FlaskClient) -> None:
    page = client.get("/nothing-here", headers={"Accept": "text/html"})
    assert (page.status_code, page.mimetype) == (404, "text/html")
    problem = client.get("/nothing-here")
    assert (problem.status_code, problem.mimetype) == (404, "application/problem+json")
    assert problem.json is not None
    assert problem.json["request_id"] == problem.headers["X-Request-ID"]


def test_a_failure_is_told_without_its_cause(app: Flask) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.add_url_rule("/-/failure", "failure", lambda: str(1 // 0))
    response = app.test_client().get("/-/failure")
    assert response.status_code == 500
    assert "ZeroDivisionError" not in response.text
