"""Accounts, from the first mail to the deletion."""

import re
from contextlib import ExitStack
from datetime import timedelta
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from accounts_fixtures import EMAIL, PASSWORD, Mailbox
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

import flask_secure

OTHER = "copper 97 meadow kite"


@pytest.fixture(autouse=True)
def keep_mails(mailbox: Mailbox) -> None:
    """No test sends a mail."""


def token(client: FlaskClient, page: str = "sign-up", email: str = EMAIL) -> str:
    """The token of the link in the mail that a page sends."""
    assert client.post(f"/accounts/{page}", data={"email": email}).status_code == 200
    mailbox: Mailbox = client.application.extensions["mailbox"]
    return mailbox.token(email)


def choose(client: FlaskClient, token: str, password: str = PASSWORD) -> TestResponse:
    """What the page of a link posts."""
    return client.post("/accounts/choose", data={"token": token, "password": password})


def sign_in(
    client: FlaskClient,
    password: str = PASSWORD,
    email: str = EMAIL,
    **query: str,
) -> TestResponse:
    form = {"email": email, "password": password}
    return client.post("/accounts/sign-in", data=form, query_string=query)


@pytest.fixture
def ann(signed_in: FlaskClient) -> FlaskClient:
    """A browser in which an account has just been made."""
    return signed_in


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/accounts/").status_code == 200


def test_sign_up_sign_out_and_sign_in(ann: FlaskClient) -> None:
    assert EMAIL in ann.get("/accounts/").text
    ann.post("/accounts/sign-out")
    assert not is_signed_in(ann)
    assert sign_in(ann, "wrong").status_code == 422
    assert sign_in(ann, email=" Ann@Example.org ").location == "/accounts/"
    assert is_signed_in(ann)


def test_a_page_that_needs_an_account_comes_back_after_signing_in(ann: FlaskClient) -> None:
    ann.post("/accounts/sign-out")
    location = ann.get("/accounts/?page=2").location
    assert location == "/accounts/sign-in?next=/accounts/?page%3D2"
    for target in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:x"):
        assert sign_in(ann, next=target).location == "/accounts/"
    assert sign_in(ann, next="/accounts/?page=2").location == "/accounts/?page=2"


def test_a_reset_ends_other_sessions_and_its_link_works_once(app: Flask, ann: FlaskClient) -> None:
    other = app.test_client()
    link = token(other, "reset")
    assert other.get("/accounts/choose").status_code == 200
    assert choose(other, link, OTHER).location == "/accounts/"
    assert is_signed_in(other)
    assert not is_signed_in(ann)
    assert "/accounts/reset" in choose(other, link, OTHER).location
    assert sign_in(ann).status_code == 422
    assert sign_in(ann, OTHER).status_code == 302


def test_a_changed_password_ends_other_sessions(app: Flask, ann: FlaskClient) -> None:
    other = app.test_client()
    sign_in(other)
    change = {"current": PASSWORD, "password": OTHER}
    assert ann.post("/accounts/password", data=change | {"current": "no"}).status_code == 422
    assert ann.post("/accounts/password", data=change).status_code == 302
    assert (is_signed_in(ann), is_signed_in(other)) == (True, False)


def test_a_session_that_is_signed_out_is_over(app: Flask, ann: FlaskClient) -> None:
    """The cookie of before signs nobody in again (OWASP ASVS 5.0, 7.4.1)."""
    name = app.config["SESSION_COOKIE_NAME"]
    cookie = ann.get_cookie(name)
    assert cookie is not None
    ann.post("/accounts/sign-out")
    thief = app.test_client()
    thief.set_cookie(name, cookie.value, secure=True)
    assert not is_signed_in(thief)


def test_a_browser_or_all_of_them_are_signed_out_with_the_password(
    app: Flask,
    ann: FlaskClient,
) -> None:
    other = app.test_client()
    sign_in(other)
    page = other.get("/accounts/browsers").text
    (number,) = re.findall(r'name="session" value="(\d+)"', page)
    end = {"session": number, "current": PASSWORD}
    assert other.post("/accounts/browsers", data=end | {"current": "no"}).status_code == 422
    assert is_signed_in(ann)
    assert other.post("/accounts/browsers", data=end).status_code == 302
    assert (is_signed_in(ann), is_signed_in(other)) == (False, True)
    sign_in(ann)
    other.post("/accounts/browsers", data={"session": "everywhere", "current": PASSWORD})
    assert (is_signed_in(ann), is_signed_in(other)) == (False, False)


