"""Accounts as tests use them: the service under gunicorn, a mail server, and visitors."""

import http.client
import random
import re
import secrets
import shutil
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from servers import until
from support import SLUG, Project, clean_environ, free_port, production, run, serve

PASSWORD, OTHER = "violet tram 41 harbour", "copper 97 meadow kite"
MAILS: dict[str, list[str]] = {}


class Inbox(MessageHandler):
    """Keeps the texts of mails, by their recipients."""

    def handle_message(self, message: Message) -> None:
        assert message["From"]
        MAILS.setdefault(message["To"], []).append(str(message.get_payload(decode=True), "utf-8"))  # type: ignore[arg-type]


@contextmanager
def smtp_server(handler: object, **options: Any) -> Iterator[str]:
    """A mail server on this machine; gives its URL."""
    controller = Controller(handler, **{"hostname": "127.0.0.1", "port": free_port()} | options)
    controller.start()
    yield f"smtp://{controller.hostname}:{controller.port}"
    controller.stop()


@contextmanager
def service(accounts: Project, folder: Path, smtp: str, **more: str) -> Iterator[str]:
    """The service in production, on SQLite, with two workers behind what counts as a reverse proxy."""
    folder.mkdir(exist_ok=True)
    shutil.copy(accounts.path / "gunicorn.conf.py", folder)
    shutil.copy(accounts.path / ".flaskenv", folder)
    port = free_port()
    base = production(DATABASE_URL=f"sqlite:///{folder}/accounts.sqlite", MAIL_URL=smtp, TRUSTED_PROXIES="1")
    env = clean_environ(**base | {"WEB_CONCURRENCY": "2"} | more)
    if "CREDENTIALS_DIRECTORY" in more:
        del env["SECRET_KEY"]
    if not Path(env["DATABASE_URL"].removeprefix("sqlite:///")).exists():
        run(accounts.program("flask"), "--app", SLUG, "db", "upgrade", cwd=folder, env=env)
    with serve([accounts.program("gunicorn"), f"--bind=127.0.0.1:{port}"], port, folder, env) as address:
        yield address


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.text = response.status, response.headers, response.read().decode()


class Visitor:
    """A browser at an address of its own, with cookies and without JavaScript."""

    def __init__(self, service: str, ip: str = "") -> None:
        self.host = urllib.parse.urlsplit(service).netloc
        self.ip = ip or f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}"  # noqa: S311
        self.cookies: dict[str, str] = {}
        self.host_header = ""  # another one than that of the connection

    def ask(self, path: str, form: dict[str, str] | None = None, **fields: str) -> Answer:
        """GET, or POST where there is a form."""
        form = (form or {}) | fields
        connection = http.client.HTTPConnection(self.host, timeout=30)
        headers = {"X-Forwarded-For": self.ip, "X-Forwarded-Proto": "https", "Accept": "text/html"}
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if self.host_header:
            headers["Host"] = self.host_header
        body = urllib.parse.urlencode(form) if form else None
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("POST" if form else "GET", path, body=body, headers=headers)
        answer = Answer(connection.getresponse())
        connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            assert all(flag in line for flag in ("Secure", "HttpOnly", "SameSite=Lax", "__Host-"))
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def sign_in(self, email: str, password: str = PASSWORD, target: str = "") -> Answer:
        return self.ask(f"/accounts/sign-in{target}", email=email, password=password)

    def is_signed_in(self) -> bool:
        return self.ask("/accounts/").status == 200

    def post(self, path: str, **fields: str) -> Answer:
        """POST, also of a form without fields."""
        return self.ask(path, {"submit": ""}, **fields)

    def link(self, email: str, page: str = "sign-up") -> str:
        """The token of the link in the mail that a page sends."""
        before = len(links_to(email))
        assert self.ask(f"/accounts/{page}", email=email).status == 200
        until(lambda: len(links_to(email)) > before, "no mail came")
        return token_in(links_to(email)[-1])

    def choose(self, token: str, password: str = PASSWORD, **more: str) -> Answer:
        """What the page of a link posts."""
        return self.ask("/accounts/choose", token=token, password=password, **more)

    def sign_up(self, email: str, password: str = PASSWORD) -> "Visitor":
        assert self.choose(self.link(email), password).headers["Location"] == "/accounts/"
        return self

    def sign_out_elsewhere(self, password: str = PASSWORD) -> Answer:
        return self.ask("/accounts/browsers", session="everywhere", current=password)


def links_to(email: str) -> list[str]:
    """The mails to an address that have a link, without the notices."""
    return [text for text in MAILS.get(email, []) if "#" in text]


def token_in(text: str) -> str:
    """The token in the text of a mail. It stands where no log has it."""
    found = re.search(r"https?://[^/]+/accounts/choose#(\S+)", text)
    assert found is not None, text
    return found[1]


def someone() -> str:
    return f"ann.{secrets.token_hex(4)}@example.org"
