"""Sessions that outlive a rotation: one that an older key signed is signed anew with the current key.

Flask verifies with SECRET_KEY_FALLBACKS but leaves the old signature in the browser, so that
retiring the old key would log out people who use the service every day.
"""

import logging
from collections import Counter

from flask import Flask, Request, Response
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

log = logging.getLogger(__name__)


class FallbackSession(SecureCookieSession):
    """A session that a fallback key verified."""


class RingSessionInterface(SecureCookieSessionInterface):
    """Flask's own sessions; `counts` tells how often one was rejected, or verified by a fallback key.

    A cookie that the current key signed is verified as often as in Flask: once.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        cookie = request.cookies.get(self.get_cookie_name(app))
        if not cookie:
            return self.session_class()
        max_age = int(app.permanent_session_lifetime.total_seconds())
        fallbacks = app.config["SECRET_KEY_FALLBACKS"]
        try:
            return self.session_class(self.serializer_for(app, [app.config["SECRET_KEY"]]).loads(cookie, max_age))
        except SignatureExpired:
            return self.rejected("expired")
        except BadSignature:
            if not fallbacks:
                return self.rejected("bad signature")
        try:
            session = FallbackSession(self.serializer_for(app, fallbacks).loads(cookie, max_age))
        except SignatureExpired:
            return self.rejected("expired")
        except BadSignature:
            return self.rejected("bad signature")
        self.counts["fallback"] += 1
        log.info("session verified by a fallback key")
        return session

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        # A shared cache may keep a public answer, and would hand the cookie to others.
        if isinstance(session, FallbackSession) and not response.cache_control.public:
            session.modified = True  # so it is written in this answer, with the current key and Vary: Cookie
        super().save_session(app, session, response)

    def rejected(self, why: str) -> SecureCookieSession:
        """An empty session in the place of a cookie that is not accepted."""
        self.counts["rejected"] += 1
        log.warning("session rejected: %s", why)
        return self.session_class()

    def serializer_for(self, app: Flask, keys: list[str | bytes]) -> URLSafeTimedSerializer:
        """Flask's serializer, with `keys` alone."""
        return URLSafeTimedSerializer(
            keys,  # type: ignore[arg-type]  # text and bytes together, as Flask gives them
            salt=self.salt,
            serializer=self.serializer,
            signer_kwargs={"key_derivation": self.key_derivation, "digest_method": self.digest_method},
        )
