"""One view or blueprint differs from the rest: its policy, its headers."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from flask import Blueprint, Flask, Response, abort, render_template_string, stream_template_string
from flask.views import MethodView
from support import clean_environ, policy_of

import flask_secure
from flask_secure import csp_override, csrf_exempt, header_override
from flask_secure.checks import run
from flask_secure.headers import HeadersMiddleware

INLINE = "<body><script nonce='{{ csp_nonce() }}'></script></body>"
PAY = "https://pay.example.org"
TRIED = "Content-Security-Policy-Report-Only"


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    variables = clean_environ(SECRET_KEY=secrets.token_hex(32), TRUSTED_HOSTS="localhost")
    with patch.dict(os.environ, variables, clear=True):
        yield tmp_path


@pytest.fixture
def app(root: Path) -> Flask:
    return make(root)


def make(root: Path, **settings: Any) -> Flask:
    app = Flask("shop", root_path=str(root))
    app.config.update(settings)
    flask_secure.init_app(app, "production")
    app.add_url_rule("/other", "other", lambda: render_template_string(INLINE))
    return app


def get(app: Flask, path: str, method: str = "GET", **headers: str) -> Response:
    return app.test_client().open(path, method=method, base_url="https://localhost", headers=headers)


def test_a_view_adds_sources_and_the_others_do_not(app: Flask) -> None:
    @app.get("/pay")
    @csp_override(add={"form-action": [PAY], "Img-Src": ["data:"], "media-src": ["'self'"], "frame-ancestors": [PAY]})
    def pay() -> str:
        return render_template_string(INLINE)

    before = policy_of(get(app, "/other"))
    policy = policy_of(get(app, "/pay"))
    assert policy["form-action"] == ["'self'", PAY]
    assert policy["img-src"] == ["'self'", "data:"]
    assert policy["media-src"] == ["'self'"]
    assert policy["frame-ancestors"] == [PAY]  # without 'none'
    assert policy["script-src"][1].startswith("'nonce-")
    after = policy_of(get(app, "/other"))
    assert {name: after[name] for name in after if not name.startswith(("script", "style"))} == {
        name: before[name] for name in before if not name.startswith(("script", "style"))
    }


def test_the_nonce_is_in_a_stream_too(app: Flask) -> None:
    @app.get("/stream")
    @csp_override(add={"script-src": ["https://cdn.example.org"]})
    def stream() -> Any:
        return stream_template_string(INLINE)

    response = get(app, "/stream")
    nonce = response.text.partition("nonce='")[2].partition("'")[0]
    assert policy_of(response)["script-src"] == ["'self'", "https://cdn.example.org", f"'nonce-{nonce}'"]


def test_a_directive_is_removed_or_replaced(app: Flask) -> None:
    @app.get("/embedded")
    @csp_override(remove=["FORM-ACTION", "img-src"], add={"img-src": ["https://a.example"]})
    def embedded() -> str:
        return "embedded"

    policy = policy_of(get(app, "/embedded"))
    assert "form-action" not in policy
    assert policy["img-src"] == ["https://a.example"]


def test_a_policy_is_made_report_only(root: Path) -> None:
    app = make(root, CONTENT_SECURITY_POLICY_REPORT_ONLY={"img-src": ["'none'"]})

    @app.get("/old")
    @csp_override(report_only=True, add={"img-src": ["https://a.example"]})
    def old() -> str:
        return "old"

    response = get(app, "/old")
    assert "Content-Security-Policy" not in response.headers
    assert "img-src 'self' https://a.example" in response.headers[TRIED]
    assert "default-src 'none'" in response.headers[TRIED]


def test_what_is_added_is_added_to_the_tried_policy_too(root: Path) -> None:
    app = make(root, CONTENT_SECURITY_POLICY_REPORT_ONLY=True, CSP_REPORTS=True)

    @app.get("/pay")
    @csp_override(add={"form-action": [PAY]})
    def pay() -> str:
        return "pay"

    headers = get(app, "/pay").headers
    for name in ("Content-Security-Policy", TRIED):
        assert f"form-action 'self' {PAY};" in headers[name]
        assert "report-uri /_csp_reports" in headers[name]


def test_headers_are_replaced_and_removed(app: Flask) -> None:
    @app.get("/popup")
    @header_override("cross-origin-opener-policy", "same-origin-allow-popups")
    @header_override("X-FRAME-OPTIONS", None)
    @header_override("X-Own", "1")
    def popup() -> str:
        return "popup"

    response = get(app, "/popup")
    assert response.headers.getlist("Cross-Origin-Opener-Policy") == ["same-origin-allow-popups"]
    assert "X-Frame-Options" not in response.headers
    assert response.headers["X-Own"] == "1"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    other = get(app, "/other").headers
    assert (other["Cross-Origin-Opener-Policy"], other["X-Frame-Options"]) == ("same-origin", "DENY")


def test_a_blueprint_differs_and_its_views_more(app: Flask) -> None:
    bp = Blueprint("docs", __name__, url_prefix="/docs")
    assert csp_override(add={"img-src": ["https://a.example"]})(bp) is bp
    header_override("X-Own", "blueprint")(bp)
    bp.add_url_rule("/", "all", lambda: "all")

    @bp.get("/one")
    @csp_override(add={"img-src": ["https://b.example"]})
    @header_override("X-Own", "view")
    def one() -> str:
        return "one"

    app.register_blueprint(bp)
    assert policy_of(get(app, "/docs/"))["img-src"] == ["'self'", "https://a.example"]
    assert policy_of(get(app, "/docs/one"))["img-src"] == ["'self'", "https://a.example", "https://b.example"]
    assert get(app, "/docs/").headers["X-Own"] == "blueprint"
    assert get(app, "/docs/one").headers["X-Own"] == "view"
    assert policy_of(get(app, "/other"))["img-src"] == ["'self'"]


def test_any_kind_of_view_can_be_decorated(app: Flask) -> None:
    class Page(MethodView):
        decorators = (header_override("X-Own", "class"), csrf_exempt)

        def post(self) -> str:
            return "posted"

    @app.get("/async")
    @header_override("X-Own", "async")
    async def coroutine() -> str:
        return "async"

    @app.post("/exempt")
    @header_override("X-Own", "exempt")
    @csrf_exempt
    def exempt() -> str:
        return "exempt"

    app.add_url_rule("/page", view_func=Page.as_view("page"))
    cross_site = {"Sec-Fetch-Site": "cross-site"}
    assert get(app, "/page", "POST", **cross_site).headers["X-Own"] == "class"
    assert get(app, "/exempt", "POST", **cross_site).headers["X-Own"] == "exempt"
    if pytest.importorskip("asgiref", reason="async views: uv add 'flask[async]'"):
        assert get(app, "/async").headers["X-Own"] == "async"


def test_a_view_that_fails_keeps_its_headers_and_its_own_win(app: Flask) -> None:
    @app.get("/gone")
    @header_override("X-Frame-Options", None)
    def gone() -> str:
        abort(404)

    @app.get("/own")
    @header_override("X-Frame-Options", "SAMEORIGIN")
    @csp_override(add={"img-src": ["https://a.example"]})
    def own() -> Response:
        return Response("", headers={"x-frame-options": "DENY", "Content-Security-Policy": "sandbox"})

    assert "X-Frame-Options" not in get(app, "/gone").headers
    response = get(app, "/own")
    assert response.headers.getlist("X-Frame-Options") == ["DENY"]
    assert response.headers.getlist("Content-Security-Policy") == ["sandbox"]


@pytest.mark.parametrize(
    ("decorator", "arguments"),
    [
        (csp_override, {"add": {"form-action": ["self"]}}),
        (csp_override, {"add": {"form-action": ["https://a https://b"]}}),
        (csp_override, {"add": {"form-action": ["https://a;img-src"]}}),
        (csp_override, {"add": {"form-action": "'self'"}}),
        (csp_override, {"add": {"form_action": ["'self'"]}}),
        (csp_override, {"add": {7: ["'self'"]}}),
        (csp_override, {"add": {"form-action": [None]}}),
        (csp_override, {"remove": "form-action"}),
        (csp_override, {"remove": ["form action"]}),
        (csp_override, {"remove": [7]}),
        (header_override, {"name": "X Own", "value": "a"}),
        (header_override, {"name": "X-Own", "value": "a\nb"}),
        (header_override, {"name": "X-Own", "value": 7}),
        (header_override, {"name": 7, "value": None}),
        (header_override, {"name": "content-security-policy", "value": None}),
        (header_override, {"name": TRIED, "value": "img-src *"}),
    ],
)
def test_values_are_checked_when_they_are_applied(decorator: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="_override"):
        decorator(**arguments)


def test_a_class_is_told_where_to_put_it() -> None:
    with pytest.raises(TypeError, match="decorators"):
        header_override("X-Own", "1")(MethodView)


def found(app: Flask, is_loaded: bool = True) -> set[tuple[str, str]]:
    record = app.extensions["flask_secure"]
    record.loaded_app = app if is_loaded else None
    problems = run(record, at_startup=False)
    return {(each.id, each.message.partition(":")[0]) for each in problems if each.id.startswith("route-")}


def test_the_doctor_judges_what_views_change(app: Flask) -> None:
    bp = Blueprint("blue", __name__)
    csp_override(add={"script-src": ["'unsafe-inline'"]})(bp)
    header_override("Access-Control-Allow-Origin", "*")(bp)

    @app.get("/bad")
    @csp_override(remove=["object-src"])
    @header_override("X-Content-Type-Options", None)
    def bad() -> str:
        return "bad"

    @app.get("/tried")
    @csp_override(report_only=True)
    def tried() -> str:
        return "tried"

    @app.get("/good")
    @csp_override(add={"form-action": [PAY], "frame-ancestors": [PAY]})
    @header_override("X-Frame-Options", None)
    @header_override("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
    def good() -> str:
        return "good"

    @csp_override(add={"img-src": ["data:"]})
    @app.get("/above")
    def above() -> str:
        return "above"

    app.register_blueprint(bp)
    assert found(app, is_loaded=False) == set()
    assert found(app) == {
        ("route-override", "the blueprint blue"),
        ("route-override", "the view bad"),
        ("route-override", "the view tried"),
        ("route-order", "An override of above stands above its route, and has no effect"),
    }


def test_a_route_is_put_together_once(app: Flask) -> None:
    @app.get("/pay")
    @csp_override(add={"form-action": [PAY]})
    def pay() -> str:
        return "pay"

    middleware = app.wsgi_app
    assert isinstance(middleware, HeadersMiddleware)
    get(app, "/other")
    assert len(middleware.of_routes) == 0
    for _ in range(3):
        get(app, "/pay")
    assert len(middleware.of_routes) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"CONTENT_SECURITY_POLICY": {"script-src": ["'strict-dynamic'", "'unsafe-hashes'", "'sha256-abc='"]}},
        {"CONTENT_SECURITY_POLICY": {"require-trusted-types-for": ["'script'"], "trusted-types": ["own", "default"]}},
        {"CONTENT_SECURITY_POLICY": {"report-uri": ["https://reports.example.org/csp"], "report-to": ["own"]}},
        {"SECURITY_HEADERS": {"Integrity-Policy": "blocked-destinations=(script), endpoints=(own)"}},
        {"SECURITY_HEADERS": {"Reporting-Endpoints": 'own="https://reports.example.org/csp"'}},
    ],
)
def test_what_is_stricter_is_accepted_and_sent(root: Path, settings: dict[str, Any]) -> None:
    app = make(root, **settings)
    response = get(app, "/other")
    for name, sources in settings.get("CONTENT_SECURITY_POLICY", {}).items():
        assert policy_of(response)[name][: len(sources)] == sources
    for name, value in settings.get("SECURITY_HEADERS", {}).items():
        assert response.headers[name] == value
    problems = list(run(app.extensions["flask_secure"], at_startup=False))
    assert problems == []
