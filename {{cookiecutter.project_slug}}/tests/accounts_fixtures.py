"""Accounts in tests: what would be mailed, and a browser that has signed in."""

import re
from dataclasses import dataclass
from email.message import EmailMessage
from importlib import import_module
from types import ModuleType

import pytest
from flask import Flask
from flask.testing import FlaskClient

EMAIL, PASSWORD = "ann@example.org", "violet tram 41 harbour"


@dataclass
class Mailbox:
    """The mails that would be sent: `mailbox.to("ann@example.org")` has the texts to an address."""

    app: Flask
    sent: list[tuple[str, EmailMessage]]

    def to(self, email: str) -> list[str]:
        """Send what waits in the outbox, and give back the texts to `email`, the last one last."""
        outbox = import_module(f"{self.app.import_name}.accounts.outbox")
        with self.app.app_context():
            outbox.send_due()
        return [message.get_content() for recipient, message in self.sent if recipient == email]

    def token(self, email: str) -> str:
        """The token of the link in the last mail to `email`."""
        found = re.search(r"https?://\S+#(\S+)", self.to(email)[-1])
        assert found is not None
        return found[1]


@pytest.fixture(autouse=True)
def no_sender(service: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread sends mail, in no environment: it would use a database that its test has left."""
    outbox = import_module(f"{service.__name__}.accounts.outbox")
    monkeypatch.setattr(outbox.Sender, "start", lambda sender: None)


@pytest.fixture
def mailbox(app: Flask, service: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    """Keeps the mails in the place of a mail server."""
    mailbox = Mailbox(app, [])
    mail = import_module(f"{service.__name__}.accounts.mail")

    def deliver(config: object, message: EmailMessage, recipient: str) -> None:
        mailbox.sent.append((recipient, message))

    monkeypatch.setattr(mail, "deliver", deliver)
    app.config["MAIL_URL"] = "smtp://localhost"
    app.extensions["mailbox"] = mailbox
    return mailbox


@pytest.fixture
def signed_in(client: FlaskClient, mailbox: Mailbox) -> FlaskClient:
    """A browser that has signed in to a new account, whose address is EMAIL."""
    client.post("/accounts/sign-up", data={"email": EMAIL})
    form = {"token": mailbox.token(EMAIL), "password": PASSWORD}
    assert client.post("/accounts/choose", data=form).location == "/accounts/"
    return client
