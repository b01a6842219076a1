"""What the mails of accounts say. Each is made when it is sent."""

from flask import current_app

from ..database import db
from . import addresses, links
from .models import Account, Mail, account_of
from .outbox import Text, letter
from .service_url import external_url

ONCE = "The link works once, within an hour. If you did not ask for it, ignore this mail."
NOT_YOU = "If that was not you, choose a new password now:"


def subject(deed: str) -> str:
    """The subject of a mail, with the service's name in it."""
    return f"{deed} - {current_app.config['SERVICE_NAME']}"


@letter("link")
def link_to_choose(mail: Mail) -> Text | None:
    """A link to choose a password: for an account, or to make one."""
    user = account_of(mail.recipient)
    if user is not None and user.locked:
        return None
    deed = "Choose a new password" if user else "Create your account"
    link = external_url("accounts.choose", token=links.token_for(mail.recipient, user))
    return Text(subject(deed), f"{deed} with this link:\n\n{link}\n\n{ONCE}\n")


@letter("new-address")
def link_to_confirm(mail: Mail) -> Text | None:
    """A link that makes this address the one of an account; none if it has an account itself."""
    user = db.session.get(Account, mail.account_id)
    if user is None or account_of(mail.recipient) is not None:
        return None
    token = addresses.token_for(user, mail.recipient)
    link = external_url("accounts.confirm_address", token=token)
    text = f"Confirm that this is the new address of your account:\n\n{link}\n\n{ONCE}\n"
    return Text(subject("Confirm your address"), text)


@letter("address-changed")
def notice_of_address(mail: Mail) -> Text:
    text = "Your account now has another address.\n\n"
    text += "If that was not you, ask the operators of this service for help.\n"
    return Text(subject("Your address was changed"), text)


@letter("password-changed")
def notice_of_password(mail: Mail) -> Text:
    link = external_url("accounts.reset")
    text = f"The password of your account was changed.\n\n{NOT_YOU}\n\n{link}\n"
    return Text(subject("Your password was changed"), text)


@letter("new-browser")
def notice_of_browser(mail: Mail) -> Text:
    """`about` has the browser in words of ours."""
    link = external_url("accounts.reset")
    text = f"A new browser has signed in to your account: {mail.about}.\n\n{NOT_YOU}\n\n{link}\n"
    return Text(subject("A new sign-in"), text)
