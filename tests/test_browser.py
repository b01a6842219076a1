"""The page and the toolbar in a real Chromium."""

import base64
import hashlib
import html
import re
import secrets
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import flask_debugtoolbar
import pytest
from playwright.sync_api import Browser, Page
from support import SLUG, Project, clean_environ, fetch, free_port, serve, take_picture

PANELS = {"Security", "Version", "Timer", "Header", "RequestVars", "ConfigVars", "Template", "RouteList", "Logging"}
PANELS |= {"Profiler", "g"}
SECRETS = {"TOKEN": secrets.token_hex(20), "PASSWORD": secrets.token_urlsafe(20) + "@/é"}


# Reloads until the doctor, which begins with the server, has a result.
CHECKED = """() => {
    const checking = document.querySelector('#flDebugSecurityPanel-content').textContent.includes('checking');
    if (checking) setTimeout(() => location.reload(), 300);
    return !checking;
}"""


def open_every_panel(page: Page) -> dict[str, str]:
    """What each panel says, by its name; each is opened and closed by a click."""
    names = page.eval_on_selector_all("#flDebugPanelList > li[id$=Panel]:has(> a)", "all => all.map(each => each.id)")
    shown = {}
    for name in names:
        content = page.locator(f"#{name}-content")
        assert not content.is_visible()
        page.click(f"#{name} a")
        assert content.is_visible()
        shown[name.removeprefix("flDebug").removesuffix("Panel")] = content.inner_text().strip()
        page.click(f"#{name} a")
        assert not content.is_visible()
    return shown


