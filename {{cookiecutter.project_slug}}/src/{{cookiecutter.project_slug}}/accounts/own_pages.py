"""The account's own pages. Whatever changes it asks for the password, by `account_with`."""

from flask import flash, redirect, session, url_for
from flask.typing import ResponseReturnValue as View

from ..database import db
from . import addresses, devices, guesses, limits, links, outbox, passwords
from .browsers import end_all, end_one, sessions_of
from .forms import NO_ADDRESS, bp, changed_meanwhile, field, show
from .limits import Count
from .models import new_stamp, normal
from .sessions import commit, current, end_current, forget, required_user, start_session

WRONG = {"current": "This is not your password."}


@bp.get("/")
def account() -> View:
    return show("account", user=required_user())


@bp.get("/password")
def password() -> View:
    return show("password", email=required_user().email)


@bp.post("/password")
def change_password() -> View:
    email, new = required_user().email, field("password")
    known = guesses.account_with(email, field("current"))
    if known is None:
        return show("password", WRONG, email=email)
    problem = passwords.problem(new, email)
    if problem:
        return show("password", {"password": problem}, email=email)
    commit()  # of a hash that was made again, before the next one waits for its turn
    copy = guesses.copy_of(email)
    db.session.rollback()
    password_hash = passwords.make_hash(new)
    user = guesses.unchanged(copy)
    if user is None:
        return changed_meanwhile()
    passwords.assign(user, password_hash)
    outbox.put("password-changed", user.email, user=user)
    if not start_session(user, alone=True, is_expected=True):
        return changed_meanwhile()
    flash("Your password is changed, and other browsers are signed out.")
    return redirect(url_for(".account"))


@bp.get("/address")
def address() -> View:
    return show("address", email=required_user().email)


@bp.post("/address")
def change_address() -> View:
    """Send a link to the new address. Whether it has an account already does not show."""
    email, new = required_user().email, normal(field("email"))
    user = guesses.account_with(email, field("current"))
    if user is None:
        return show("address", WRONG, email=email)
    if not new:
        return show("address", {"email": NO_ADDRESS}, email=email)
    to_address = Count("mails-to-address", limits.MAILS_TO_ADDRESS, new)
    of_network = Count("mails-of-network", limits.MAILS_OF_NETWORK, limits.network())
    with limits.attempt(to_address, of_network):
        outbox.put("new-address", new, user=user, lifetime=outbox.HOUR)
        if not commit():
            return changed_meanwhile()
    return show("sent", email=new)


@bp.get("/address/confirm")
def confirm_address() -> View:
    """The page that the link in that mail leads to. The token is behind its `#`."""
    return show("confirm_address")


@bp.post("/address/confirm")
def confirm_new_address() -> View:
    with limits.attempt(Count("links-of-network", limits.LINKS_OF_NETWORK, limits.network())):
        user = addresses.confirm(field("token").strip())
    if user is None:
        flash("This link has expired or has been used.")
        return redirect(url_for(".sign_in"))
    if not commit():
        return changed_meanwhile()
    end_current()
    commit()
    flash("Your account has its new address. Sign in with it.")
    return redirect(url_for(".sign_in"))


@bp.get("/browsers")
def browsers() -> View:
    """The browsers in which this account has signed in, each with a button that signs it out."""
    return show_browsers()


def show_browsers(errors: dict[str, str] | None = None) -> View:
    rows = sessions_of(required_user())
    return show("browsers", errors, rows=rows, current=current())


@bp.post("/browsers")
def sign_out_browser() -> View:
    """Sign out one of them, or everywhere (ASVS 7.5.2)."""
    chosen = field("session")
    user = guesses.account_with(required_user().email, field("current"))
    if user is None:
        return show_browsers(WRONG)
    if chosen == "everywhere":
        return sign_out_everywhere()
    if chosen.isascii() and chosen.isdecimal() and len(chosen) < 10:
        end_one(user, int(chosen))
    commit()
    forget()
    flash("That browser is signed out.")
    return redirect(url_for(".browsers"))


def sign_out_everywhere() -> View:
    user = required_user()
    end_all(user)
    user.stamp = new_stamp()  # which release 0.3 goes by
    devices.remember(user)
    if not commit():
        return changed_meanwhile()
    session.clear()
    forget()
    flash("You are signed out everywhere.")
    return redirect(url_for(".sign_in"))


@bp.get("/delete")
def delete() -> View:
    return show("delete", email=required_user().email)


@bp.post("/delete")
def delete_account() -> View:
    email = required_user().email
    user = guesses.account_with(email, field("current"))
    if user is None:
        return show("delete", WRONG, email=email)
    links.delete(user)
    if not commit():
        return changed_meanwhile()
    session.clear()
    forget()
    flash("Your account is deleted.")
    return redirect(url_for(".sign_in"))
