"""The service as a whole: it needs a strong key, has its defenses, and fails readably."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
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


def test_production_needs_a_good_key(
    service: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    headers = {"Sec-Fetch-Site": "cross-site"}
    response = production.post("/", base_url="https://localhost", headers=headers)
    assert response.status_code == 403


def test_other_hosts_are_rejected(production: FlaskClient) -> None:
    assert production.get("/", base_url="https://evil.example").status_code == 400


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_checks_answer_to_any_host(production: FlaskClient, path: str) -> None:
    response = production.get(path, base_url="http://10.0.0.1:8000")
    assert response.json == {"status": "ok"}
    assert "Set-Cookie" not in response.headers


def test_readiness_costs_one_check_a_second(app: Flask) -> None:
    asked: list[float] = []

    def check() -> None:
        asked.append(time.monotonic())
        time.sleep(0.2)

    app.extensions["readiness"].checks.append(check)
    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(lambda _: app.test_client().get("/readyz"), range(60)))
    assert {response.status_code for response in responses} == {200}
    assert len(asked) == 1


def test_a_readiness_check_that_hangs_keeps_one_thread(app: Flask) -> None:
    over = Event()
    app.extensions["readiness"].checks.append(over.wait)
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(app.test_client().get, "/readyz")
        others = list(pool.map(lambda _: app.test_client().get("/readyz"), range(19)))
        over.set()
        assert {response.status_code for response in others} == {503}
        assert first.result().status_code == 200


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
