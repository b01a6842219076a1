"""What any application gets from `init_app`: headers, policy, hosts, proxies, cross-site requests, limits, settings."""

import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click import Context
from flask import Flask, Response, redirect, render_template_string, request, session, stream_template_string, url_for
from flask.testing import FlaskClient
from flask.views import MethodView
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import clean_environ, policy_of
from werkzeug.test import TestResponse, create_environ

import flask_secure
from flask_secure.cli import main
from flask_secure.hosts import mistake_in_host

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


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A project's root without files, in a process whose variables say nothing but what production can't be without."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "src/shop/static").mkdir(parents=True)
    (tmp_path / "src/shop/static/style.css").write_text("body {}")
    monkeypatch.chdir(tmp_path)
    variables = clean_environ(SECRET_KEY=secrets.token_hex(32), TRUSTED_HOSTS="localhost")
    with patch.dict(os.environ, variables, clear=True):  # in development the library itself sets variables
        yield tmp_path


class Hook(MethodView):
    decorators = (flask_secure.csrf_exempt,)

    def post(self) -> str:
        return "hooked"


def sign_in() -> dict[str, int]:
    session["user"] = 1
    return {"user": 1}


def own_headers() -> Response:
    return Response("", headers={"x-frame-options": "SAMEORIGIN", "Content-Security-Policy": "sandbox"})


def echo() -> dict[str, Any]:
    link = url_for("echo", _external=True)
    return {"link": link, "address": request.remote_addr, "secure": request.is_secure, **request.form}


