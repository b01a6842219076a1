"""Accounts, from the first mail to the deletion."""

import re
from importlib import import_module
from types import ModuleType

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

EMAIL, PASSWORD, OTHER = "ann@example.org", "violet tram 41 harbour", "copper 97 meadow kite"


MAILS: list[str] = []


@pytest.fixture(autouse=True)
def mails(service: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the texts of the mails that would be sent."""
    MAILS.clear()
    mail = import_module(f"{service.__name__}.accounts.mail")
    monkeypatch.setattr(mail, "send", lambda recipient, subject, text: MAILS.append(text))


def link(client: FlaskClient, page: str = "sign-up", email: str = EMAIL) -> str:
    """The link in the mail that a page sends."""
    assert client.post(f"/accounts/{page}", data={"email": email}).status_code == 200
    found = re.search(r"http\S+", MAILS[-1])
    assert found is not None
    return found[0]


def sign_in(client: FlaskClient, password: str = PASSWORD, email: str = EMAIL, **query: str) -> TestResponse:
    return client.post("/accounts/sign-in", data={"email": email, "password": password}, query_string=query)


@pytest.fixture
def ann(client: FlaskClient) -> FlaskClient:
    """A browser in which an account has just been made."""
    assert client.post(link(client), data={"password": PASSWORD}).location == "/accounts/"
    return client


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/accounts/").status_code == 200


def test_sign_up_sign_out_and_sign_in(ann: FlaskClient) -> None:
    assert EMAIL in ann.get("/accounts/").text
    ann.post("/accounts/", data={"action": "sign-out"})
    assert not is_signed_in(ann)
    assert sign_in(ann, "wrong").status_code == 422
    assert sign_in(ann, email=" Ann@Example.org ").location == "/accounts/"
    assert is_signed_in(ann)


def test_a_page_that_needs_an_account_comes_back_after_signing_in(ann: FlaskClient) -> None:
    ann.post("/accounts/", data={"action": "sign-out"})
    location = ann.get("/accounts/?page=2").location
    assert location == "/accounts/sign-in?next=/accounts/?page%3D2"
    for target in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"):
        assert sign_in(ann, next=target).location == "/accounts/"
    assert sign_in(ann, next="/accounts/?page=2").location == "/accounts/?page=2"


def test_a_reset_ends_other_sessions_and_its_link_works_once(app: Flask, ann: FlaskClient) -> None:
    other = app.test_client()
    address = link(other, "reset")
    assert other.get(address).status_code == 200
    assert other.post(address, data={"password": OTHER}).location == "/accounts/"
    assert is_signed_in(other)
    assert not is_signed_in(ann)
    assert "/accounts/reset" in other.get(address).location
    assert sign_in(ann).status_code == 422
    assert sign_in(ann, OTHER).status_code == 302


def test_change_and_sign_out_everywhere_end_other_sessions(app: Flask, ann: FlaskClient) -> None:
    other = app.test_client()
    sign_in(other)
    change = {"action": "change", "current": PASSWORD, "password": OTHER}
    assert ann.post("/accounts/", data=change | {"current": "no"}).status_code == 422
    assert ann.post("/accounts/", data=change).status_code == 302
    assert (is_signed_in(ann), is_signed_in(other)) == (True, False)
    sign_in(other, OTHER)
    other.post("/accounts/", data={"action": "everywhere"})
    assert (is_signed_in(ann), is_signed_in(other)) == (False, False)


def test_a_deleted_account_is_gone(ann: FlaskClient) -> None:
    assert ann.post("/accounts/", data={"action": "delete", "current": "no"}).status_code == 422
    ann.post("/accounts/", data={"action": "delete", "current": PASSWORD})
    assert sign_in(ann).status_code == 422


@pytest.mark.parametrize("password", ["short", "passwordpassword", "123456789012345", EMAIL, "x" * 300])
def test_passwords_that_are_easy_to_guess_are_rejected(client: FlaskClient, password: str) -> None:
    response = client.post(link(client), data={"password": password})
    assert response.status_code == 422
    assert 'aria-invalid="true"' in response.text


def test_the_pages_do_not_say_who_has_an_account(ann: FlaskClient) -> None:
    ann.post("/accounts/", data={"action": "sign-out"})
    ann.get("/accounts/sign-in")  # which shows that
    for page in ("sign-up", "reset"):
        known = ann.post(f"/accounts/{page}", data={"email": EMAIL})
        unknown = ann.post(f"/accounts/{page}", data={"email": "bob@example.org"})
        assert known.text == unknown.text.replace("bob@", "ann@")
    assert sign_in(ann, "wrong").text == sign_in(ann, "wrong", "bob@example.org").text.replace("bob@", "ann@")


def test_guesses_are_limited(ann: FlaskClient) -> None:
    ann.post("/accounts/", data={"action": "sign-out"})
    assert [sign_in(ann, "wrong").status_code for _ in range(10)] == [422] * 10
    response = sign_in(ann)
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