def test_every_panel_opens_and_no_page_shows_the_key(project: Project, development: str, page: Page) -> None:
    for scheme, visits in (("dark", 1), ("light", 4)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(development)
        page.wait_for_function(CHECKED, timeout=20_000)
        page.goto(development)
        assert re.search(rf"{visits + 1} times|[0-9]+ times", page.inner_text("main"))
        assert project.key not in page.content()
        take_picture(page, "first-page")
        page.click("#flDebugProfilerPanel .flDebugSwitch")  # the profiler works from the next page on
        page.goto(development)
        panels = open_every_panel(page)
        assert panels.keys() >= PANELS
        assert "" not in panels.values()
        fingerprint = page.inner_text("main dd code >> nth=0")
        assert re.fullmatch("[0-9a-f]{12}", fingerprint)
        assert f"<key {fingerprint}>" in panels["ConfigVars"]
        page.click("#flDebugSecurityPanel a")
        take_picture(page, "security-panel")
        assert "Nothing is wrong." in panels["Security"]
        assert f"signs: {fingerprint}" in panels["Security"]
        assert page.inner_text("#flDebugSecurityPanel").strip() == "Security"
        assert project.key not in page.content()
        page.click("#flDebugSecurityPanel a")
        page.click("#flDebugConfigVarsPanel a")
        row = page.locator("#flDebugConfigVarsPanel-content tr", has_text="SESSION_COOKIE_HTTPONLY")
        box = row.bounding_box()
        assert box is not None
        assert box["height"] < 40, "the page's style breaks the toolbar's words"
        page.click("#flDebugConfigVarsPanel a")
        page.click("#flDebugProfilerPanel .flDebugSwitch")


def test_the_security_panel_shows_what_the_doctor_says_and_every_key(project: Project, tried: str, page: Page) -> None:
    page.goto(f"{tried}/inline")
    page.wait_for_function(CHECKED, timeout=20_000)
    assert "1" in page.inner_text("#flDebugSecurityPanel")  # problem
    panels = open_every_panel(page)
    for text in ("SESSION_COOKIE_HTTPONLY", "unset FLASK_SESSION_COOKIE_HTTPONLY", "signs: ", "verifies: "):
        assert text in panels["Security"], panels["Security"]
    # No key, and no secret of another setting, is anywhere in the page.
    for secret in (project.key, KEY, FALLBACK, *SECRETS.values(), quote(SECRETS["PASSWORD"], safe="")):
        assert secret not in html.unescape(page.content())
    assert "db.example" in panels["ConfigVars"]


def test_every_panel_opens_with_accounts(accounts: Project, tmp_path: Path, page: Page) -> None:
    """No console error, and so no violation; none is reported either."""
    env = clean_environ(DATABASE_URL=f"sqlite:///{tmp_path}/panels.sqlite")
    accounts.run("flask", "db", "upgrade", DATABASE_URL=env["DATABASE_URL"])
    port = free_port()
    with serve(
        [accounts.program("flask"), "run", "--no-reload", "--port", str(port)], port, accounts.path, env
    ) as address:
        for path in ("/", "/accounts/sign-up", "/accounts/sign-in"):
            page.goto(address + path)
            assert "" not in open_every_panel(page).values()
        assert "No violation." in open_every_panel(page)["Security"]


class Inline(HTMLParser):
    """Collects the inline scripts and the style attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.styles: set[str] = set()
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.inside = tag == "script" and "src" not in given
        self.styles |= {given["style"] or ""} if "style" in given else set()
        assert not [name for name in given if name.startswith("on") and name != "onclick"]

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self.inside = False


def sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_pinned_hashes_are_those_of_the_installed_toolbar(tried: str) -> None:
    """Those of its inline script and of its style attributes, and no other."""
    with urllib.request.urlopen(f"{tried}/form") as response:  # noqa: S310
        page, policy = response.read().decode(), response.headers["Content-Security-Policy"]
    pinned = {name: set(re.findall(r"'sha256-[^']+'", part)) for name, part in directives(policy).items()}
    found = Inline()
    found.feed(page)
    assert found.scripts
    assert pinned["script-src"] == {sha256(script) for script in found.scripts}
    templates = Path(flask_debugtoolbar.__file__).parent / "templates"
    text = "".join(path.read_text() for path in sorted(templates.rglob("*.html")) if "{%" in path.read_text())
    styles = set(re.findall(r'style="([^"{]*)"', text))
    assert found.styles <= styles
    assert pinned["style-src-attr"] == {sha256(style) for style in styles}
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy


def directives(policy: str) -> dict[str, str]:
    return {part.split()[0]: part for part in policy.split("; ")}


FORWARDED = ["Via", "CF-Connecting-IP", "True-Client-IP", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"]


@pytest.mark.parametrize("header", [*FORWARDED, "Forwarded"])
def test_the_toolbar_is_hidden_from_clients_behind_a_proxy_or_tunnel(tried: str, header: str) -> None:
    assert "flDebug" in fetch(f"{tried}/form")[1]
    for value in ("127.0.0.1", "1.1 tunnel"):
        status, page = fetch(f"{tried}/form", **{header: value})
        assert status == 200
        assert "flDebug" not in page
        for path in ("static/js/toolbar.js", "views/template/x"):
            assert fetch(f"{tried}/_debug_toolbar/{path}", **{header: value})[0] == 404
    assert fetch(f"{tried}/_debug_toolbar/static/js/toolbar.js")[0] == 200


def test_the_toolbar_hides_and_comes_back(tried: str, page: Page) -> None:
    page.goto(tried)
    page.click("#flDebugHideToolBarButton")
    page.wait_for_selector("#flDebugToolbar", state="hidden")
    page.reload()
    assert not page.locator("#flDebugToolbar").is_visible()
    page.click("#flDebugShowToolBarButton")
    page.wait_for_selector("#flDebugToolbar", state="visible")


def test_a_redirect_is_followed_under_the_toolbar(tried: str, page: Page) -> None:
    page.goto(f"{tried}/remember?what=a-matter")  # redirects, which the toolbar does not intercept
    assert page.url == f"{tried}/remembered"
    assert page.inner_text("p") == "remembered"
    assert "a-matter" in open_every_panel(page)["RequestVars"]


def test_streams_and_inline_scripts_pass_the_policy(tried: str, page: Page) -> None:
    page.goto(f"{tried}/stream")
    assert page.inner_text("p") == "run"
    assert page.locator("#flDebug").count() == 0  # the toolbar does not change streams
    page.goto(f"{tried}/inline")
    assert page.inner_text("p") == "run"
    assert page.locator("#flDebugToolbar").is_visible()


def test_an_injected_script_does_not_run(tried: str, browser: Browser) -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.goto(f"{tried}/injected")
    assert page.inner_text("p") == "not run"
    assert any("Content Security Policy" in error for error in errors)
    page.close()


KEY, FALLBACK = secrets.token_hex(32), secrets.token_hex(32)


@pytest.fixture(scope="module")
def tried(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service in development, with views, keys, secrets and a weak setting for these tests; gives its address."""
    place = tmp_path_factory.mktemp("tried")
    shutil.copy(Path(__file__).with_name("tried.py"), place)
    port = free_port()
    env = clean_environ(
        PYTHONPATH=str(place),
        FLASK_APP="tried",
        PWD=str(project.path),
        TRUSTED_HOSTS="127.0.0.1,localhost,service.test",
        SECRET_KEY=KEY,
        SECRET_KEY_FALLBACKS=FALLBACK,
        FLASK_SESSION_COOKIE_HTTPONLY="false",
        FLASK_PAYMENT_TOKEN=SECRETS["TOKEN"],
        FLASK_DATABASE_URL=f"postgres://ann:{quote(SECRETS['PASSWORD'], safe='')}@db.example/x",
    )
    command = [project.program("flask"), "run", "--no-reload", "--port", str(port)]
    with serve(command, port, project.path, env) as address:
        yield address


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """Another site, whose one page has a form that posts to the address in its query; gives its port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target = html.escape(parse_qs(urlsplit(self.path).query).get("to", [""])[0])
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            form = f"<form method=post action='{target}'><input name=a value=b><button>Win</button></form>"
            self.wfile.write(f"<!doctype html><title>x</title>{form}".encode())

        def log_message(self, *arguments: object) -> None:
            """No lines on the screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield str(server.server_port)
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("page_host", "service_host", "rule"),
    [
        ("127.0.0.1", "127.0.0.1", "Sec-Fetch-Site is same-site"),  # another port
        ("localhost", "127.0.0.1", "Sec-Fetch-Site is cross-site"),
        ("evil.test", "127.0.0.1", "Sec-Fetch-Site is cross-site"),
        ("evil.test", "service.test", "Origin is http://evil.test:"),  # to plain http, browsers say no more
    ],
)
def test_another_site_can_not_post(
    tried: str, elsewhere: str, browser: Browser, page_host: str, service_host: str, rule: str
) -> None:
    service = tried.replace("127.0.0.1", service_host)
    page = browser.new_page()
    page.goto(f"{service}/form")
    page.fill("input", "mine")
    page.click("text=Go")
    page.wait_for_url("**/act")
    assert page.inner_text("p >> nth=0") == "done: mine"
    page.goto(f"http://{page_host}:{elsewhere}/?to={service}/act")
    with page.expect_navigation() as navigation:
        page.click("text=Win")
    response = navigation.value
    assert response is not None
    assert response.status == 403
    assert rule in page.inner_text("main")
    page.close()


