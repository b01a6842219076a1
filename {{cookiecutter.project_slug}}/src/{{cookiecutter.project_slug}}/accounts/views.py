"""The pages for visitors who have not signed in.

Whether an address has an account is never shown: what depends on it goes to the address by mail.
Each action has a view of its own that takes POST only. Flask routes HEAD to every view for GET,
past the limits and past the rule for cross-site requests.
"""

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue as View

from ..database import db
from . import guesses, limits, links, outbox, passwords
from .forms import NO_ADDRESS, bp, changed_meanwhile, field, show
from .limits import Count
from .models import Account, normal
from .sessions import commit, end_current, start_session


@bp.get("/sign-in")
def sign_in() -> View:
    return show("sign_in")


@bp.post("/sign-in")
def sign_in_with_password() -> View:
    user = guesses.account_with(normal(field("email")), field("password"))
    if user is None:
        return show("sign_in", {"password": "The address or the password is wrong."})
    if not start_session(user):
        return changed_meanwhile()
    target = request.args.get("next", "")
    return redirect(target if is_own_path(target) else url_for(".account"))


def is_own_path(target: str) -> bool:
    """Whether `target` is a path of this service, which every browser reads as one."""
    is_path = target.startswith("/") and not target.startswith("//")
    return is_path and target.isprintable() and "\\" not in target


@bp.post("/sign-out")
def sign_out() -> View:
    end_current()
    commit()
    flash("You are signed out.")
    return redirect(url_for(".sign_in"))


@bp.get("/sign-up")
def sign_up() -> View:
    return show("sign_up")


@bp.get("/reset")
def reset() -> View:
    return show("reset")


@bp.post("/sign-up")
def ask_to_sign_up() -> View:
    return ask("sign_up")


@bp.post("/reset")
def ask_to_reset() -> View:
    return ask("reset")


def ask(page: str) -> View:
    """Send a link to the address in the form, whether it has an account or not.

    The page and its time are the same for both.
    """
    email = normal(field("email"))
    if not email:
        return show(page, {"email": NO_ADDRESS})
    to_address = Count("mails-to-address", limits.MAILS_TO_ADDRESS, email)
    of_network = Count("mails-of-network", limits.MAILS_OF_NETWORK, limits.network())
    with limits.attempt(to_address, of_network):
        outbox.put("link", email, lifetime=outbox.HOUR)
        db.session.commit()
    return show("sent", email=email)


@bp.get("/choose")
def choose() -> View:
    """The page that a mailed link leads to. The token is behind its `#`, for the browser alone."""
    return show("choose")


@bp.post("/choose")
def choose_password() -> View:
    """Create an account, or give one that exists a new password, by a link from a mail."""
    token, password = field("token").strip(), field("password")
    with limits.attempt(Count("links-of-network", limits.LINKS_OF_NETWORK, limits.network())):
        link = links.read(token)
        if link is None:
            return expired()
        problem = passwords.problem(password, link.email)
        if problem:
            return show("choose", {"password": problem}, token=token)
        db.session.rollback()  # a hash waits for its turn without a connection
        password_hash = passwords.make_hash(password)
    return choose_hash(token, password_hash)


def choose_hash(token: str, password_hash: str) -> View:
    """The second half of it, once the hash is made: the link may have been used in the meantime."""
    link = links.read(token)
    if link is None:
        return expired()
    user = link.user or Account(email=link.email)
    db.session.add(user)
    passwords.assign(user, password_hash)
    is_new = link.user is None
    if not is_new:
        outbox.put("password-changed", user.email, user=user)
    if not start_session(user, alone=True, is_expected=True):
        return changed_meanwhile()
    return redirect(url_for(".account"))


def expired() -> View:
    flash("This link has expired or has been used. Ask for another one.")
    return redirect(url_for(".reset"))
