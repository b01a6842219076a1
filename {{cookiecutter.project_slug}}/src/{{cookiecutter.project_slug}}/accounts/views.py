"""The pages. What depends on whether an address has an account is sent to it by mail, never shown."""

from functools import partial

from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue as View
from flask_limiter import Limiter
from sqlalchemy.exc import IntegrityError

from ..database import db
from . import mail, passwords, required_user, start_session
from .models import Account, account_of, new_stamp, normal

DONE = {"change": "Your password is changed, and other browsers are signed out.", "delete": "Your account is deleted."}

bp = Blueprint("accounts", __name__, url_prefix="/accounts")
limiter = Limiter(lambda: request.remote_addr or "", headers_enabled=True, in_memory_fallback_enabled=True)


def account() -> str:
    return normal(request.form.get("email", "")) or str(request.remote_addr)


limit = partial(limiter.shared_limit, methods=["POST"], error_message="Too many attempts. Wait a while and try again.")
by_address = limit("30 per 15 minutes", scope="address")
guesses = limit("10 per 15 minutes", scope="guesses", key_func=account, deduct_when=lambda it: it.status_code == 422)
mails = limit("5 per hour", scope="mails", key_func=account, deduct_when=lambda it: it.status_code == 200)


def form(page: str, **errors: str) -> View:
    """The page with its form; with 422 and the errors beside their fields, where there are some."""
    return render_template(f"accounts/{page}.html", errors=errors), 422 if errors else 200


@bp.route("/sign-in", methods=["GET", "POST"])
@by_address
@guesses
def sign_in() -> View:
    if request.method == "GET":
        return form("sign_in")
    user = account_of(normal(request.form["email"]))
    if not passwords.is_right(user, request.form["password"]) or user is None:
        return form("sign_in", password="The address or the password is wrong.")  # noqa: S106
    db.session.commit()  # of a password that was hashed anew
    start_session(user)
    target = request.args.get("next", "")
    is_own = target.startswith("/") and not target.startswith("//") and target.isprintable() and "\\" not in target
    return redirect(target if is_own else url_for(".show"))


@bp.route("/sign-up", methods=["GET", "POST"], defaults={"page": "sign_up"})
@bp.route("/reset", methods=["GET", "POST"], defaults={"page": "reset"})
@by_address
@mails
def ask(page: str) -> View:
    """Send a link to the address in the form, whether it has an account or not: the page and its time are the same."""
    if request.method == "GET":
        return form(page)
    if not (email := normal(request.form["email"])):
        return form(page, email="This is not an address. It looks like ann@example.org, in letters without accents.")
    user, service = account_of(email), current_app.config["SERVICE_NAME"]
    link = url_for(".choose", token=mail.token_for(email, user), _external=True)
    text = f"By this link you {'choose a new password' if user else 'make an account'}:\n\n{link}\n\n"
    text += "It is good for an hour, and once. If you did not ask for it, you need not do anything.\n"
    mail.send(email, " ".join(f"Your account at {service}".split()), text)
    return render_template("accounts/sent.html", email=email)


@bp.route("/choose", methods=["GET", "POST"])
@by_address
def choose() -> View:
    """Choose a password, by a link from a mail: for a new account, or for one whose password is forgotten."""
    if (link := mail.read(request.args.get("token", ""))) is None:
        flash("This link has expired or has been used. Ask for another one.")
        return redirect(url_for(".ask", page="reset"))
    email, user = link
    if request.method == "GET":
        return form("choose")
    if problem := passwords.problem(request.form["password"], email):
        return form("choose", password=problem)
    user = user or Account(email=email)
    db.session.add(user)
    passwords.change(user, request.form["password"])
    try:
        db.session.commit()
    except IntegrityError:  # the link was used twice at the same moment
        return redirect(url_for(".sign_in"))
    start_session(user)
    return redirect(url_for(".show"))


@bp.route("/", methods=["GET", "POST"])
@by_address
def show() -> View:
    """The account's own page: change the password, sign out, delete it."""
    user, action = required_user(), request.form.get("action", "")
    if request.method == "GET":
        return form("show")
    if action in ("change", "delete") and not passwords.is_right(user, request.form["current"]):
        return form("show", **{action: "This is not your password."})
    if action == "change" and (problem := passwords.problem(request.form["password"], user.email)):
        return form("show", password=problem)
    if action == "change":
        passwords.change(user, request.form["password"])
    elif action == "delete":
        db.session.delete(user)
    elif action == "everywhere":
        user.stamp = new_stamp()
    db.session.commit()
    start_session(user) if action == "change" else session.clear()
    flash(DONE.get(action, "You are signed out."))
    return redirect(url_for(".show" if action == "change" else ".sign_in"))
