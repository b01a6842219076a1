"""Sessions that survive a rotation: what an older key signed is re-signed with the current key.

Flask verifies with older keys, but writes a cookie only if a view changes the session; a visitor
who only reads would be logged out when the older key is retired.
"""

import logging
import time

from flask import Flask, Request, Response
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadData

log = logging.getLogger(__name__)

QUIET = 60  # seconds between two lines: a flood of forged cookies must not fill the log


class FallbackSession(SecureCookieSession):
    """A session that a fallback key verified."""


class SessionInterface(SecureCookieSessionInterface):
    """Flask's sessions, re-signed after a rotation; rejected ones are counted in the log."""

    rejected = 0  # since the last line in the log
    logged = float("-inf")

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        cookie = request.cookies.get(self.get_cookie_name(app), "")
        if app.secret_key and not cookie:
            return self.session_class()  # without a serializer, which takes a while to make
        serializer = self.get_signing_serializer(app)
        if serializer is None:
            return None  # Flask's NullSession, which start-up rules out
        max_age = int(app.permanent_session_lifetime.total_seconds())
        *fallbacks, current = serializer.secret_keys
        # The current key alone first: a cookie that it signed is verified as often as in Flask.
        for keys, session_class in (([current], self.session_class), (fallbacks, FallbackSession)):
            if not keys:
                continue
            serializer.secret_keys = keys
            try:
                return session_class(serializer.loads(cookie, max_age=max_age))
            except BadData:
                continue
        return self.reject()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if isinstance(session, FallbackSession):
            # A shared cache would keep the cookie, and give it to others.
            session.modified = session.modified or not response.cache_control.public
        super().save_session(app, session, response)

    def reject(self) -> SecureCookieSession:
        """An empty session in the place of a cookie that is not valid, and a line in the log."""
        self.rejected += 1
        if time.monotonic() - self.logged >= QUIET:
            reasons = "forged, expired, signed with another key or by a clock that is ahead"
            log.warning("%d sessions rejected: %s", self.rejected, reasons)
            self.rejected = 0
            self.logged = time.monotonic()
        return self.session_class()


def init_app(app: Flask) -> None:
    """Let `app` keep its sessions through a rotation.

    An interface that is not Flask's stays, such as Flask-Session's, whose data is on the server.
    """
    if type(app.session_interface) is SecureCookieSessionInterface:
        app.session_interface = SessionInterface()
