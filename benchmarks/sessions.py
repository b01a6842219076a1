"""What reading a session costs a request, against bare Flask with the same list of fallback keys."""

import importlib.util
import logging
import secrets
import statistics
import sys
from pathlib import Path

from flask import Flask, session
from measure import finish, request_seconds
from werkzeug.test import EnvironBuilder

RAW = "{{cookiecutter.project_slug}}"
PACKAGE = Path(__file__).resolve().parents[1] / RAW / "src" / RAW
LIMIT = 1.05
REQUESTS, ROUNDS = 400, 31


def ring_sessions() -> object:
    """The session interface of the template, as it lies there."""
    sys.dont_write_bytecode = True
    place = [str(PACKAGE)]
    spec = importlib.util.spec_from_file_location("service", PACKAGE / "__init__.py", submodule_search_locations=place)
    assert spec is not None  # noqa: S101
    assert spec.loader is not None  # noqa: S101
    sys.modules["service"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["service"])
    return importlib.import_module("service.keys.session").RingSessionInterface()


def application(keys: list[str], ours: bool) -> Flask:
    """A page that reads its session; the last of `keys` signs."""
    app = Flask("bench")
    app.config.update(SECRET_KEY=keys[-1], SECRET_KEY_FALLBACKS=keys[:-1])
    if ours:
        app.session_interface = ring_sessions()
    app.add_url_rule("/", view_func=lambda: str(session.get("n")), endpoint="index")
    return app


def cookie(key: str) -> str:
    signer = application([key], ours=False)
    return signer.session_interface.get_signing_serializer(signer).dumps({"n": 7})


def environ(value: str) -> dict[str, object]:
    """A request with that cookie, or with none."""
    return EnvironBuilder(headers={"Cookie": f"session={value}"} if value else {}).get_environ()


if __name__ == "__main__":
    logging.disable()
    good = []
    for count in (0, 1, 3, 8):
        keys = [secrets.token_hex(32) for _ in range(count + 1)]
        ours, bare = application(keys, ours=True), application(keys, ours=False)
        for kind, value in {"no": "", "a valid": cookie(keys[-1]), "a forged": cookie("x" * 32)}.items():
            pairs = []
            request = environ(value)
            for _ in range(ROUNDS):
                pairs.append((request_seconds(ours, request, REQUESTS), request_seconds(bare, request, REQUESTS)))
            ratio = statistics.median(a / b for a, b in pairs)
            mine, theirs = (statistics.median(each) * 1e6 for each in zip(*pairs, strict=True))
            limited = kind != "a forged"
            verdict = ("ok" if ratio <= LIMIT else "TOO SLOW") if limited else "no limit"
            print(f"{count} fallbacks, {kind} cookie: {ratio:.3f}x ({verdict}); {mine:.0f} us against {theirs:.0f} us")
            good.append(not limited or ratio <= LIMIT)
    finish(*good)
