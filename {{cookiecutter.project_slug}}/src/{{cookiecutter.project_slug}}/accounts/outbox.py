"""The outbox: mails wait in a table, and a thread of each process sends them.

A row is written in the request's transaction, so what is promised is not lost, and what is rolled
back is not sent. It says to whom and what for; the text and its link are made when it is sent. A
row is leased: while one process sends it, no other does. A process that is killed with a mail in
hand leaves the lease to expire, and the mail may come twice. Your own mails go the same way: see
docs/accounts.md.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa
from flask import Flask, current_app, g
from sqlalchemy.exc import SQLAlchemyError

from ..database import db
from . import mail
from .models import Account, Mail

log = logging.getLogger(__name__)

LEASE = 90  # seconds, longer than a server may take for a mail
POLL = 5  # seconds between two looks at the table, for mails of other processes
HOUR = 60 * 60
KEPT = 7 * 24 * HOUR  # seconds for which a mail that was given up is shown
AT_ONCE = 100  # rows that are removed at a time


class Text(NamedTuple):
    """What a mail says."""

    subject: str
    text: str


# Makes the text of a row when it is sent; None if there is nothing to send any more.
Letter = Callable[[Mail], Text | None]
letters: dict[str, Letter] = {}


def letter(purpose: str) -> Callable[[Letter], Letter]:
    """Register the decorated function as what makes the texts of mails for `purpose`."""

    def register(make: Letter) -> Letter:
        letters[purpose] = make
        return make

    return register


def put(
    purpose: str,
    recipient: str,
    *,
    user: Account | None = None,
    about: str = "",
    lifetime: int = 24 * HOUR,
) -> None:
    """Put a mail for `purpose` into the outbox. It is sent once the caller has committed.

    `recipient` is a normal address. `about` says what else the text is made from, such as the
    number of an invoice; it has no secret. What can't be sent within `lifetime` seconds is given
    up. With a deleted `user` its mails go, too. Raises LookupError for a purpose without a letter.
    """
    if purpose not in letters:
        raise LookupError(f"no function is decorated with @outbox.letter({purpose!r})")
    now = int(time.time())
    row = Mail(
        recipient=recipient,
        purpose=purpose,
        about=about,
        account_id=user.id if user else None,
        asked=now,
        due=now,
        expires=now + lifetime,
        attempts=0,
    )
    db.session.add(row)
    g.account_mail = True  # which wakes the sender after the request


class Sender:
    """The thread of this process that sends what is due. It starts with the first request."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.lock = threading.Lock()
        self.started_in = 0  # the process, since a fork has none of its parent's threads
        self.wake = threading.Event()

    def start(self) -> None:
        """Start the thread, unless this process has it."""
        if self.started_in == os.getpid():
            return
        with self.lock:
            if self.started_in != os.getpid():
                self.started_in = os.getpid()
                threading.Thread(target=self.run, name="outbox", daemon=True).start()

    def run(self) -> None:
        """Send what is due, again and again, until the process ends."""
        while True:
            self.wake.clear()
            try:
                with self.app.app_context():
                    send_due()
            except Exception as error:
                if not threading.main_thread().is_alive():
                    return  # the process is ending, and a connection can't be opened any more
                log_failure(error)
            self.wake.wait(POLL)


def log_failure(error: Exception) -> None:
    """Log why nothing was sent this time."""
    if isinstance(error, SQLAlchemyError):
        log.warning("the outbox can't be read: %s", type(error).__name__)
    else:
        log.error("the outbox has failed", exc_info=error)


def init_app(app: Flask) -> None:
    """Let each process of `app` send mail. In tests nothing is sent by itself."""
    sender = Sender(app)
    if app.testing:
        return

    @app.before_request
    def start_sender() -> None:
        sender.start()

    @app.teardown_request
    def wake_sender(_: BaseException | None) -> None:
        if g.pop("account_mail", False):
            sender.wake.set()


def send_due() -> int:
    """Send the mails that are due, one after another; the number of those that were tried."""
    remove_old()
    count = 0
    while (row := lease()) is not None:
        send(row)
        count += 1
    return count


def lease() -> Mail | None:
    """Take the mail that is due first, for LEASE seconds; None if there is none.

    It is one UPDATE, so that two processes do not get the same row.
    """
    now = int(time.time())
    is_due = (Mail.due <= now) & Mail.failure.is_(None)
    first = sa.select(Mail.id).where(is_due).order_by(Mail.due, Mail.id).limit(1)
    if db.session.scalar(first) is None:  # the usual case, which writes nothing
        db.session.rollback()
        return None
    free = first.with_for_update(skip_locked=True).scalar_subquery()
    change = sa.update(Mail).where(Mail.id == free).values(due=now + LEASE)
    row = db.session.scalar(change.values(attempts=Mail.attempts + 1).returning(Mail))
    if row is not None:
        db.session.refresh(row)
        db.session.expunge(row)
    db.session.commit()
    return row


def send(row: Mail) -> None:
    """Try to send the leased `row`, and write what came of it."""
    config = current_app.config
    try:
        if time.time() >= row.expires:
            raise mail.RejectedError("it could not be sent in time")
        make = letters.get(row.purpose)
        if make is None:
            raise mail.DeferredError("it has no letter: is the module of its letter imported?")
        text = make(row)
        db.session.rollback()  # no connection waits for the mail server
        if text is not None:
            deliver(row, text)
    except mail.RejectedError as error:
        log.error("mail %s is given up: %s", row.reference, error)
        change(row, failure=str(error)[:100])
    except mail.DeferredError as error:
        later = min(5 * 2 ** (row.attempts - 1), 10 * 60)
        log.warning("mail %s is tried again in %d seconds: %s", row.reference, later, error)
        change(row, due=int(time.time()) + later)
    else:
        db.session.execute(sa.delete(Mail).where(Mail.id == row.id))
        db.session.commit()
        if config["MAIL_URL"]:
            log.info("mail %s is sent", row.reference)


def deliver(row: Mail, text: Text) -> None:
    """Send `text` by MAIL_URL; without one, print it in development."""
    config = current_app.config
    if config["MAIL_URL"]:
        message = mail.compose(config, row, text.subject, text.text)
        mail.deliver(config, message, row.recipient)
    elif current_app.debug:
        print(f"\n{row.recipient}: {text.subject}\n\n{text.text}", flush=True)
    else:
        raise mail.DeferredError("MAIL_URL is not set")


def change(row: Mail, **values: object) -> None:
    """Set columns of the row, and give its lease back."""
    db.session.execute(sa.update(Mail).where(Mail.id == row.id).values(values))
    db.session.commit()


def remove_old() -> None:
    """Remove some of the mails that were given up a while ago."""
    is_old = Mail.failure.is_not(None) & (Mail.expires < int(time.time()) - KEPT)
    numbers = db.session.scalars(sa.select(Mail.id).where(is_old).limit(AT_ONCE)).all()
    if numbers:
        db.session.execute(sa.delete(Mail).where(Mail.id.in_(numbers)))
    db.session.commit()
