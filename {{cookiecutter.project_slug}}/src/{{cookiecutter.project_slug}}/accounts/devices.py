"""Device cookies: a browser in which an account has signed in before has a count of its own.

Strangers who guess at the account use up theirs, and do not lock its owner out. See OWASP, "Slow
Down Online Guessing Attacks with Device Cookies". The cookie signs nobody in.
"""

import secrets

from flask import Flask, current_app, g, request, request_finished
from itsdangerous import BadData
from werkzeug.wrappers import Response

import flask_secure

from .models import Account


def init_app(app: Flask) -> None:
    """Let responses of `app` set the cookie."""
    request_finished.connect(set_cookie, app)


def cookie_name() -> str:
    """That of the session, with an ending: so it keeps the prefix __Host-."""
    return f"{current_app.config['SESSION_COOKIE_NAME']}_device"


def signer() -> flask_secure.Signer:
    """The cookie is good for as long as a session's; it is signed again at each sign-in."""
    return flask_secure.signer("accounts.device", max_age=current_app.permanent_session_lifetime)


def known_device(user: Account | None) -> str:
    """The number of this browser if `user` has signed in with it before; else ""."""
    cookie = request.cookies.get(cookie_name(), "")
    if user is None or not cookie:
        return ""
    try:
        number, stamp, device = signer().loads(cookie)
    except (BadData, ValueError):
        return ""
    # Another stamp: the password has changed since, or all sessions were ended.
    return str(device) if (number, stamp) == (user.id, user.stamp) else ""


def remember(user: Account) -> None:
    """Let the response make this browser one in which `user` has signed in."""
    device = known_device(user) or secrets.token_urlsafe(16)
    g.account_device = signer().dumps([user.id, user.stamp, device])


def set_cookie(sender: Flask, response: Response) -> None:
    """Add the cookie to the finished response: clients that read one cookie find the session's."""
    value = g.pop("account_device", None)
    if value is None:
        return
    interface = sender.session_interface
    response.set_cookie(
        cookie_name(),
        value,
        max_age=sender.permanent_session_lifetime,
        path=interface.get_cookie_path(sender),
        domain=interface.get_cookie_domain(sender),
        secure=interface.get_cookie_secure(sender),
        httponly=True,
        samesite=interface.get_cookie_samesite(sender),
    )