VIEWS: dict[str, Callable[..., Any]] = {
    "sign-in": sign_in,
    "who": lambda: str(session.get("user")),
    "open": lambda: "the same for everyone",
    "private": lambda: (str(session.get("user")), {"Cache-Control": "private, max-age=60"}),
    "inline": lambda: render_template_string(INLINE),
    "stream": lambda: stream_template_string(INLINE),
    "lines": lambda: Response(iter(["a", "b"])),
    "away": lambda: redirect("/open"),
    "own": own_headers,
    "echo": echo,
    "fail": lambda: str(1 // 0),
    "large": lambda: (setattr(request, "max_content_length", 2**23), str(len(request.get_data())))[1],
    "hook": flask_secure.csrf_exempt(lambda: "hooked"),
    "healthz": lambda: "ok",
    "page": lambda: "<!doctype html><title>Page</title><body></body>",
}


def make(env: str = "production", before: dict[str, Any] | None = None, **variables: str) -> Flask:
    """An application that is nobody's template, with `before` in its configuration and `variables` in the process."""
    os.environ.update(variables)
    app = Flask("shop", root_path=str(Path.cwd() / "src/shop"))
    app.config.update(before or {})
    flask_secure.init_app(app, env)
    for name, view in VIEWS.items():
        app.add_url_rule(f"/{name}", name, view, methods=["GET", "POST"])
    app.add_url_rule("/hooks", view_func=Hook.as_view("hooks"))
    return app


@pytest.fixture
def client() -> FlaskClient:
    """A client of the application in production."""
    return make().test_client()


def get(client: FlaskClient, path: str, **options: Any) -> TestResponse:
    """The response over https."""
    return client.get(path, **{"base_url": "https://localhost", **options})


def rejected(**variables: str) -> dict[str, flask_secure.Problem]:
    """The problems for which production does not start, by id."""
    with pytest.raises(flask_secure.StartupError) as caught:
        make(**variables)
    return {problem.id: problem for problem in caught.value.problems}


# Headers


@pytest.mark.parametrize(
    "path", ["/", "/open", "/away", "/static/style.css", "/lines", "/stream", "/fail", "/healthz", "/static/none"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_every_response_has_the_headers_once(client: FlaskClient, path: str, method: str) -> None:
    with client.open(path, method=method, base_url="https://localhost") as response:
        names = [name for name, _ in response.headers]
        assert set(names) >= SENT
        assert len(names) == len({name.lower() for name in names})


def test_responses_that_no_view_makes_have_them_too(client: FlaskClient) -> None:
    unknown = get(client, "/", base_url="https://elsewhere.example")
    large = client.post("/echo", data={"a": "x" * 3_000_000})
    cross_site = client.post("/echo", headers={"Origin": "null"})
    for status, response in {400: unknown, 413: large, 403: cross_site, 405: client.delete("/open")}.items():
        assert response.status_code == status
        assert set(response.headers.keys()) >= SENT


def test_a_view_keeps_its_own_headers(client: FlaskClient) -> None:
    response = get(client, "/own")
    assert response.headers.getlist("X-Frame-Options") == ["SAMEORIGIN"]
    assert response.headers.getlist("Content-Security-Policy") == ["sandbox"]
    assert set(response.headers.keys()) >= SENT - {"X-Frame-Options"}


def test_development_does_not_force_https() -> None:
    response = make("development").test_client().get("/sign-in")
    assert set(response.headers.keys()) >= SENT - {"Strict-Transport-Security"}
    assert "Strict-Transport-Security" not in response.headers
    assert response.headers["Set-Cookie"].startswith("shop_session=")
    assert "Secure" not in response.headers["Set-Cookie"]


@pytest.mark.parametrize("env", ["production", "testing"])
def test_the_session_cookie_is_for_this_host_https_and_no_script(env: str) -> None:
    cookie = get(make(env).test_client(), "/sign-in").headers["Set-Cookie"]
    assert cookie.startswith("__Host-shop=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_responses_made_from_a_session_are_not_stored(client: FlaskClient) -> None:
    assert "Cache-Control" not in get(client, "/who").headers  # an empty session
    assert get(client, "/sign-in").headers["Cache-Control"] == "no-store"
    assert get(client, "/who").headers["Cache-Control"] == "no-store"
    assert get(client, "/lines").headers["Cache-Control"] == "no-store"  # the stream may still read the session
    assert get(client, "/private").headers["Cache-Control"] == "private, max-age=60"
    assert "Cache-Control" not in get(client, "/open").headers


# Nonces


@pytest.mark.parametrize("path", ["/inline", "/stream"])
def test_a_nonce_is_in_the_policy_and_never_the_same(client: FlaskClient, path: str) -> None:
    nonces = set()
    for _ in range(3):
        response = get(client, path)
        nonce = response.text.split("nonce='")[1].split("'")[0]
        assert response.text == INLINE.replace("{{ csp_nonce() }}", nonce)
        for directive in ("script-src", "style-src"):
            assert policy_of(response)[directive] == ["'self'", f"'nonce-{nonce}'"]
        nonces.add(nonce)
    assert len(nonces) == 3
    assert min(map(len, nonces)) >= 22  # 128 bits in base64


def test_a_response_that_did_not_ask_for_a_nonce_has_none(client: FlaskClient) -> None:
    for path in ("/open", "/away", "/none"):
        assert "nonce" not in get(client, path).headers["Content-Security-Policy"]


def test_a_nonce_does_not_undo_what_default_src_allows() -> None:
    """A script-src that is added replaces default-src for scripts, so it has to repeat it."""
    policy = {"default-src": ["'self'", "https://a.example"], "script-src": None, "style-src": ["'none'"]}
    response = make(before={"CONTENT_SECURITY_POLICY": policy}).test_client().get("/inline")
    nonce = response.text.split("nonce='")[1].split("'")[0]
    assert policy_of(response)["script-src"] == ["'self'", "https://a.example", f"'nonce-{nonce}'"]
    assert policy_of(response)["style-src"] == [f"'nonce-{nonce}'"]  # 'none' is only valid alone


# Layers


def test_policy_and_headers_merge_by_name_in_each_layer(root: Path) -> None:
    def write(path: str, images: str, **headers: object) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        policy = {"img-src": [images]} if images else {"object-src": None}
        (root / path).write_text(f"CONTENT_SECURITY_POLICY = {policy}\nSECURITY_HEADERS = {headers}\n")

    default = policy_of(get(make().test_client(), "/open"))
    write("src/shop/config/default.py", "https://a.example", **{"X-Frame-Options": None, "X-A": "1", "X-B": "1"})
    write("src/shop/config/production.py", "", **{"X-B": "2"})
    write("src/shop/config/development.py", "https://wrong.example", **{"X-A": "3"})
    response = get(make().test_client(), "/open")
    assert policy_of(response) == {name: each for name, each in default.items() if name != "object-src"} | {
        "img-src": ["https://a.example"]
    }
    assert "X-Frame-Options" not in response.headers
    assert (response.headers["X-A"], response.headers["X-B"]) == ("1", "2")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    write("instance/config.py", "https://c.example", **{"X-A": None})
    response = get(make(before={"SECURITY_HEADERS": {"X-C": "code"}}).test_client(), "/open")
    assert policy_of(response)["img-src"] == ["https://c.example"]
    assert (response.headers["X-C"], response.headers["X-B"]) == ("code", "2")
    assert "X-A" not in response.headers


def test_a_variable_changes_one_directive_or_removes_a_header() -> None:
    variables = {
        "FLASK_CONTENT_SECURITY_POLICY__img-src": '["https://a.example"]',
        "FLASK_SECURITY_HEADERS__X-Frame-Options": "null",
    }
    response = get(make(**variables).test_client(), "/open")
    assert policy_of(response)["img-src"] == ["https://a.example"]
    assert policy_of(response)["script-src"] == ["'self'"]
    assert "X-Frame-Options" not in response.headers


def test_a_variable_with_a_whole_policy_merges_by_name_too() -> None:
    variables = {
        "FLASK_CONTENT_SECURITY_POLICY": '{"img-src": ["https://a.example"], "object-src": null}',
        "FLASK_SECURITY_HEADERS": '{"X-A": "1", "X-Frame-Options": null}',
    }
    response = get(make(**variables).test_client(), "/open")
    policy = policy_of(response)
    assert policy["img-src"] == ["https://a.example"]
    assert policy["default-src"] == ["'none'"]
    assert "object-src" not in policy
    assert response.headers["X-A"] == "1"
    assert set(response.headers.keys()) >= SENT - {"X-Frame-Options"}
    assert "X-Frame-Options" not in response.headers


def test_later_layers_win(root: Path) -> None:
    assert make().config["MAX_CONTENT_LENGTH"] == 2 * 1024 * 1024
    assert make(before={"MAX_CONTENT_LENGTH": 8}).config["MAX_CONTENT_LENGTH"] == 8  # what the application set stays
    for value, path in enumerate(("src/shop/config/default.py", "src/shop/config/production.py", "instance/config.py")):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(f"MAX_CONTENT_LENGTH = {value}\n")
        assert make(before={"MAX_CONTENT_LENGTH": 8}).config["MAX_CONTENT_LENGTH"] == value
    assert make(FLASK_MAX_CONTENT_LENGTH="12").config["MAX_CONTENT_LENGTH"] == 12


def test_the_environment_is_an_argument_a_variable_or_dotenv_else_production(root: Path) -> None:
    def env(given: str | None = None) -> str:
        app = Flask("shop", root_path=str(root / "src/shop"))
        flask_secure.init_app(app, given)
        return str(app.config["APP_ENV"])

    assert env() == "production"
    os.environ["APP_ENV"] = "staging"
    with pytest.raises(flask_secure.StartupError, match="'staging'; it is one of development, testing, production"):
        env()
    (root / ".env").write_text("APP_ENV=development\n")
    os.environ["APP_ENV"] = "testing"
    assert env() == "testing"
    assert env("production") == "production"
    del os.environ["APP_ENV"]
    assert env() == "production"
    with Context(main):  # the flask command goes by .env, and nothing else does
        assert env() == "development"


def test_production_has_no_debugger_and_no_toolbar_whatever_is_set() -> None:
    app = make(FLASK_DEBUG="1", FLASK_DEBUG_TB_ENABLED="true")
    assert not app.debug
    assert not any("toolbar" in endpoint for endpoint in app.view_functions)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "::ffff:192.0.2.1", "fe80::1%eth0", "<local>", ""])
def test_the_toolbar_is_shown_to_this_machine_only(address: str) -> None:
    client = make("development").test_client()
    script = "/_debug_toolbar/static/js/toolbar.js"
    assert 'id="flDebug"' in client.get("/page").text
    with client.get(script) as response:
        assert response.status_code == 200
    elsewhere = {"REMOTE_ADDR": address}
    response = client.get("/page", environ_overrides=elsewhere)
    assert response.status_code == 200
    assert "flDebug" not in response.text
    assert client.get(script, environ_overrides=elsewhere).status_code == 404


# Settings of the wrong type or form

WRONG = [
    ("FLASK_MAX_CONTENT_LENGTH", "2M", "setting-type"),
    ("FLASK_MAX_CONTENT_LENGTH", "true", "setting-type"),
    ("FLASK_MAX_CONTENT_LENGTH__X", "1", "setting-type"),
    ("FLASK_PERMANENT_SESSION_LIFETIME", "soon", "setting-type"),
    ("FLASK_PERMANENT_SESSION_LIFETIME", "0", "session-lifetime"),
    ("FLASK_PERMANENT_SESSION_LIFETIME", "99999999999999", "session-lifetime"),
    ("FLASK_SESSION_COOKIE_SECURE", '"no"', "setting-type"),
    ("FLASK_SESSION_COOKIE_SECURE", "0", "setting-type"),
    ("FLASK_SESSION_COOKIE_NAME", "7", "setting-type"),
    ("FLASK_SESSION_COOKIE_SAMESITE", "lax", "cookie-samesite"),
    ("FLASK_SECURITY_HEADERS", "X-Frame-Options: DENY", "setting-type"),
    ("FLASK_SECURITY_HEADERS__X-A", '"a\\r\\nX-B: c"', "header-format"),
    ("FLASK_SECURITY_HEADERS__X A", "a", "header-format"),
    ("FLASK_STRICT_TRANSPORT_SECURITY", "3600", "setting-type"),
    ("FLASK_CONTENT_SECURITY_POLICY", "default-src 'self'", "setting-type"),
    ("FLASK_CONTENT_SECURITY_POLICY__img-src", "'self' https://a", "csp-format"),
    ("FLASK_CONTENT_SECURITY_POLICY__img-src", '["self"]', "csp-format"),
    ("FLASK_CONTENT_SECURITY_POLICY__img-src", '["https://x;script-src-elem *"]', "csp-format"),
    ("FLASK_CONTENT_SECURITY_POLICY__img-src", '["https://x, *"]', "csp-format"),
    ("FLASK_CONTENT_SECURITY_POLICY__img_src", '["*"]', "csp-format"),
    ("FLASK_CSRF_TRUSTED_ORIGINS", "https://app.example.org,", "csrf-origins"),
    ("FLASK_CSRF_TRUSTED_ORIGINS", '[""]', "csrf-origins"),
    ("FLASK_CSRF_TRUSTED_ORIGINS", "*", "csrf-origins"),
    ("FLASK_CSRF_TRUSTED_ORIGINS", '["null"]', "csrf-origins"),
    ("FLASK_CSRF_TRUSTED_ORIGINS", "app.example.org", "csrf-origins"),
    ("FLASK_CSRF_TRUSTED_ORIGINS", "https://app.example.org/", "csrf-origins"),
    ("FLASK_CSRF_TRUSTED_ORIGINS", "https://App.example.org", "csrf-origins"),
    ("TRUSTED_HOSTS", "", "hosts-missing"),
    ("TRUSTED_HOSTS", " , ", "hosts-missing"),
    *(("TRUSTED_HOSTS", host, "hosts-format") for host in ("*", "https://example.org", "example.org:8000", "::1")),
    *(("TRUSTED_HOSTS", host, "hosts-format") for host in ("example.org/", "a b", "example..org", "a.org,b.org/")),
    *(("TRUSTED_PROXIES", count, "proxies-format") for count in ("yes", "-1", "1.5", "127.0.0.1")),
]


@pytest.mark.parametrize(("variable", "value", "id"), WRONG)
def test_a_malformed_setting_is_rejected_by_its_name(variable: str, value: str, id: str) -> None:
    problem = rejected(**{variable: value})[id]
    assert variable.removeprefix("FLASK_").partition("__")[0] in problem.message
    assert problem.fix
    if variable.startswith("FLASK_") and "https://app.example.org," not in value:  # of which a part is right
        assert re.fullmatch(rf"unset (')?{re.escape(variable)}\1?", problem.fix.replace("''", "'")), problem.fix


def test_every_problem_is_a_line() -> None:
    with pytest.raises(flask_secure.StartupError) as caught:
        make(
            SECRET_KEY="changeme",
            TRUSTED_HOSTS="",
            TRUSTED_PROXIES="yes",
            FLASK_CSRF_TRUSTED_ORIGINS="a,b",
        )
    ids = [problem.id for problem in caught.value.problems]
    assert sorted(ids) == ["csrf-origins", "csrf-origins", "hosts-missing", "key-placeholder", "proxies-format"]
    lines = str(caught.value).splitlines()
    assert len(lines) == len(ids)
    assert all(f"[{id}]" in line for id, line in zip(ids, lines, strict=True))
    assert "changeme" not in str(caught.value)


NAMES = ["MAX_CONTENT_LENGTH", "PERMANENT_SESSION_LIFETIME", "CONTENT_SECURITY_POLICY", "SECURITY_HEADERS"]
NAMES += ["CONTENT_SECURITY_POLICY__img-src", "SECURITY_HEADERS__X-A", "STRICT_TRANSPORT_SECURITY", "HEALTH_CHECKS"]
NAMES += ["CSRF_TRUSTED_ORIGINS", "SESSION_COOKIE_NAME", "SESSION_COOKIE_PATH"]
NAMES += ["SEND_FILE_MAX_AGE_DEFAULT", "MAX_FORM_PARTS", "MAX_FORM_MEMORY_SIZE", "UNPREFIXED_VARIABLES"]
NAMES += ["SESSION_COOKIE_SAMESITE", "APPLICATION_ROOT", "PREFERRED_URL_SCHEME", "TRUSTED_HOSTS", "TRUSTED_PROXIES"]
VALUES = ["null", "[]", "{}", "0", "-1", "true", '""', "[null]", "[1]", '{"a": 1}', "1e400", "NaN", "[[]]", '["a b"]']
TEXT = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF, exclude_categories=["Cs"]), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(name=st.sampled_from(NAMES), value=st.sampled_from(VALUES) | TEXT)
@example("CONTENT_SECURITY_POLICY__img-src", "null")
@example("CONTENT_SECURITY_POLICY__img-src", "https://a.example")
@example("CONTENT_SECURITY_POLICY__img-src", "7")
@example("CONTENT_SECURITY_POLICY", '{"img-src": null}')
@example("SECURITY_HEADERS__X-A", "7")
@example("SECURITY_HEADERS__X-A", "[null]")
@example("HEALTH_CHECKS", "null")
@example("SESSION_COOKIE_NAME", "\r")
@example("TRUSTED_PROXIES", ",")
@example("SESSION_COOKIE_PATH", "/\n")
@example("UNPREFIXED_VARIABLES", "7")
def test_any_value_of_a_setting_is_rejected_or_served(name: str, value: str) -> None:
    variable = f"FLASK_{name}"
    try:
        app = make(**{variable: value})
    except flask_secure.StartupError:
        return
    finally:
        os.environ.pop(variable, None)
    given: list[tuple[str, str]] = []
    list(app(create_environ("/sign-in"), lambda status, headers, _=None: given.extend([(status[:3], ""), *headers])))
    assert given[0][0] in ("200", "400", "404")  # its own host or path may be another now
    assert all(type(text) is str and not {*"\r\n"} & {*text} for header in given for text in header)
    for part in dict(given).get("Content-Security-Policy", "x-src 'x'").split("; "):
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*( ('[\w-]+'|[^\s';,]+))*", part), part


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
        ({"Origin": "http://localhost"}, ""),  # TLS may have ended at a reverse proxy
        ({"Origin": "https://localhost:8443"}, "Origin is https://localhost:8443"),
        ({"Origin": "https://evil.example"}, "Origin is https://evil.example"),
        ({"Origin": "https://localhost.evil.example"}, "Origin is https://localhost.evil.example"),
        ({"Origin": "null"}, "Origin is null"),
        ({"Origin": "foo://localhost"}, "Origin is foo://localhost"),
        ({"Origin": ""}, ""),
    ],
)
def test_only_the_own_origin_may_post(client: FlaskClient, given: dict[str, str], rule: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        response = client.open("/echo", method=method, base_url="https://localhost", headers=given)
        assert response.status_code == (403 if rule else 200 if method == "POST" else 405)
        assert rule in response.text
    assert get(client, "/echo", headers=given).status_code == 200
    for exempt in ("/hook", "/hooks"):
        assert client.post(exempt, base_url="https://localhost", headers=given).text == "hooked"


@pytest.mark.parametrize("value", ['["https://app.example.org", "https://b.example:8443"]', "https://app.example.org"])
def test_a_trusted_origin_may_post(value: str) -> None:
    client = make(FLASK_CSRF_TRUSTED_ORIGINS=value).test_client()
    given = {"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.org"}
    assert client.post("/echo", headers=given).status_code == 200
    for suffix in (".evil.example", ":8443", "/"):
        other = given | {"Origin": given["Origin"] + suffix}
        assert client.post("/echo", headers=other).status_code == 403


# Hosts and reverse proxies


@pytest.fixture(params=["variable", "list", "code"])
def two_hosts(request: pytest.FixtureRequest) -> FlaskClient:
    """A client of the application with its hosts in a variable, in a list or set in code."""
    if request.param == "variable":
        return make(TRUSTED_HOSTS="Example.org, .apps.example.org").test_client()
    del os.environ["TRUSTED_HOSTS"]
    if request.param == "list":
        return make(FLASK_TRUSTED_HOSTS='["example.org", ".apps.example.org"]').test_client()
    return make(before={"TRUSTED_HOSTS": ["example.org", ".Apps.example.org"]}).test_client()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("example.org", 200),
        ("example.org:8000", 200),
        ("EXAMPLE.org", 200),
        ("example.org.", 200),
        ("example.org.:8000", 200),
        ("a.apps.example.org", 200),
        ("WWW.Example.ORG", 400),
        ("www.example.org", 400),
        ("evil.example", 400),
        ("apps.example.org.evil.example", 400),
        ("example.org@evil.example", 400),
        ("", 400),
    ],
)
def test_only_trusted_hosts_are_answered(two_hosts: FlaskClient, host: str, status: int) -> None:
    response = two_hosts.get("/open", headers={"Host": host})
    assert response.status_code == status
    origin = "https://" + host.lower().replace(".:", ":").removesuffix(".")
    assert two_hosts.post("/open", headers={"Host": host, "Origin": origin}).status_code == status
    assert two_hosts.get("/healthz", headers={"Host": host}).status_code == 200
    if status == 400:
        assert response.mimetype == "text/plain"
        assert "TRUSTED_HOSTS" in response.text
        assert "evil" not in response.text


def test_a_header_is_sent_once_however_it_is_spelled() -> None:
    """Browsers take the first Strict-Transport-Security of two (RFC 6797, 8.1)."""
    own = {"strict-transport-security": "max-age=63072000", "x-frame-options": "SAMEORIGIN", "X-OWN": "1"}
    response = get(make(before={"SECURITY_HEADERS": own}).test_client(), "/open")
    for name, value in own.items():
        assert response.headers.getlist(name) == [value]
    assert response.headers.getlist("X-Content-Type-Options") == ["nosniff"]


def test_a_directive_of_the_owners_has_no_case() -> None:
    own = {"Script-Src": ["https://cdn.example.org"], "IMG-SRC": None}
    policy = policy_of(get(make(before={"CONTENT_SECURITY_POLICY": own}).test_client(), "/open"))
    assert policy["script-src"] == ["https://cdn.example.org"]
    assert "img-src" not in {name.lower() for name in policy}


def test_a_policy_without_scripts_stays_as_it_is_in_development() -> None:
    for own in ({"script-src": None, "default-src": ["'self'"]}, None):
        app = make("development", {"CONTENT_SECURITY_POLICY": own} if own else {}, SECRET_KEY=secrets.token_hex(32))
        policy = policy_of(app.test_client().get("/page"))
        assert "'self'" in policy["script-src"]


def test_a_vary_of_the_views_own_is_read_without_case() -> None:
    app = make()
    app.add_url_rule("/vary", "vary", lambda: (str(session.get("user")), {"Vary": "accept-encoding, cookie"}))
    client = app.test_client()
    get(client, "/sign-in")
    assert get(client, "/vary").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("text", "on"), [("False", False), ("0", False), ("no", False), ("True", True), ("1", True)])