def test_error_pages(tried: str, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    response = page.goto(f"{tried}/nothing-here")
    assert response is not None
    assert response.status == 404
    assert "Request" in page.inner_text(".note")
    page.click("text=Back to the first page")
    assert page.url == f"{tried}/"
    response = page.goto(tried.replace("127.0.0.1", "other.test"))
    assert response is not None
    assert (response.status, response.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert "TRUSTED_HOSTS" in page.inner_text("body")
    assert not [error for error in errors if "Content Security Policy" in error]
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 900, 1280])
def test_readable_on_any_screen(tried: str, browser: Browser, scheme: str, width: int, tmp_path: Path) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(tried)
    page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)
    measure = "() => [document.documentElement.scrollWidth, innerWidth]"
    wide, screen = page.evaluate(measure)
    assert wide <= screen, "the page scrolls sideways"
    overlap = """() => {
        const bar = document.querySelector('#flDebugToolbar').getBoundingClientRect();
        return [...document.querySelectorAll('main > *')].some(each => {
            const box = each.getBoundingClientRect();
            return box.right > bar.left && box.left < bar.right && box.bottom > bar.top && box.top < bar.bottom;
        });
    }"""
    assert not page.evaluate(overlap), "the toolbar covers the page"
    contrast = """() => {
        const light = colour => {
            const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(value => {
                const part = value / 255;
                return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const behind = element => {
            for (let each = element; each; each = each.parentElement) {
                const colour = getComputedStyle(each).backgroundColor;
                if (colour !== 'rgba(0, 0, 0, 0)') return colour;
            }
            return 'rgb(255, 255, 255)';
        };
        return Math.min(...[...document.querySelectorAll('main p, main h1, main h2, main dt, main code')].map(each => {
            const pair = [light(getComputedStyle(each).color), light(behind(each))].sort((a, b) => b - a);
            return (pair[0] + 0.05) / (pair[1] + 0.05);
        }));
    }"""
    assert page.evaluate(contrast) >= 4.5, "WCAG AA"
    context.close()


MISTAKE = f"""
from {SLUG} import create_app
app = create_app()
app.add_url_rule("/-/mistake", "mistake", lambda: ("<html><body></body></html>", "422 Look again"))
response = app.test_client().get("/-/mistake")
print(response.status, "flDebug" in response.text, response.content_length == len(response.data))
"""


def test_the_toolbar_is_on_the_page_of_a_form_with_a_mistake(project: Project) -> None:
    assert project.run("python", "-c", MISTAKE, APP_ENV="development").endswith("422 Look again True True\n")
