"""Asks every GET route of a generated service by HEAD, and shows what HEAD does that GET does not.

Run in the folder of a project, by its Python. What it prints is the routes that it asked, then the problems.
"""

import os
import sqlite3
import sys
from collections.abc import Iterator
from typing import Any

from flask import Flask
from my_flask_service import create_app
from werkzeug.http import parse_cookie
from werkzeug.test import TestResponse

URL = "https://localhost"
PASSWORD = "violet tram 41 harbour"
ACTIONS = ("everywhere", "1")


def with_account(app: Flask) -> tuple[str, str]:
    """Make an account; give back a cookie that is signed in to it, and a link's token for another address."""
    if "accounts" not in app.blueprints:
        return "", ""
    import sqlalchemy as sa
    from my_flask_service.accounts import links, passwords
    from my_flask_service.accounts.models import Account, Mail
    from my_flask_service.database import db

    with app.app_context():
        user = Account(email="ann@example.org")
        passwords.change(user, PASSWORD)
        db.session.add(user)
        db.session.commit()
    form = {"email": "ann@example.org", "password": PASSWORD}
    response = app.test_client().post("/accounts/sign-in", base_url=URL, data=form)
    assert response.status_code == 302
    with app.test_request_context():
        db.session.execute(sa.delete(Mail))  # of the notice of a new browser
        db.session.commit()
        cookies = [line.partition(";")[0] for line in response.headers.getlist("Set-Cookie")]
        assert any(cookie.startswith(f"{app.config['SESSION_COOKIE_NAME']}=") for cookie in cookies)
        return "; ".join(cookies), links.token_for("bob@example.org", None)


def rows(app: Flask) -> list[str]:
    """All that the database holds, if there is one."""
    if "sqlalchemy" not in app.extensions:
        return []
    with sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///")) as connection:
        held = list(connection.iterdump())
    connection.close()
    return held


def seen(app: Flask, response: TestResponse) -> tuple[int, str | None, Any]:
    """What a visitor gets: the status, where it leads, and the session that the browser has then."""
    lines = [line.partition(";")[0] for line in response.headers.getlist("Set-Cookie")]
    cookies = parse_cookie("; ".join(lines))
    session = cookies.get(app.config["SESSION_COOKIE_NAME"])
    serializer = app.session_interface.get_signing_serializer(app)
    return response.status_code, response.location, session and serializer.loads(session)


def variants() -> Iterator[dict[str, Any]]:
    """How HEAD is asked: with nothing, with a form, and the same from another site's page."""
    forms = [
        {"email": "ann@example.org", "password": PASSWORD, "current": PASSWORD, "session": each} for each in ACTIONS
    ]
    for headers in ({}, {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}):
        yield {"headers": headers, "data": None}
        for form in forms:
            yield {"headers": headers, "data": form}
            yield {"headers": headers, "data": form | {"email": "eve@example.org", "password": "copper 97 meadow kite"}}


def main() -> None:
    app = create_app()
    cookie, token = with_account(app)
    client = app.test_client(use_cookies=False)
    before = rows(app)
    for rule in app.url_map.iter_rules():
        if not {"GET", "HEAD"} <= (rule.methods or set()):
            continue
        path = rule.rule.replace("<path:filename>", "style.css")
        print(path)
        for given in {"", cookie}:
            asked = {"base_url": URL, "query_string": {"token": token}}
            with_get = seen(app, client.get(path, **asked, headers={"Cookie": given}))
            for variant in variants():
                sent = variant | {"headers": {"Cookie": given} | variant["headers"]}
                response = client.head(path, **asked, **sent)
                if (with_head := seen(app, response)) != with_get:
                    print(f"WRONG: {path} GET {with_get}, HEAD {with_head} with {variant}")
                if rows(app) != before:
                    sys.exit(f"WRONG: HEAD of {path} with {variant} has changed the database, or mailed")


main()
