"""The page and the toolbar in a real Chromium."""

import html
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import asgiref
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from support import SLUG, Project, clean_environ, free_port, need, serve

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
]
PANELS = [
    "Security",
    "Config",
    "Version",
    "Timer",
    "Header",
    "Request",
    "Template",
    "Logging",
    "RouteList",
    "g",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = need("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing may go wrong: no error in the console, no failed request, no foreign host."""
    context = browser.new_context(viewport={"width": 1280, "height": 990})
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # Leaving a page ends the requests under way.
    page.on("requestfailed", lambda r: None if r.failure == "net::ERR_ABORTED" else wrong.append(r.url))
    page.on("request", lambda r: None if r.url.startswith(("http://127.0.0.1:", "data:")) else wrong.append(r.url))
    yield page
    context.close()
    assert wrong == []


def take_picture(page: Page, name: str) -> None:
    """For the README: `make picture`."""
    if folder := os.environ.get("README_PICTURES"):
        page.screenshot(path=Path(folder, f"{name}.png"))


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_panel_opens_and_no_page_shows_the_key(
    project: Project, development: str, page: Page, scheme: Literal["dark", "light"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(development)
    page.goto(development)
    assert "2 times" in page.inner_text("main")
    assert project.key not in page.content()
    page.wait_for_function(LOOKED, timeout=20_000)
    take_picture(page, "first-page")
    page.click("#flDebugProfilerPanel .flDebugSwitch")  # the profiler works from the next page on
    page.goto(development)
    assert "nothing is wrong" in page.inner_text("#flDebugSecurityPanel")
    for panel in [*PANELS, "Profiler"]:
        content = page.locator(f"#flDebug{panel}Panel-content")
        assert not content.is_visible()
        page.click(f"#flDebug{panel}Panel a")
        assert content.is_visible()
        assert content.inner_text().strip()
        page.click(f"#flDebug{panel}Panel a")
        assert not content.is_visible()
    page.click("#flDebugConfigPanel a")
    row = page.locator("#flDebugConfigPanel-content tr", has_text="SESSION_COOKIE_HTTPONLY")
    assert "config/default.py" in row.inner_text()
    box = row.bounding_box()
    assert box is not None
    assert box["height"] < 40, "the page's style breaks the toolbar's words"
    fingerprint = page.inner_text("main dd code >> nth=0")
    assert f"<key {fingerprint}>" in page.inner_text("#flDebugConfigPanel-content")
    page.click("#flDebugSecurityPanel a")
    take_picture(page, "security-panel")
    security = page.inner_text("#flDebugSecurityPanel-content")
    for shown in (fingerprint, "Content-Security-Policy", "X-Request-ID", f"{SLUG}_session=[redacted]; HttpOnly"):
        assert shown in security
    assert project.key not in page.content()


# Reloads until the doctor, who begins with the server, has looked at both environments.
LOOKED = """() => {
    const done = document.querySelector('#flDebugSecurityPanel').innerText.toLowerCase().includes('nothing');
    if (!done) setTimeout(() => location.reload(), 300);
    return done;
}"""


def test_the_toolbar_hides_and_comes_back(development: str, page: Page) -> None:
    page.goto(development)
    page.click("#flDebugHideToolBarButton")
    page.wait_for_selector("#flDebugToolbar", state="hidden")
    page.reload()
    assert not page.locator("#flDebugToolbar").is_visible()
    page.click("#flDebugShowToolBarButton")
    page.wait_for_selector("#flDebugToolbar", state="visible")


def test_a_page_has_the_session_where_it_is_asked_for(tried: str, page: Page) -> None:
    page.goto(f"{tried}/remember?what=a-private-matter")
    page.goto(f"{tried}/coroutine")
    assert page.inner_text("p") == "awaited"
    page.click("#flDebugRequestPanel a")
    assert "private" in page.inner_text("#flDebugRequestPanel-content")  # the name
    cookie = next(each for each in page.context.cookies() if each["name"] == f"{SLUG}_session")
    for secret in ("a-private-matter", cookie["value"], cookie["value"].split(".")[0]):
        assert secret not in page.content()
    page.click("text=Show its values")
    page.wait_for_selector("#flDebugWindow table")
    assert "a-private-matter" in page.inner_text("#flDebugWindow")
    page.click("#flDebugWindow a.flDebugBack")
    assert not page.locator("#flDebugWindow").is_visible()


def test_streams_and_inline_scripts_pass_the_policy(tried: str, page: Page) -> None:
    page.goto(f"{tried}/stream")
    assert page.inner_text("p") == "run"
    assert page.locator("#flDebug").count() == 0  # the log says why
    page.goto(f"{tried}/inline")
    assert page.inner_text("p") == "run"
    assert page.locator("#flDebugToolbar").is_visible()


def test_under_a_prefix(tried: str, page: Page) -> None:
    page.goto(f"{tried}/prefix/inline")
    page.click("#flDebugSecurityPanel a")
    assert page.locator("#flDebugSecurityPanel-content").is_visible()


def test_a_script_that_somebody_got_into_a_page_is_not_run(tried: str, browser: Browser) -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.goto(f"{tried}/injected")
    assert page.inner_text("p") == "not run"
    assert any("Content Security Policy" in error for error in errors)
    page.close()


@pytest.fixture(scope="module")
def tried(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The shared project's service in development, with views for these tests; gives its address."""
    place = tmp_path_factory.mktemp("tried")
    shutil.copy(Path(__file__).with_name("tried.py"), place)
    (place / "asgiref").symlink_to(Path(asgiref.__file__).parent)
    port = free_port()
    env = clean_environ(PYTHONPATH=str(place), FLASK_APP="tried", TRUSTED_HOSTS="127.0.0.1,localhost,service.test")
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
    answer = navigation.value
    assert answer is not None
    assert answer.status == 403
    assert rule in page.inner_text("main")
    page.close()


def test_a_redirect_is_followed(development: str, page: Page) -> None:
    page.goto(f"{development}/static/../")
    assert "development" in page.inner_text("main")


def test_an_error_page(development: str, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(f"{development}/nothing-here")
    assert answer is not None
    assert answer.status == 404
    page.click("text=Back to the first page")
    assert page.url == f"{development}/"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 900, 1280])
def test_readable_on_any_screen(development: str, browser: Browser, scheme: str, width: int, tmp_path: Path) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(development)
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
