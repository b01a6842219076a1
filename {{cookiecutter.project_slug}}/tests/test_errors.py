"""Errors, as a page and as problem details (RFC 9457)."""

from collections.abc import Callable

import pytest
from flask import Flask, abort, request
from flask.testing import FlaskClient

JSON = {"Accept": "application/json"}


@pytest.fixture
def client(create_app: Callable[..., Flask]) -> FlaskClient:
    """A client of the service with views that fail, answering exceptions as production does."""
    app = create_app("testing")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.add_url_rule("/fail/<int:code>", endpoint="fail", view_func=abort)
    app.add_url_rule("/said", endpoint="said", view_func=lambda: abort(404, "No such <invoice>."))
    app.add_url_rule("/crash", endpoint="crash", view_func=lambda: str(1 / 0))
    app.add_url_rule("/length", endpoint="length", view_func=lambda: str(len(request.get_data())), methods=["POST"])
    return app.test_client()


@pytest.mark.parametrize("code", [400, 403, 404, 405, 413, 429, 500])
def test_an_error_is_a_page_or_problem_details(client: FlaskClient, code: int) -> None:
    page = client.get(f"/fail/{code}", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.status_code == code
    assert page.mimetype == "text/html"
    assert f">{code}</p>" in page.get_data(as_text=True)
    problem = client.get(f"/fail/{code}", headers=JSON)
    assert problem.status_code == code
    assert problem.content_type == "application/problem+json"
    assert problem.json is not None
    assert problem.json["status"] == code
    assert problem.json["type"] == "about:blank"
    assert "Accept" in problem.vary


def test_what_a_view_says_is_shown_and_escaped(client: FlaskClient) -> None:
    assert "No such &lt;invoice&gt;." in client.get("/said").get_data(as_text=True)
    assert '"No such <invoice>."' in client.get("/said", headers=JSON).get_data(as_text=True)


def test_a_crash_is_told_without_its_cause(client: FlaskClient) -> None:
    for headers in ({}, JSON):
        answer = client.get("/crash", headers=headers)
        assert answer.status_code == 500
        assert "ZeroDivisionError" not in answer.get_data(as_text=True)


def test_an_error_keeps_its_headers(client: FlaskClient) -> None:
    answer = client.post("/healthz", headers=JSON)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_a_body_over_the_limit_is_refused(client: FlaskClient) -> None:
    limit = client.application.config["MAX_CONTENT_LENGTH"]
    assert client.post("/length", data=b"x" * limit).data == b"%d" % limit
    assert client.post("/length", data=b"x" * (limit + 1)).status_code == 413