def change_rows(app: Flask, **values: Any) -> None:
    """Set columns of every session."""
    with app.app_context():
        db = app.extensions["sqlalchemy"]
        models = import_module(f"{app.import_name}.accounts.models")
        db.session.execute(sa.update(models.AccountSession).values(**values))
        db.session.commit()


def count_rows(app: Flask) -> int:
    with app.app_context():
        db = app.extensions["sqlalchemy"]
        return int(db.session.scalar(sa.text("SELECT count(*) FROM account_session")))


@pytest.mark.parametrize("column", ["used", "began"])
def test_a_session_is_over_after_a_while(app: Flask, ann: FlaskClient, column: str) -> None:
    """Without a visit, or since it began (OWASP ASVS 5.0, 7.3.1 and 7.3.2)."""
    change_rows(app, **{column: 1})
    assert not is_signed_in(ann)
    sign_in(ann)  # which removes what is over
    assert count_rows(app) == 1


def test_the_browser_used_least_lately_is_signed_out_above_the_maximum(
    app: Flask,
    ann: FlaskClient,
) -> None:
    app.config["ACCOUNT_SESSIONS_MAXIMUM"] = 2
    change_rows(app, used=sa.text("used - 30"))
    second, third = app.test_client(), app.test_client()
    sign_in(second)
    sign_in(third)
    assert [is_signed_in(each) for each in (ann, second, third)] == [False, True, True]


def test_the_time_of_last_use_commits_nothing_of_the_owners(app: Flask) -> None:
    """A view that adds a row, asks who is signed in, and fails."""
    db = app.extensions["sqlalchemy"]
    models = import_module(f"{app.import_name}.accounts.models")
    accounts = import_module(f"{app.import_name}.accounts")

    @app.get("/fails")
    def fails() -> str:
        db.session.add(models.Account(email="bob@example.org", password_hash="x"))
        assert accounts.current_user().email == EMAIL
        raise LookupError

    client = app.test_client()
    choose(client, token(client))
    change_rows(app, used=sa.text("used - 61"))
    with pytest.raises(LookupError):
        client.get("/fails")
    with app.app_context():
        assert db.session.scalars(sa.select(models.Account.email)).all() == [EMAIL]
        row = db.session.scalars(sa.select(models.AccountSession)).one()
        assert row.used >= row.began


def test_anonymous_pages_ask_no_database(app: Flask, client: FlaskClient) -> None:
    asked: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(sa.Engine, "before_cursor_execute", note)
    for path in ("/", "/accounts/sign-in", "/accounts/choose", "/accounts/", "/missing"):
        client.get(path)
    event.remove(sa.Engine, "before_cursor_execute", note)
    assert asked == []


def test_a_deleted_account_is_gone(ann: FlaskClient) -> None:
    assert ann.post("/accounts/delete", data={"current": "no"}).status_code == 422
    ann.post("/accounts/delete", data={"current": PASSWORD})
    assert sign_in(ann).status_code == 422


def test_a_link_of_before_makes_no_account_after_a_deletion(ann: FlaskClient) -> None:
    ann.post("/accounts/delete", data={"current": PASSWORD})
    link = token(ann)
    assert choose(ann, link).location == "/accounts/"
    ann.post("/accounts/delete", data={"current": PASSWORD})
    assert "/accounts/reset" in choose(ann, link).location
    assert choose(ann, token(ann)).location == "/accounts/"


def test_every_table_says_what_a_deleted_account_does_to_it(service: ModuleType) -> None:
    """Otherwise the database rejects the deletion, and the visitor sees an error.

    Write `ForeignKey("account.id", ondelete="CASCADE")`, or "SET NULL" to keep the rows.
    """
    database = import_module(f"{service.__name__}.database")
    undecided = [
        f"{key.parent.table.name}.{key.parent.name}"
        for table in database.Model.metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name == "account" and key.ondelete not in ("CASCADE", "SET NULL")
    ]
    assert undecided == []


