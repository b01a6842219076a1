"""Reports of violations: taken before all else, hostile, bounded, and what is made of them."""

import io
import json
import logging
import os
import secrets
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from flask import Flask, session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import clean_environ
from werkzeug.test import TestResponse

import flask_secure
from flask_secure.observed import observe_policy
from flask_secure.problems import StartupError
from flask_secure.report_store import Counts
from flask_secure.reports import REPORTED

PATH = "/_csp_reports"
OWN = {"Sec-Fetch-Site": "same-origin"}
TOKEN = "nRvL5xXq"


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    variables = clean_environ(SECRET_KEY=secrets.token_hex(32))
    with patch.dict(os.environ, variables, clear=True):
        yield tmp_path


def make(root: Path, env: str = "development", **options: Any) -> Flask:
    app = Flask("shop", root_path=str(root))
    app.config.update(options)
    if env == "production":
        app.config["TRUSTED_HOSTS"] = ["localhost"]
    flask_secure.init_app(app, env)
    app.add_url_rule("/reset/<token>", "reset", lambda token: "<body>reset</body>")
    app.add_url_rule("/buy", "buy", lambda: "<body>bought</body>", methods=["POST"])
    return app


def report(
    directive: str = "img-src",
    blocked: str = "https://images.example.org/a?b",
    page: str = "http://localhost/",
    **more: Any,
) -> dict[str, Any]:
    body = {"effective-directive": directive, "blocked-uri": blocked, "document-uri": page, **more}
    return {"csp-report": body}


def send(app: Flask, content: Any, headers: dict[str, str] = OWN, **options: Any) -> TestResponse:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    options = {"content_type": "application/csp-report", **options}
    response = app.test_client().post(PATH, data=body, headers=headers, **options)
    assert response.data == b""
    assert "html" not in response.content_type
    return response


def kept(app: Flask) -> list[str]:
    return [str(each) for each in app.extensions[REPORTED]["store"].violations()]


def copied(app: Flask) -> list[str]:
    store, copies = app.extensions[REPORTED]["store"], app.extensions[REPORTED]["copies"]
    lines: list[str] = copies.lines(store.violations())
    return lines