def test_debug_is_read_as_flask_reads_it(text: str, on: bool) -> None:
    assert make("development", FLASK_DEBUG=text).debug == on


def test_an_ipv6_address_is_a_host() -> None:
    client = make(TRUSTED_HOSTS="[::1],www.example.org").test_client()
    for host in ("[::1]", "[::1]:8000", "www.example.org"):
        assert client.get("/open", headers={"Host": host}).status_code == 200
    assert client.get("/open", headers={"Host": "[::1]:8000", "Origin": "https://[::1]:8000"}).status_code == 200
    assert client.post("/open", headers={"Host": "[::1]:8000", "Origin": "https://[::1]:8000"}).status_code == 200
    for host in ("[::2]", "[::1].evil.example", "::1", "[::1]x", "evil.example", "[::1"):
        assert client.get("/open", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("hosts", [".example.org", ".example.org,[::1]", "localhost"])
def test_a_host_with_other_characters_is_rejected_whatever_its_end(hosts: str) -> None:
    """Older Werkzeugs take such a host into links."""
    client = make(TRUSTED_HOSTS=hosts).test_client()
    for host in (
        "evil.com/.example.org",
        "evil.com#.example.org",
        "evil.com?.example.org",
        "a@b.example.org",
        "a b.example.org",
    ):
        assert client.get("/open", environ_overrides={"HTTP_HOST": host}).status_code == 400


HOSTS = st.text(st.sampled_from("aA.-_:[]1@/ é*"), max_size=12)


@given(entry=HOSTS, host=HOSTS)
@example("www.example.org", "www.example.org.")
@example(".example.org", "a.example.org")
@example(".example.org", "evilexample.org")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_a_host_that_start_up_accepts_is_answered_and_no_other(entry: str, host: str) -> None:
    variables = {"TRUSTED_HOSTS": f"localhost,{entry}"}
    if entry.strip() and "," not in entry and mistake_in_host(entry.strip()):
        assert rejected(**variables).keys() == {"hosts-format"}
        return
    client = make(**variables).test_client()
    name = entry.strip().removeprefix(".").lower()
    if name:
        assert client.get("/open", headers={"Host": name}).status_code == 200
        assert client.get("/healthz", headers={"Host": "10.0.0.1"}).status_code == 200
    status = client.get("/open", environ_overrides={"HTTP_HOST": host.encode().decode("latin-1")}).status_code
    said = host.lower().rstrip(".").partition(":")[0]
    if said != name and not (entry.strip().startswith(".") and said.endswith(f".{name}")):
        assert status == 400 or said.startswith("[")


FORWARDED = {
    "X-Forwarded-For": "203.0.113.7, 198.51.100.2",
    "X-Forwarded-Proto": "http, https",
    "X-Forwarded-Host": "evil.example, localhost",
    "X-Forwarded-Prefix": "/evil",
    "X-Request-ID": "from-the-proxy",
}


@pytest.mark.parametrize(
    ("count", "status", "expected"),
    [
        ("", 200, {"address": "127.0.0.1", "link": "http://localhost/echo", "secure": False}),
        ("0", 200, {"address": "127.0.0.1", "link": "http://localhost/echo", "secure": False}),
        ("1", 200, {"address": "198.51.100.2", "link": "https://localhost/echo", "secure": True}),
        # Each proxy adds an address; of the other headers the last value is the nearest proxy's.
        ("2", 200, {"address": "203.0.113.7", "link": "https://localhost/echo", "secure": True}),
    ],
)
def test_forwarded_headers_count_for_as_many_proxies_as_are_configured(
    count: str, status: int, expected: object
) -> None:
    client = make(TRUSTED_PROXIES=count).test_client()
    response = client.get("/echo", headers=FORWARDED)
    assert response.status_code == status
    assert expected is None or response.json == expected
    assert (response.headers["X-Request-ID"] == "from-the-proxy") == (count in ("1", "2"))
    assert client.get("/healthz", headers=FORWARDED).status_code == 200


def test_each_request_has_an_id_of_its_own(client: FlaskClient) -> None:
    ids = {get(client, "/open", headers={"X-Request-ID": "mine"}).headers["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3
    assert "mine" not in ids


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(names=st.lists(st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), min_size=1, max_size=140)))
@example(["a.b:c=d+e/f-g_7", "a b", "<b>", "é", "x" * 128, "x" * 129])
def test_a_reverse_proxys_request_id_is_used_when_it_is_an_id(names: list[str]) -> None:
    client = make(TRUSTED_PROXIES="1").test_client()
    for name in names:
        shown = client.get("/open", headers={"X-Request-ID": name}).headers["X-Request-ID"]
        assert re.fullmatch(r"[A-Za-z0-9_.:=+/-]{1,128}", shown)
        assert (shown == name) == bool(re.fullmatch(r"[A-Za-z0-9_.:=+/-]{1,128}", name))


# Limits

FIELD = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
MULTIPART, URLENCODED = "multipart/form-data; boundary=b", "application/x-www-form-urlencoded"
OVER = "x" * (512 * 1024 + 1)
LARGE = {
    "body": ("x" * (2 * 1024 * 1024 + 1), MULTIPART),
    "form": (f"a={OVER}", URLENCODED),
    "field": (FIELD.format("a", OVER) + "--b--", MULTIPART),
    "parts": (FIELD.format("a", "x") * 201 + "--b--", MULTIPART),
}


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD"])
@pytest.mark.parametrize("kind", LARGE)
def test_more_than_the_limits_is_413(client: FlaskClient, kind: str, method: str) -> None:
    """Whatever the method: a view of GET and POST may read the form before it asks which one it is."""
    data, content_type = LARGE[kind]
    assert client.open("/echo", method=method, data=data, content_type=content_type).status_code == 413


def test_what_is_within_the_limits_is_read(client: FlaskClient) -> None:
    assert client.post("/echo", data={"a": "x" * 500_000}).status_code == 200
    assert client.post("/large", data=b"x" * 5_000_000).text == "5000000"  # the view allows more
    small = make(FLASK_MAX_CONTENT_LENGTH="10").test_client()
    assert small.post("/echo", data="a=12345678", content_type=URLENCODED).status_code == 200
    assert small.post("/echo", data="a=123456789", content_type=URLENCODED).status_code == 413
