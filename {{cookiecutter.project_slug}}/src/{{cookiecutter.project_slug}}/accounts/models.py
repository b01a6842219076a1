"""The tables: accounts, their sessions, addresses of accounts just deleted, and waiting mails."""

import re
import secrets

from sqlalchemy import BigInteger, ForeignKey, String, select
from sqlalchemy.orm import Mapped, mapped_column

from ..database import Model, db

ATOM = r"[a-z0-9#$&'*+/=^_`{|}~-]+"
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
TOP_LABEL = r"[a-z]([a-z0-9-]{0,61}[a-z0-9])"  # of letters first, so that no IP address is a name
ADDRESS = re.compile(rf"(?=[^@]{{1,64}}@){ATOM}(\.{ATOM})*@({LABEL}\.)+{TOP_LABEL}")


def new_stamp() -> str:
    """A random value that sessions, links and device cookies hold; another one ends them all."""
    return secrets.token_urlsafe(16)


class Account(Model):
    """Someone who can sign in. `email` is as `normal` gives it.

    `stamp` is the row's version: an UPDATE or DELETE of an account that another request has changed
    in the meantime raises sqlalchemy.orm.exc.StaleDataError.
    """

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    stamp: Mapped[str] = mapped_column(String(22), default=new_stamp)
    locked: Mapped[int | None] = mapped_column(BigInteger)  # since when, in seconds since 1970

    __mapper_args__ = {"version_id_col": stamp, "version_id_generator": False}  # noqa: RUF012


def of_account() -> ForeignKey:
    """What refers to an account says what a deletion does to it: a test asks every table."""
    return ForeignKey("account.id", ondelete="CASCADE")


class AccountSession(Model):
    """A browser in which an account has signed in. Times are seconds since 1970."""

    __tablename__ = "account_session"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    account_id: Mapped[int] = mapped_column(of_account(), index=True)
    stamp: Mapped[str] = mapped_column(String(22))  # the account's, when the session began
    began: Mapped[int] = mapped_column(BigInteger, index=True)
    used: Mapped[int] = mapped_column(BigInteger, index=True)  # not more often than once a minute
    browser: Mapped[str] = mapped_column(String(50))


class AccountDeletion(Model):
    """An address whose account was deleted: links that were mailed before make no new one."""

    __tablename__ = "account_deletion"

    email_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[int] = mapped_column(BigInteger, index=True)  # milliseconds since 1970


class Mail(Model):
    """A mail that waits, or that was given up. It has no text and no token: see outbox.py.

    Times are seconds since 1970.
    """

    __tablename__ = "account_mail"

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient: Mapped[str] = mapped_column(String(254))
    purpose: Mapped[str] = mapped_column(String(50))
    about: Mapped[str] = mapped_column(String(254))  # such as the number of an invoice
    account_id: Mapped[int | None] = mapped_column(of_account(), index=True)
    asked: Mapped[int] = mapped_column(BigInteger)
    due: Mapped[int] = mapped_column(BigInteger, index=True)  # when it may be tried next
    expires: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column()
    failure: Mapped[str | None] = mapped_column(String(100))  # why it was given up

    @property
    def reference(self) -> str:
        """What names the mail in logs and in its Message-ID."""
        return f"{self.purpose}-{self.id}-{self.asked}"


def normal(email: str) -> str:
    """The address in the form in which accounts have it; "" for what is none.

    It is a dot-atom and the name of a host (RFC 5321, 4.1.2), in ASCII: other letters look like
    these (CVE-2019-19844). Three characters that the RFC allows are rejected, because a mail to
    them can go elsewhere: `?`, without which there is no encoded word (RFC 2047), and `%` and `!`,
    by which some servers route (RFC 5321, appendix F.2).
    """
    email = email.strip().lower()
    is_address = ADDRESS.fullmatch(email) is not None and len(email) <= 254
    return email if is_address else ""


def account_of(email: str) -> Account | None:
    """The account with this normal address."""
    return db.session.scalar(select(Account).where(Account.email == email))
