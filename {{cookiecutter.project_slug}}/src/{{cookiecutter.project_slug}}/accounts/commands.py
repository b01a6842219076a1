"""`flask accounts` and `flask mail`: what an operator does. No output has a secret."""

import time
from datetime import UTC, datetime

import click
import sqlalchemy as sa
from flask import Flask
from flask.cli import AppGroup

from ..database import db
from . import browsers, links, outbox
from .models import Account, AccountSession, Mail, account_of, new_stamp, normal
from .sessions import commit

accounts = AppGroup("accounts", help="List accounts, lock and delete them, end their sessions.")
mail = AppGroup("mail", help="Show what waits in the outbox and what was given up, and send it.")
email_argument = click.argument("email")


def init_app(app: Flask) -> None:
    """Give `flask` the commands."""
    app.cli.add_command(accounts)
    app.cli.add_command(mail)


def find(email: str) -> Account:
    """The account with this address. Raises click.ClickException."""
    user = account_of(normal(email))
    if user is None:
        raise click.ClickException(f"no account has the address {email!r}: flask accounts list")
    return user


def finish(done: str) -> None:
    """Commit, and say what was done."""
    if not commit():
        raise click.ClickException("the account was changed in the meantime, run it again")
    click.echo(done)


def day_and_time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


@accounts.command("list")
def list_accounts() -> None:
    """Every account: its address, its sessions, and whether it is locked."""
    query = sa.select(Account.email, Account.locked, sa.func.count(AccountSession.id))
    query = query.outerjoin(AccountSession).group_by(Account.id).order_by(Account.email)
    for email, locked, count in db.session.execute(query):
        state = f", locked since {day_and_time(locked)}" if locked else ""
        click.echo(f"{email}: {count} sessions{state}")


@accounts.command()
@email_argument
def lock(email: str) -> None:
    """Sign an account out everywhere, and reject further sign-ins."""
    user = find(email)
    user.locked = int(time.time())
    user.stamp = new_stamp()
    browsers.end_all(user)
    finish(f"{user.email} is locked")


@accounts.command()
@email_argument
def unlock(email: str) -> None:
    """Let an account sign in again."""
    user = find(email)
    user.locked = None
    finish(f"{user.email} is not locked")


@accounts.command()
@email_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(email: str, yes: bool) -> None:
    """Delete an account for good."""
    user = find(email)
    if not yes:
        click.confirm(f"Delete the account {user.email} for good?", abort=True)
    links.delete(user)
    finish(f"{normal(email)} is deleted")


@accounts.command("end-sessions")
@email_argument
def end_sessions(email: str) -> None:
    """Sign an account out everywhere."""
    user = find(email)
    user.stamp = new_stamp()
    browsers.end_all(user)
    finish(f"{user.email} is signed out everywhere")


@accounts.command()
@email_argument
def reset(email: str) -> None:
    """Mail a link to choose a new password. You don't see it (ASVS 6.4.6)."""
    user = find(email)
    outbox.put("link", user.email, user=user, lifetime=outbox.HOUR)
    finish(f"a link to {user.email} is in the outbox")


@mail.command("list")
def list_mails() -> None:
    """What waits, and what was given up in the last days. The texts are nowhere."""
    for row in db.session.scalars(sa.select(Mail).order_by(Mail.due, Mail.id)):
        state = f"given up: {row.failure}" if row.failure else f"next try {day_and_time(row.due)}"
        asked = day_and_time(row.asked)
        click.echo(f"{row.reference} to {row.recipient}, asked {asked}, {state}")


@mail.command("send")
def send_mails() -> None:
    """Send what is due now. The service does that by itself."""
    click.echo(f"{outbox.send_due()} mails were tried")
