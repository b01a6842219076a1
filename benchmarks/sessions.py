"""What reading a session costs a request, against bare Flask with the same list of fallback keys."""

import logging
import secrets
import sys
from functools import partial
from pathlib import Path

from flask import Flask, session
from measure import compare, finish, request_seconds
from werkzeug.test import EnvironBuilder

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "{{cookiecutter.project_slug}}" / "src"))

from flask_secure.sessions import SessionInterface

LIMIT = 1.02  # for a valid cookie; the others are stated
REQUESTS, ROUNDS = 50, 201


def application(keys: list[str], ours: bool) -> Flask:
    """A page that reads its session; the last of `keys` signs."""
    app = Flask("bench")
    app.config.update(SECRET_KEY=keys[-1], SECRET_KEY_FALLBACKS=keys[:-1])
    if ours:
        app.session_interface = SessionInterface()
    app.add_url_rule("/", view_func=lambda: str(session.get("n")), endpoint="index")
    return app


def cookie(key: str) -> str:
    signer = application([key], ours=False)
    return signer.session_interface.get_signing_serializer(signer).dumps({"n": 7})


if __name__ == "__main__":
    logging.disable()
    good = []
    for count in (0, 1, 3, 8):
        keys = [secrets.token_hex(32) for _ in range(count + 1)]
        ours, bare = application(keys, ours=True), application(keys, ours=False)
        cookies = {"valid": cookie(keys[-1]), "old-key": cookie(keys[0]), "forged": cookie("x" * 32)}
        for kind, value in cookies.items():
            if kind == "old-key" and not count:
                continue
            environ = EnvironBuilder(headers={"Cookie": f"session={value}"}).get_environ()
            subject, base = (partial(request_seconds, app, environ, REQUESTS) for app in (ours, bare))
            limit = LIMIT if kind == "valid" else None
            good.append(compare(f"{count} fallbacks, {kind} cookie", subject, base, limit, ROUNDS))
    finish(*good)