BAD_PASSWORDS = ["short", "passwordpassword", "123456789012345", EMAIL, "x" * 300]
BAD_PASSWORDS += ["Lhbjkjubz2957704"]  # nothing about it is easy but that many have it


@pytest.mark.parametrize("password", [*BAD_PASSWORDS, "\uff50\uff41\uff53\uff53word" * 3])
def test_passwords_that_are_easy_to_guess_are_rejected(client: FlaskClient, password: str) -> None:
    response = choose(client, token(client), password)
    assert response.status_code == 422
    assert 'aria-invalid="true"' in response.text


def test_the_3000_most_common_long_passwords_are_rejected(
    app: Flask,
    service: ModuleType,
) -> None:
    passwords = import_module(f"{service.__name__}.accounts.passwords")
    strength = import_module(f"{service.__name__}.accounts.strength")
    common = strength.common_long_passwords()
    assert len(common) == 3000
    with app.app_context():
        assert [each for each in common if not passwords.problem(each, EMAIL)] == []


def test_the_pages_do_not_say_who_has_an_account(ann: FlaskClient) -> None:
    ann.post("/accounts/sign-out")
    ann.get("/accounts/sign-in")  # which shows that
    for page in ("sign-up", "reset"):
        known = ann.post(f"/accounts/{page}", data={"email": EMAIL})
        unknown = ann.post(f"/accounts/{page}", data={"email": "bob@example.org"})
        assert known.text == unknown.text.replace("bob@", "ann@")
    known = sign_in(ann, "wrong")
    assert known.text == sign_in(ann, "wrong", "bob@example.org").text.replace("bob@", "ann@")


def test_guesses_are_limited(app: Flask, ann: FlaskClient) -> None:
    stranger = app.test_client()
    assert [sign_in(stranger, "wrong").status_code for _ in range(10)] == [422] * 10
    response = sign_in(stranger)
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
    assert "minutes" in response.text
    assert not [name for name, _ in response.headers if "ratelimit" in name.lower()]


def test_strangers_do_not_lock_the_owner_out(app: Flask, ann: FlaskClient) -> None:
    """A browser in which the account has signed in before has a count of its own."""
    ann.post("/accounts/sign-out")
    stranger = app.test_client()
    for number in range(12):
        network = {"REMOTE_ADDR": f"10.0.0.{number}"}
        form = {"email": EMAIL, "password": "wrong"}
        stranger.post("/accounts/sign-in", data=form, environ_base=network)
    assert sign_in(ann).status_code == 302
    assert sign_in(stranger).status_code == 429


def test_every_page_that_asks_for_the_password_shares_one_count(ann: FlaskClient) -> None:
    """A stolen session can't be used to guess the password."""
    forms: dict[str, dict[str, str]] = {
        "password": {"password": OTHER},
        "delete": {},
        "browsers": {"session": "everywhere"},
        "address": {"email": "bob@example.org"},
    }
    statuses = []
    for page, form in [*forms.items()] * 3:
        response = ann.post(f"/accounts/{page}", data=form | {"current": "wrong"})
        statuses.append(response.status_code)
    assert statuses == [422] * 10 + [429] * 2


def test_successes_do_not_add_up(app: Flask, ann: FlaskClient) -> None:
    """The visitors of an office share an address."""
    statuses = {sign_in(app.test_client()).status_code for _ in range(35)}
    assert statuses == {302}


FORMS = {
    "sign-in": ["email", "password"],
    "sign-up": ["email"],
    "reset": ["email"],
    "choose": ["token", "password"],
    "password": ["current", "password"],
    "browsers": ["session", "current"],
    "address": ["email", "current"],
    "address/confirm": ["token"],
    "delete": ["current"],
    "sign-out": [],
}


@pytest.mark.parametrize("page", FORMS)
def test_no_form_fails(app: Flask, ann: FlaskClient, page: str) -> None:
    """Without each field, with a field twice, with 1 MB in it, with control characters."""
    good = dict.fromkeys(FORMS[page], "ann@example.org")
    variants: list[dict[str, Any]] = []
    for name in good:
        variants.append({other: text for other, text in good.items() if other != name})
        for text in (["a", "b"], "x" * 1024 * 1024, "\0\r\n\x1b\u202e\ud7ff", "", "9" * 30):
            variants.append(good | {name: text})
    for variant in variants:
        for client in (ann, app.test_client()):
            assert client.post(f"/accounts/{page}", data=variant).status_code < 500, variant


