"""Headers, hosts, proxies, cross-site requests, limits."""

import secrets
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from conftest import PACKAGE
from flask import (
    Flask,
    Response,
    redirect,
    render_template_string,
    request,
    session,
    stream_template_string,
    url_for,
)
from flask.cli import NoAppException
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

CreateApp = Callable[..., Flask]

csrf, headers = (import_module(f"{PACKAGE}.web.{name}") for name in ("csrf", "headers"))

SENT = {
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Permissions-Policy",
    "X-Request-ID",
}
INLINE = "<script nonce='{{ csp_nonce() }}'></script><style nonce='{{ csp_nonce() }}'></style>"


def make(create_app: CreateApp, monkeypatch: pytest.MonkeyPatch, **variables: str) -> Flask:
    """The service in production, with views for these tests."""
    monkeypatch.setenv("SECRET_KEY", secrets.token_hex(32))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    app = create_app("production")

    def sign_in() -> str:
        session["user"] = 1
        return "in"

    def own() -> Response:
        return Response("", headers={"X-Frame-Options": "SAMEORIGIN", "Content-Security-Policy": "sandbox"})

    def widened() -> str:
        headers.allow("img-src", "https://maps.example.org")
        return "map"

    def echo() -> dict[str, Any]:
        return {"link": url_for("-echo", _external=True), "address": request.remote_addr, **request.form}

    def fail() -> None:
        raise ValueError

    views: dict[str, Callable[..., Any]] = {
        "sign_in": sign_in,
        "who": lambda: str(session.get("user")),
        "open": lambda: "the same for everybody",
        "public": lambda: (str(session.get("user")), {"Cache-Control": "private, max-age=60"}),
        "inline": lambda: render_template_string(INLINE),
        "stream": lambda: stream_template_string(INLINE),
        "lines": lambda: Response(iter(["a", "b"])),
        "away": lambda: redirect("/-/open"),
        "own": own,
        "widened": widened,
        "echo": echo,
        "fail": fail,
        "hook": csrf.exempt(lambda: "hooked"),
    }
    for name, view in views.items():
        app.add_url_rule(f"/-/{name}", f"-{name}", view, methods=["GET", "POST"])
    return app


