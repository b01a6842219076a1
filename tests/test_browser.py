"""The page and the toolbar in a real Chromium."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from support import Project, need

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
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


def test_a_panel_opens_by_a_click_and_no_page_shows_the_key(project: Project, development: str, page: Page) -> None:
    page.goto(development)
    page.goto(development)
    assert "2 times" in page.inner_text("main")
    assert project.key not in page.content()
    if picture := os.environ.get("README_PICTURE"):
        page.screenshot(path=picture)
    for panel in PANELS:
        content = page.locator(f"#flDebug{panel}Panel-content")
        assert not content.is_visible()
        page.click(f"#flDebug{panel}Panel a")
        assert content.is_visible()
        page.click(f"#flDebug{panel}Panel a")
        assert not content.is_visible()
    page.click("#flDebugConfigPanel a")
    row = page.locator("#flDebugConfigPanel-content tr", has_text="SESSION_COOKIE_HTTPONLY").bounding_box()
    assert row is not None
    assert row["height"] < 40, "the page's style breaks the toolbar's words"
    panel_text = page.inner_text("#flDebugConfigPanel-content")
    fingerprint = page.inner_text("main dd code >> nth=0")
    assert f"<key {fingerprint}>" in panel_text
    assert project.key not in page.content()


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