def test_what_a_cookie_holds_is_never_an_error(app: Flask, client: FlaskClient) -> None:
    """Also what release 0.3 has kept in the session, and what a stranger makes of a cookie."""
    name = app.config["SESSION_COOKIE_NAME"]
    for values in ({"account": [1, "x"]}, {"account_session": [1, "x"]}, {"account_session": "x"}):
        with client.session_transaction() as session:
            session.update(values)
        assert not is_signed_in(client)
    for value in ("", "x", "a.b.c", "=" * 4000):
        client.set_cookie(f"{name}_device", value, secure=True)
        assert sign_in(client).status_code == 422


def test_head_does_nothing(ann: FlaskClient, mailbox: Mailbox) -> None:
    """A link checker may send HEAD; it must not sign a visitor out, nor get past the limits."""
    form = {"email": EMAIL, "password": PASSWORD, "current": PASSWORD, "session": "everywhere"}
    mailbox.sent.clear()
    for page in ("", *FORMS):
        assert ann.head(f"/accounts/{page}", data=form).status_code in (200, 405)
    assert mailbox.to(EMAIL) == []
    assert is_signed_in(ann)


def test_a_sign_in_that_waits_too_long_is_503(
    app: Flask, ann: FlaskClient, service: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = import_module(f"{service.__name__}.accounts.passwords")
    monkeypatch.setattr(passwords, "WAIT", 2)
    with app.app_context(), ExitStack() as hashing:
        for _ in range(app.config["HASHES_AT_ONCE"]):
            hashing.enter_context(passwords.turn_to_hash())
        response = sign_in(app.test_client())
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
    assert sign_in(ann).status_code == 302


@pytest.mark.parametrize("limit", ["0", "-1", "true", "1.5", '"2"'])
@pytest.mark.parametrize("name", ["HASHES_AT_ONCE", "ACCOUNT_SESSIONS_MAXIMUM"])
def test_a_number_that_is_none_is_rejected(
    service: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, limit: str
) -> None:
    monkeypatch.setenv(f"FLASK_{name}", limit)
    with pytest.raises(flask_secure.StartupError, match=name.lower().replace("_", "-")):
        service.create_app("testing")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAIL_URL", "smtp://ann:pass/word-secret@mail.example.org"),
        ("MAIL_URL", "smtp://ann:pass#word-secret@mail.example.org"),
        ("MAIL_URL", "smtp://ann:pass?word-secret@mail.example.org"),
        ("MAIL_URL", "gopher://mail.example.org"),
        ("MAIL_URL", "smtp://"),
        ("MAIL_URL", "smtp://mail.example.org:word-secret"),
        ("RATELIMIT_STORAGE_URI", "redis://ann:pass/word-secret@localhost"),
        ("RATELIMIT_STORAGE_URI", "redis://ann:pass#word-secret@localhost:6379"),
        ("RATELIMIT_STORAGE_URI", "gopher://localhost"),
        ("RATELIMIT_STORAGE_URI", "localhost"),
    ],
)
def test_a_url_that_can_not_be_used_is_rejected_by_name(
    service: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(flask_secure.StartupError, match=name) as caught:
        service.create_app("testing")
    assert "word-secret" not in str(caught.value)


# Mail


def test_an_address_is_changed_by_a_link_to_the_new_one(ann: FlaskClient, mailbox: Mailbox) -> None:
    new = "bob@example.org"
    form = {"email": new, "current": PASSWORD}
    assert ann.post("/accounts/address", data=form | {"current": "no"}).status_code == 422
    assert ann.post("/accounts/address", data=form | {"email": "bob"}).status_code == 422
    assert ann.post("/accounts/address", data=form).status_code == 200
    link = {"token": mailbox.token(new)}
    assert EMAIL in ann.get("/accounts/").text  # not before the link is used
    assert ann.post("/accounts/address/confirm", data=link).location == "/accounts/sign-in"
    assert "another address" in mailbox.to(EMAIL)[-1]
    assert sign_in(ann).status_code == 422
    assert sign_in(ann, email=new).status_code == 302
    ann.post("/accounts/address/confirm", data=link)  # once is once
    assert is_signed_in(ann)


def test_an_address_that_has_an_account_gets_no_link(
    app: Flask,
    ann: FlaskClient,
    mailbox: Mailbox,
) -> None:
    """And the page does not say so."""
    other = app.test_client()
    choose(other, token(other, email="bob@example.org"))
    mailbox.sent.clear()
    form = {"email": "bob@example.org", "current": PASSWORD}
    known = ann.post("/accounts/address", data=form)
    unknown = ann.post("/accounts/address", data=form | {"email": "eve@example.org"})
    assert known.text.replace("bob@", "") == unknown.text.replace("eve@", "")
    assert mailbox.to("bob@example.org") == []


def test_the_owner_is_told_of_a_new_browser_and_of_a_new_password(
    app: Flask,
    ann: FlaskClient,
    mailbox: Mailbox,
) -> None:
    ann.post("/accounts/sign-out")
    mailbox.sent.clear()
    sign_in(ann)  # a known one
    assert mailbox.to(EMAIL) == []
    firefox = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"}
    form = {"email": EMAIL, "password": PASSWORD}
    app.test_client().post("/accounts/sign-in", data=form, headers=firefox)
    assert "Firefox on Linux" in mailbox.to(EMAIL)[-1]
    ann.post("/accounts/password", data={"current": PASSWORD, "password": OTHER})
    assert "was changed" in mailbox.to(EMAIL)[-1]
    assert len(mailbox.sent) == 2


def test_a_row_of_the_outbox_has_no_text_and_no_token(app: Flask, client: FlaskClient) -> None:
    client.post("/accounts/sign-up", data={"email": EMAIL})
    with app.app_context():
        query = sa.text("SELECT * FROM account_mail")
        (row,) = app.extensions["sqlalchemy"].session.execute(query)
        assert row.recipient == EMAIL
        assert row.purpose == "link"
        assert not [value for value in row if isinstance(value, str) and len(value) > 20]


def test_a_mail_of_the_owners_goes_through_the_outbox(app: Flask, mailbox: Mailbox) -> None:
    outbox = import_module(f"{app.import_name}.accounts.outbox")

    def invoice(mail: Any) -> Any:
        return outbox.Text("Your invoice", f"Invoice number {mail.about}.\n")

    outbox.letter("invoice")(invoice)
    with app.app_context():
        outbox.put("invoice", EMAIL, about="7")
        app.extensions["sqlalchemy"].session.commit()
        outbox.put("invoice", EMAIL, about="8")  # rolled back
    assert mailbox.to(EMAIL) == ["Invoice number 7.\n"]
    with app.app_context(), pytest.raises(LookupError):
        outbox.put("mistyped", EMAIL)


# For operators


def test_an_operator_needs_no_sql(app: Flask, ann: FlaskClient, mailbox: Mailbox) -> None:
    flask = app.test_cli_runner()

    def run(*words: str) -> str:
        result = flask.invoke(args=list(words))
        assert result.exit_code == 0, result.output
        return result.output

    assert f"{EMAIL}: 1 sessions" in run("accounts", "list")
    run("accounts", "end-sessions", EMAIL)
    assert not is_signed_in(ann)
    sign_in(ann)
    run("accounts", "lock", EMAIL)
    assert not is_signed_in(ann)
    assert sign_in(ann).status_code == 422
    assert "locked" in run("accounts", "list")
    run("accounts", "unlock", EMAIL)
    assert sign_in(ann).status_code == 302
    mailbox.sent.clear()
    run("accounts", "reset", EMAIL)
    waiting = run("mail", "list")
    assert EMAIL in waiting
    link = mailbox.token(EMAIL)
    assert link not in waiting
    assert choose(ann, link, OTHER).location == "/accounts/"
    run("accounts", "delete", "--yes", EMAIL)
    assert sign_in(ann, OTHER).status_code == 422
    assert flask.invoke(args=["accounts", "lock", EMAIL]).exit_code == 1


def test_lifetimes_are_settings(service: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert service.create_app("testing").config["ACCOUNT_SESSION_IDLE"] == timedelta(days=14)
    monkeypatch.setenv("FLASK_ACCOUNT_SESSION_IDLE", "0")
    with pytest.raises(flask_secure.StartupError, match="account-session-idle"):
        service.create_app("testing")