@pytest.fixture
def production(create_app: CreateApp, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A client of the service in production."""
    return make(create_app, monkeypatch).test_client()


def get(client: FlaskClient, path: str, **options: Any) -> TestResponse:
    """The answer by https."""
    return client.get(path, base_url=options.pop("base_url", "https://localhost"), **options)


# Headers


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/-/away", "/static/style.css", "/-/lines", "/-/stream", "/-/fail", "/healthz"]
)
def test_every_answer_has_the_headers(production: FlaskClient, path: str) -> None:
    with get(production, path) as answer:
        missing = SENT - set(answer.headers.keys())
        assert not missing
        assert len(answer.headers) == len(set(answer.headers.keys()))


def test_an_answer_to_an_unknown_host_has_them_too(production: FlaskClient) -> None:
    answer = get(production, "/", base_url="https://elsewhere.example")
    assert answer.status_code == 400
    assert set(answer.headers.keys()) > SENT
    assert "TRUSTED_HOSTS" in answer.text
    assert "/static/style.css" in answer.text


def test_a_view_keeps_what_it_sets(production: FlaskClient) -> None:
    answer = get(production, "/-/own")
    assert answer.headers.getlist("X-Frame-Options") == ["SAMEORIGIN"]
    assert answer.headers.getlist("Content-Security-Policy") == ["sandbox"]


def test_a_view_can_widen_the_policy_of_its_answer(production: FlaskClient) -> None:
    policy = get(production, "/-/widened").headers["Content-Security-Policy"]
    images = next(part for part in policy.split("; ") if part.startswith("img-src "))
    assert "https://maps.example.org" in images.split()
    assert "maps" not in get(production, "/-/open").headers["Content-Security-Policy"]


def test_a_widened_policy_is_what_browsers_make_of_it() -> None:
    written = headers.written
    assert written({"img-src": ["'none'"]}, {"img-src": ["https://a"]}) == "img-src https://a"
    # Without a script-src, default-src holds for scripts; a nonce must not take that away.
    assert written({"default-src": ["'self'"]}, {"script-src": ["x"]}) == "default-src 'self'; script-src 'self' x"


@pytest.mark.parametrize("path", ["/-/inline", "/-/stream"])
def test_a_nonce_is_in_the_policy_and_never_the_same(production: FlaskClient, path: str) -> None:
    nonces = set()
    for _ in range(2):
        answer = get(production, path)
        nonce = answer.text.split("nonce='")[1].split("'")[0]
        policy = answer.headers["Content-Security-Policy"]
        assert answer.text == INLINE.replace("{{ csp_nonce() }}", nonce)
        for directive in ("script-src", "style-src"):
            sources = next(part for part in policy.split("; ") if part.startswith(f"{directive} "))
            assert f"'nonce-{nonce}'" in sources.split()
        nonces.add(nonce)
    assert len(nonces) == 2


def test_no_nonce_is_made_that_nobody_asks_for(production: FlaskClient) -> None:
    assert "nonce" not in get(production, "/-/open").headers["Content-Security-Policy"]


def test_what_is_made_from_a_session_is_not_stored(production: FlaskClient) -> None:
    assert "Cache-Control" not in get(production, "/-/who").headers  # nobody's
    assert get(production, "/-/sign_in").headers["Cache-Control"] == "no-store"
    assert get(production, "/-/who").headers["Cache-Control"] == "no-store"
    assert get(production, "/-/lines").headers["Cache-Control"] == "no-store"  # it may read the session yet
    assert get(production, "/-/public").headers["Cache-Control"] == "private, max-age=60"
    assert "Cache-Control" not in get(production, "/-/open").headers
    with get(production, "/static/style.css") as answer:
        assert answer.headers["Cache-Control"] == "no-cache"


def test_development_asks_for_no_https(create_app: CreateApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", secrets.token_hex(32))
    answer = create_app("development").test_client().get("/healthz")
    assert set(answer.headers.keys()) > SENT - {"Strict-Transport-Security"}
    assert "Strict-Transport-Security" not in answer.headers


# Cross-site requests


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({}, ""),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://localhost"}, ""),
        ({"Sec-Fetch-Site": "none"}, ""),
        ({"Sec-Fetch-Site": "cross-site"}, "Sec-Fetch-Site is cross-site"),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://localhost"}, "Sec-Fetch-Site is same-site"),
        ({"Sec-Fetch-Site": "Same-Origin"}, "Sec-Fetch-Site is Same-Origin"),
        ({"Origin": "https://localhost"}, ""),
        ({"Origin": "https://localhost:443"}, ""),
        ({"Origin": "http://localhost"}, ""),  # TLS may have ended at a proxy
        ({"Origin": "https://localhost:8443"}, "Origin is https://localhost:8443"),
        ({"Origin": "https://evil.example"}, "Origin is https://evil.example"),
        ({"Origin": "https://localhost.evil.example"}, "Origin is https://localhost.evil.example"),
        ({"Origin": "null"}, "Origin is null"),
        ({"Origin": "foo://localhost"}, "Origin is foo://localhost"),
        ({"Origin": ""}, ""),
    ],
)
def test_who_may_post(production: FlaskClient, given: dict[str, str], rule: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = production.open("/-/echo", method=method, base_url="https://localhost", headers=given)
        assert answer.status_code == (403 if rule else 200 if method == "POST" else 405)
        assert rule in answer.text
    assert get(production, "/-/echo", headers=given).status_code == 200
    assert production.post("/-/hook", base_url="https://localhost", headers=given).status_code == 200


def test_a_trusted_origin_may_post(create_app: CreateApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make(create_app, monkeypatch, FLASK_CSRF_TRUSTED_ORIGINS='["https://app.example.org"]')
    given = {"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.org"}
    assert app.test_client().post("/-/echo", base_url="https://localhost", headers=given).status_code == 200
    given["Origin"] += ".evil.example"
    assert app.test_client().post("/-/echo", base_url="https://localhost", headers=given).status_code == 403


@pytest.mark.parametrize(
    "origin", ["*", "null", "app.example.org", "https://app.example.org/", "https://App.example.org"]
)
def test_a_trusted_origin_is_an_origin(create_app: CreateApp, monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    with pytest.raises(NoAppException, match=r"\[csrf-origins\]"):
        make(create_app, monkeypatch, FLASK_CSRF_TRUSTED_ORIGINS=f'["{origin}"]')


# Hosts and proxies


def test_production_needs_to_know_its_hosts(create_app: CreateApp, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoAppException, match=r"\[hosts-missing\]. export TRUSTED_HOSTS=www.example.org"):
        make(create_app, monkeypatch, TRUSTED_HOSTS="")
    for host in ("https://example.org", "example.org:8000", "example.org/", "a b", "example..org", "[::1]"):
        with pytest.raises(NoAppException, match=r"\[hosts-format\]"):
            make(create_app, monkeypatch, TRUSTED_HOSTS=host)
    with pytest.raises(NoAppException, match=r"\[hosts-any\]"):
        make(create_app, monkeypatch, TRUSTED_HOSTS="*")


@pytest.fixture(params=["variable", "setting"])
def two_hosts(
    create_app: CreateApp, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Flask]:
    """The service, with its hosts said in one way or the other."""
    if request.param == "variable":
        yield make(create_app, monkeypatch, TRUSTED_HOSTS="Example.org, .apps.example.org")
    else:
        monkeypatch.delenv("TRUSTED_HOSTS")
        yield make(create_app, monkeypatch, FLASK_TRUSTED_HOSTS='["example.org", ".apps.example.org"]')


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("example.org", 200),
        ("example.org:8000", 200),
        ("WWW.Example.ORG", 400),
        ("EXAMPLE.org", 200),
        ("example.org.", 200),
        ("example.org.:8000", 200),
        ("a.apps.example.org", 200),
        ("www.example.org", 400),
        ("evil.example", 400),
        ("apps.example.org.evil.example", 400),
        ("example.org@evil.example", 400),
        ("", 400),
    ],
)
def test_only_trusted_hosts_are_answered(two_hosts: Flask, host: str, status: int) -> None:
    client = two_hosts.test_client()
    assert client.get("/-/open", headers={"Host": host}).status_code == status
    assert client.post("/-/open", headers={"Host": host, "Origin": f"https://{host}"}).status_code == status
    for path in ("/healthz", "/readyz"):
        assert client.get(path, headers={"Host": host}).status_code == 200


FORWARDED = {
    "X-Forwarded-For": "203.0.113.7, 198.51.100.2",
    "X-Forwarded-Proto": "http, https",
    "X-Forwarded-Host": "evil.example, localhost",
    "X-Forwarded-Prefix": "/evil",
    "X-Request-ID": "from-the-proxy",
}


@pytest.mark.parametrize(
    ("count", "status", "address", "link"),
    [
        ("", 200, "127.0.0.1", "http://localhost/-/echo"),
        ("0", 200, "127.0.0.1", "http://localhost/-/echo"),
        ("1", 200, "198.51.100.2", "https://localhost/-/echo"),
        ("2", 400, "", ""),  # the first of two says evil.example
    ],
)
def test_forwarded_headers_count_for_as_many_proxies_as_are_there(
    create_app: CreateApp, monkeypatch: pytest.MonkeyPatch, count: str, status: int, address: str, link: str
) -> None:
    client = make(create_app, monkeypatch, TRUSTED_PROXIES=count).test_client()
    answer = client.get("/-/echo", headers=FORWARDED)
    assert answer.status_code == status
    if status == 200:
        assert answer.json == {"address": address, "link": link}
    assert (answer.headers["X-Request-ID"] == "from-the-proxy") == (count in ("1", "2"))
    assert client.get("/healthz", headers=FORWARDED).status_code == 200


def test_the_count_of_proxies_is_a_number(create_app: CreateApp, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("yes", "-1", "1.5"):
        with pytest.raises(NoAppException, match=r"\[proxies-format\]. export TRUSTED_PROXIES=1"):
            make(create_app, monkeypatch, TRUSTED_PROXIES=value)


# Limits

FIELD = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'


@pytest.mark.parametrize("kind", ["body", "form", "field", "parts"])
def test_more_than_the_limits_is_answered_413(production: FlaskClient, kind: str) -> None:
    limits = production.application.config
    multipart, plain = "multipart/form-data; boundary=b", "application/x-www-form-urlencoded"
    field = "x" * (limits["MAX_FORM_MEMORY_SIZE"] + 1)
    data, content_type = {
        "body": ("x" * (limits["MAX_CONTENT_LENGTH"] + 1), multipart),
        "form": (f"a={field}", plain),
        "field": (FIELD.format("a", field) + "--b--", multipart),
        "parts": (FIELD.format("a", "x") * (limits["MAX_FORM_PARTS"] + 1) + "--b--", multipart),
    }[kind]
    sent = {"base_url": "https://localhost", "data": data, "content_type": content_type}
    for accept, mimetype in (("text/html", "text/html"), ("application/json", "application/problem+json")):
        answer = production.post("/-/echo", headers={"Accept": accept}, **sent)
        assert (answer.status_code, answer.mimetype) == (413, mimetype)
        assert "larger than this service takes" in answer.text


@pytest.mark.parametrize(
    ("setting", "value", "finding"),
    [
        ("CONTENT_SECURITY_POLICY", "default-src 'self'", "csp-format"),
        ("CONTENT_SECURITY_POLICY__img-src", "'self' https://a", "csp-format"),
        ("CONTENT_SECURITY_POLICY__img-src", '["self"]', "csp-format"),
        ("CONTENT_SECURITY_POLICY__img-src", "[\"'self'; script-src *\"]", "csp-format"),
        ("CONTENT_SECURITY_POLICY__img_src", '["*"]', "csp-format"),
        ("SECURITY_HEADERS", "X-Frame-Options: DENY", "header-format"),
        ("SECURITY_HEADERS__X-A", '"a\\r\\nX-B: c"', "header-format"),
        ("STRICT_TRANSPORT_SECURITY", "3600", "header-format"),
    ],
)
def test_what_no_header_can_say_does_not_start(
    create_app: CreateApp, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, finding: str
) -> None:
    with pytest.raises(NoAppException, match=rf"\[{finding}\]"):
        make(create_app, monkeypatch, **{f"FLASK_{setting}": value})
