"""The table of accounts."""

import re
import secrets

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from ..database import Model, db


def new_stamp() -> str:
    """A random value that sessions and links hold; another one ends them all."""
    return secrets.token_urlsafe(16)


class Account(Model):
    """Someone who can sign in. `email` is as `normal` gives it."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    stamp: Mapped[str] = mapped_column(String(22), default=new_stamp)


def normal(email: str) -> str:
    """The address in the form in which accounts have it; "" for what is none."""
    email = email.strip().lower() if email.isascii() else ""  # other letters look like these (CVE-2019-19844)
    form = r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}"  # HTML's
    return email if len(email) <= 254 and re.fullmatch(form, email) else ""


def account_of(email: str) -> Account | None:
    """The account with this normal address."""
    return db.session.scalar(select(Account).where(Account.email == email))