def test_both_formats_are_understood(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = make(root)
    assert send(app, report()).status_code == 204
    body = {
        "effectiveDirective": "font-src",
        "blockedURL": "https://fonts.example.org:8443/x.woff",
        "documentURL": "http://localhost/",
        "disposition": "report",
    }
    other = {"type": "deprecation", "body": body}
    reports = [{"type": "csp-violation", "body": body}, other, 7, None, {"type": "csp-violation"}]
    assert send(app, reports, content_type="application/reports+json").status_code == 204
    assert kept(app) == [
        "img-src blocks https://images.example.org on a page without a route",
        "font-src would block https://fonts.example.org:8443 on a page without a route",
    ]
    assert [record.name for record in caplog.records if "src" in record.message] == ["flask_secure.reports"] * 2


def test_a_violation_is_a_line_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = make(root)
    for _ in range(3):
        send(app, report())
        send(app, report("style-src-attr", "inline"))
    lines = [record.message for record in caplog.records if record.name == "flask_secure.reports"]
    assert len(lines) == len(kept(app)) == 2
    assert "{'img-src': [\"'self'\", 'https://images.example.org']}" in lines[0]


def test_the_page_is_named_by_its_rule(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its path, its query, a sample and a referrer may hold a token."""
    app = make(root)
    more = {"referrer": TOKEN, "script-sample": TOKEN, "source-file": TOKEN, "original-policy": TOKEN}
    for page in (f"/reset/{TOKEN}", f"/reset/{TOKEN}?a={TOKEN}#{TOKEN}", f"/nowhere/{TOKEN}", "/buy", ""):
        send(app, report(page=f"http://localhost{page}", blocked=f"https://{TOKEN.lower()}", **more))
    blocked = f"img-src blocks https://{TOKEN.lower()} on"
    assert kept(app) == [f"{blocked} /reset/<token>", f"{blocked} a page without a route", f"{blocked} /buy"]
    mounted = {"environ_overrides": {"SCRIPT_NAME": "/shop"}}
    send(app, report("font-src", "data:", page=f"http://localhost/shop/reset/{TOKEN}"), **mounted)
    send(app, report("connect-src", "data", page=f"http://evil.example/reset/{TOKEN}"))
    assert kept(app)[3:] == [
        "font-src blocks data on /reset/<token>",
        "connect-src blocks data on a page of another site",
    ]
    assert TOKEN not in caplog.text


HOSTILE: list[tuple[Any, dict[str, Any], int]] = [
    (b"", {}, 400),
    (b"{", {}, 400),
    (b"\xff\xfe", {}, 400),
    (b"[" * 8000, {}, 400),
    (b"9" * 8000, {}, 400),
    (b"{}" + b" " * 8190, {}, 204),
    (b"{}" + b" " * 8191, {}, 413),
    (b"{}" + b" " * 100_000, {}, 413),
    ([report()], {}, 204),
    (report(), {"content_type": "application/json"}, 415),
    (report(), {"content_type": "text/plain"}, 415),
    (report(), {"content_type": ""}, 415),
    (report(), {"content_type": "application/csp-report; charset=utf-8"}, 204),
    ({"csp-report": 7}, {}, 204),
    ({"csp-report": {"effective-directive": 7}}, {}, 204),
    (report("\x1b[31m"), {}, 204),
    (report("img-src;x"), {}, 204),
    (7, {"content_type": "application/reports+json"}, 400),
]


@pytest.mark.parametrize(("content", "options", "status"), HOSTILE)
def test_hostile_input_is_answered(root: Path, content: Any, options: dict[str, Any], status: int) -> None:
    assert send(make(root), content, **options).status_code == status


def test_other_methods_are_answered_405(root: Path) -> None:
    client = make(root).test_client()
    for method in ("GET", "HEAD", "OPTIONS", "PUT"):
        response = client.open(PATH, method=method)
        assert (response.status_code, response.headers["Allow"], response.data) == (405, "POST", b"")


def test_a_body_without_a_length_is_bounded(root: Path) -> None:
    """gunicorn ends a body in chunks itself."""
    app = make(root)
    for size, status in ((10, 204), (9000, 413), (90_000, 413)):
        body = json.dumps(report(more="x" * size)).encode()
        environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        options = {"input_stream": io.BytesIO(body), "environ_overrides": environ}
        response = app.test_client().post(PATH, content_type="application/csp-report", **options)
        assert response.status_code == status


def test_reports_come_before_hosts_sessions_and_limits(root: Path) -> None:
    app = make(root, MAX_CONTENT_LENGTH=1)
    app.before_request(lambda: session.update(seen=1))
    options = {"base_url": "http://elsewhere.example"}
    assert app.test_client().get("/", **options).status_code == 400
    response = send(app, report(), {"Sec-Fetch-Site": "cross-site"}, **options)
    assert response.status_code == 204
    assert "Set-Cookie" not in response.headers


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(directive=st.sampled_from(["img-src", "script-src-elem", "form-action"]), blocked=st.text(), page=st.text())
def test_nothing_of_a_report_reaches_the_terminal_but_what_was_parsed(
    once: Flask, caplog: pytest.LogCaptureFixture, directive: str, blocked: str, page: str
) -> None:
    caplog.clear()
    for prefix in ("", "https://", "http://localhost/"):
        assert send(once, report(directive, prefix + blocked, prefix + page)).status_code == 204
    text = caplog.text + "".join(kept(once)) + "".join(copied(once))
    assert text.isascii()
    assert text.replace("\n", "").isprintable()


@pytest.fixture
def once(root: Path) -> Flask:
    return make(root)


FORGED: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({"Sec-Fetch-Site": "cross-site"}, {}),
    ({"Sec-Fetch-Site": "same-site"}, {}),
    ({}, {}),
    ({"Origin": "http://evil.example"}, {}),
    ({"Origin": "null"}, {}),
    (OWN | {"X-Forwarded-For": "127.0.0.1"}, {}),
    (OWN | {"Via": "1.1 tunnel"}, {}),
    (OWN | {"Forwarded": "for=127.0.0.1"}, {}),
    (OWN, {"environ_overrides": {"REMOTE_ADDR": "192.0.2.7"}}),
    (OWN, {"base_url": "http://rebound.example"}),
]


@pytest.mark.parametrize(("headers", "options"), FORGED)
def test_a_forged_report_makes_no_text_to_copy(
    root: Path, caplog: pytest.LogCaptureFixture, headers: dict[str, str], options: dict[str, Any]
) -> None:
    app = make(root)
    page = options.get("base_url", "http://localhost") + "/"
    send(app, report(page=page), headers, **options)
    assert len(kept(app)) == 1
    assert copied(app) == []
    assert "'self'" not in caplog.text
    send(app, report(page="http://evil.example/"))  # another site's page, sent from this machine
    assert copied(app) == []
    send(app, report())
    assert copied(app) == [
        "CONTENT_SECURITY_POLICY = {'img-src': [\"'self'\", 'https://images.example.org']}  # in the application"
    ]


@pytest.mark.parametrize(
    ("directive", "blocked", "source"),
    [
        ("img-src", "https://images.example.org/a", "https://images.example.org"),
        ("script-src-elem", "https://cdn.example.org:8443/a.js", "https://cdn.example.org:8443"),
        ("img-src", "data", "data:"),
        ("media-src", "http://localhost/film", "'self'"),
        ("connect-src", "ws://localhost:5173/", "ws://localhost:5173"),
        ("form-action", "https://pay.example.org/", "https://pay.example.org"),
        ("script-src", "wasm-eval", "'wasm-unsafe-eval'"),
        ("script-src", "data", None),
        ("script-src-elem", "data:text/javascript,x", None),
        ("worker-src", "blob", None),
        ("script-src-elem", "http://cdn.example.org/a.js", None),
        ("script-src-elem", "inline", None),
        ("script-src-attr", "inline", None),
        ("style-src-elem", "inline", None),
        ("script-src", "eval", None),
        ("frame-ancestors", "https://partner.example.org/", None),
        ("base-uri", "https://other.example.org/", None),
        ("img-src", "*", None),
        ("img-src", "https://*/", None),
        ("img-src", "'unsafe-inline'", None),
        ("img-src", "https://a.example' 'unsafe-inline", None),
        ("img-src", "https://user@a.example/", None),
        ("img-src", "https://a.example;script-src *", None),
        ("img-src", "https://ä.example", None),
        ("img-src", f"https://{'a' * 100}.example", None),
    ],
)
def test_what_is_copied_is_an_origin_or_a_keyword_that_undoes_nothing(
    root: Path, directive: str, blocked: str, source: str | None
) -> None:
    app = make(root)
    assert send(app, report(directive, blocked)).status_code == 204
    lines = copied(app)
    assert len(kept(app)) == 1
    assert len(lines) == (source is not None)
    if source is not None:
        scope: dict[str, Any] = {}
        exec(lines[0], scope)  # noqa: S102
        ((name, sources),) = scope["CONTENT_SECURITY_POLICY"].items()
        assert name == directive.removesuffix("-elem")
        assert sources[-1] == source
        assert sources[:-1] == ([] if name == "media-src" else ["'self'"])


def test_a_blocked_inline_handler_is_a_guard_that_is_gone(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = make(root)
    send(app, report("script-src-attr", "inline", disposition="enforce"))
    assert "guard that is gone" in caplog.text
    caplog.clear()
    send(app, report("script-src-elem", "inline"))
    assert "guard" not in caplog.text
    assert "csp_nonce" in caplog.text


def test_what_is_copied_keeps_what_the_owner_has_and_is_enough(root: Path) -> None:
    """Copied at once, or put in where it says: the violations are allowed, and so is what was."""
    (root / "config").mkdir()
    policy = "CONTENT_SECURITY_POLICY = {'img-src': [\"'self'\", 'https://a.example']}\n"
    (root / "config/default.py").write_text(policy)
    (root / "config/development.py").write_text("CONTENT_SECURITY_POLICY = {'font-src': ['https://f.example']}\n")
    app = make(root)
    wanted = [("img-src", "https://b.example"), ("img-src", "https://c.example"), ("font-src", "https://g.example")]
    wanted += [("style-src-elem", "https://s.example"), ("script-src-elem", "https://s.example")]
    for directive, origin in wanted:
        send(app, report(directive, f"{origin}/x"))
    for line in copied(app):
        text, place = line.split("  # in ")
        with (root / place).open("a") as file:
            file.write(f"{text}\n")
    policy = make(root).test_client().post("/buy").headers["Content-Security-Policy"]
    assert "img-src 'self' https://a.example https://b.example https://c.example;" in policy
    assert "font-src https://f.example https://g.example;" in policy
    assert "script-src 'self' https://s.example 'sha256-" in policy
    assert "style-src 'self' https://s.example;" in policy


@pytest.mark.parametrize("tried", [True, {"img-src": ["'self'"], "font-src": ["'none'"]}])
def test_what_is_copied_of_a_tried_policy_keeps_the_rest_of_it(root: Path, tried: Any) -> None:
    app = make(root, CONTENT_SECURITY_POLICY_REPORT_ONLY=tried)
    send(app, report(disposition="report"))
    (line,) = copied(app)
    scope: dict[str, Any] = {"CONTENT_SECURITY_POLICY_REPORT_ONLY": tried}
    exec(line, scope)  # noqa: S102
    changed = scope["CONTENT_SECURITY_POLICY_REPORT_ONLY"]
    assert changed["img-src"] == ["'self'", "https://images.example.org"]
    assert changed["font-src"] == (["'self'"] if tried is True else ["'none'"])


def test_a_flood_costs_bounded_memory_and_lines(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """200 are kept, ten lines a second are printed, and a page's own reports still get through."""
    app = make(root)
    start = time.monotonic()
    tracemalloc.start()
    for number in range(10_000):
        send(app, report(blocked=f"https://h{number}.example", page="http://evil.example/"), {})
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    seconds = time.monotonic() - start
    assert grown < 5_000_000  # the log records that caplog keeps included
    assert len(kept(app)) == 200
    assert 10 <= len(caplog.records) <= min(200, 10 * (seconds + 1))
    for number in range(10):
        send(app, report(blocked=f"https://own{number}.example"))
    assert sum("//own" in each for each in kept(app)) == 10
    assert len(kept(app)) == 200


def test_ten_without_a_flood_are_all_kept_and_printed(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = make(root)
    for number in range(10):
        send(app, report(blocked=f"https://h{number}.example"))
    assert len(kept(app)) == len(caplog.records) == 10


def test_production_takes_reports_by_a_setting_and_counts(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert make(root, "production").test_client().post(PATH).status_code == 404
    app = make(root, "production", CSP_REPORTS=True)
    caplog.clear()
    store = app.extensions[REPORTED]["store"]
    assert isinstance(store, Counts)
    store.after = 0.5
    address = {"environ_overrides": {"REMOTE_ADDR": "192.0.2.7"}}
    for number in range(60):
        for _ in range(2):
            send(app, report(blocked=f"https://h{number}.example"), {}, **address)
    deadline = time.monotonic() + 10
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.6)
    (record,) = caplog.records
    assert record.message.count("img-src") == 50
    assert "other kinds (20)" in record.message
    assert "https://h0.example on a page without a route (2)" in record.message
    send(app, report(), {})
    assert len(store.counts) == 1


@pytest.mark.parametrize("is_later", [False, True])
def test_a_route_at_that_path_is_an_error(root: Path, is_later: bool) -> None:
    app = Flask("shop", root_path=str(root))

    def add() -> None:
        app.add_url_rule(PATH, "own", lambda: "own")

    if not is_later:
        add()
    with pytest.raises(StartupError) as rejected:  # noqa: PT012
        flask_secure.init_app(app, "development")
        add()
    assert [problem.id for problem in rejected.value.problems] == ["reports-route"]
    app = Flask("shop", root_path=str(root))
    app.config["CSP_REPORTS"] = False
    add()
    flask_secure.init_app(app, "development")


def test_the_panel_shows_what_was_reported(root: Path) -> None:
    app = make(root)
    client = app.test_client()
    assert "No violation." in client.post("/buy").text
    send(app, report())
    send(app, report("script-src-attr", "inline"))
    page = client.post("/buy").text
    assert "img-src blocks https://images.example.org" in page
    assert "guard that is gone" in page
    assert "CONTENT_SECURITY_POLICY = {" in page


def test_the_log_of_a_terminal_is_one_that_cant_be_steered(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = make(root)
    send(app, report(blocked="https://a.example\x1b[31m\n/", page="http://localhost/\x1b[2J"))
    assert "\x1b" not in caplog.text
    assert logging.getLogger("flask_secure.reports").name in caplog.text


def observed(**settings: Any) -> Flask:
    app = Flask("shop")
    app.config.update(settings)
    app.add_url_rule("/", "page", lambda: "page")
    app.add_url_rule("/own", "own", lambda: ("own", {"Content-Security-Policy-Report-Only": "img-src *"}))
    before = dict(app.config)
    observe_policy(app)
    assert app.config == before
    return app


def test_an_observed_application_has_one_header_and_one_path_more(caplog: pytest.LogCaptureFixture) -> None:
    app, bare = observed(), Flask("shop")
    bare.add_url_rule("/", "page", lambda: "page")
    for url in ("http://localhost", "https://localhost"):
        got = dict(app.test_client().get("/", base_url=url).headers)
        tried = got.pop("Content-Security-Policy-Report-Only")
        assert got == dict(bare.test_client().get("/").headers)
        assert tried.startswith("default-src 'none'; script-src 'self'; ")
        assert tried.endswith("; report-uri /_csp_reports")
    assert app.test_client().get("/own").headers.getlist("Content-Security-Policy-Report-Only") == ["img-src *"]
    assert send(app, report(disposition="report")).status_code == 204
    assert "img-src would block https://images.example.org on /." in caplog.text
    assert copied(app) == [
        "CONTENT_SECURITY_POLICY = {'img-src': [\"'self'\", 'https://images.example.org']}  # in the application"
    ]


def test_an_observed_application_takes_reports_of_others_by_a_setting() -> None:
    address = {"environ_overrides": {"REMOTE_ADDR": "192.0.2.7"}}
    app = observed()
    assert send(app, report(), {}, **address).status_code == 403
    assert send(app, report(), OWN | {"X-Forwarded-For": "127.0.0.1"}).status_code == 403
    assert kept(app) == []
    app = observed(CSP_REPORTS=True)
    assert send(app, report(), {}, **address).status_code == 204
    assert isinstance(app.extensions[REPORTED]["store"], Counts)


def test_an_observed_application_without_reports_is_as_it_was() -> None:
    app = Flask("shop")
    before = app.wsgi_app
    observe_policy(app, report=False)
    assert app.wsgi_app == before
    assert app.test_client().post(PATH).status_code == 404
