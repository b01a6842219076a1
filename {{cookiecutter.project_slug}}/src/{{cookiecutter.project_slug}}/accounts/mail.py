"""Mail, and the links in it: signed with the ring of keys, for an hour, and void after a change of the account."""

import logging
import smtplib
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote, urlsplit

from flask import current_app
from itsdangerous import BadData, URLSafeTimedSerializer

from .models import Account, account_of

log = logging.getLogger(__name__)
sender = ThreadPoolExecutor(2, "mail")  # a visitor does not wait, and can't tell from the time whether one was sent


def serializer() -> URLSafeTimedSerializer:
    """It signs with the last key: so the older ones come first, and the current one last."""
    config = current_app.config
    return URLSafeTimedSerializer([*config["SECRET_KEY_FALLBACKS"], config["SECRET_KEY"]], salt="accounts.links")


def token_for(email: str, user: Account | None) -> str:
    """What a link to choose a password holds; without a `user`, the account is made by it."""
    return str(serializer().dumps((email, user.stamp if user else "")))


def read(token: str) -> tuple[str, Account | None] | None:
    """The address and the account of a link; None when it is forged, expired or used."""
    try:
        email, stamp = serializer().loads(token, max_age=60 * 60)  # an hour
    except BadData:
        return None
    user = account_of(email)
    return (email, user) if stamp == (user.stamp if user else "") else None


def send(recipient: str, subject: str, text: str) -> None:
    """Send a mail to `recipient`, a normal address: by MAIL_URL, else to the terminal in development."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = current_app.config["MAIL_FROM"], recipient, subject
    message.set_content(text)
    if url := current_app.config["MAIL_URL"]:
        sender.submit(deliver, urlsplit(str(url)), message)
    elif current_app.debug:
        print(f"\n{recipient}: {subject}\n\n{text}")
    else:
        log.error("a mail was not sent: MAIL_URL is not set")  # and not what it says, which opens an account


def deliver(url: SplitResult, message: EmailMessage) -> None:
    """Send `message` by the server at `url`: smtp://user:password@host, or smtps:// for TLS from the start."""
    smtp, port = (smtplib.SMTP_SSL, 465) if url.scheme == "smtps" else (smtplib.SMTP, 587)
    try:
        with smtp(url.hostname or "", url.port or port, timeout=20) as server:
            if url.scheme == "smtp" and url.hostname not in ("localhost", "127.0.0.1"):
                server.starttls()
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
            server.send_message(message)
    except (OSError, ValueError) as error:
        log.error("a mail was not sent by %s: %s", url.hostname, error)
