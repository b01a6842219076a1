"""Sessions that survive a rotation: one that an older key signed is re-signed with the current key, unlike in Flask."""

import logging
import time

from flask import Flask, Request, Response
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadData

log = logging.getLogger(__name__)


class FallbackSession(SecureCookieSession):
    """A session that a fallback key verified."""


class SessionInterface(SecureCookieSessionInterface):
    """Flask's sessions, re-signed after a rotation; rejected ones are counted in the log."""

    rejected = 0  # since the last line in the log
    logged = float("-inf")

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        serializer = self.get_signing_serializer(app)
        cookie = request.cookies.get(self.get_cookie_name(app))
        if serializer is None or not cookie:
            return None if serializer is None else self.session_class()  # None: Flask's NullSession
        max_age = int(app.permanent_session_lifetime.total_seconds())
        *fallbacks, current = serializer.secret_keys
        # The current key alone first: then a cookie that it signed is verified as often as in Flask.
        for keys, session_class in (([current], self.session_class), (fallbacks, FallbackSession)):
            serializer.secret_keys = keys
            try:
                return session_class(serializer.loads(cookie, max_age=max_age)) if keys else self.reject()
            except BadData:
                pass
        return self.reject()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if isinstance(session, FallbackSession) and not response.cache_control.public:  # which shared caches keep
            session.modified = True
        super().save_session(app, session, response)

    def reject(self) -> SecureCookieSession:
        """An empty session in the place of a cookie that is forged, expired or of another key."""
        self.rejected += 1
        if time.monotonic() - self.logged >= 60:  # a flood of forged cookies must not fill the log
            log.warning("%d sessions rejected: forged, expired or signed with another key", self.rejected)
            self.rejected, self.logged = 0, time.monotonic()
        return self.session_class()
