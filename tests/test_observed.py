"""An application that is only observed, in Chromium: it works as before, and prints the policy that it needs."""

import ast
import re
import tarfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page
from sites import START, Site
from support import run

PROTECT = 'flask_secure.init_app(app, "development")'
OBSERVE = "from flask_secure.observed import observe_policy\n\nobserve_policy(app)"
LINE = re.compile(r"^(?:.*flask_secure\.reports: )?(\S+ )(?:would block|blocks)( .+?\.) (.*)", re.MULTILINE)

TUTORIAL = """
import os

from flaskr import create_app, db

import flask_secure

app = create_app()
app.config["DEBUG_TB_ENABLED"] = False  # the toolbar covers links of a narrow page
app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
if not os.path.exists(app.config["DATABASE"]):
    with app.app_context():
        db.init_db()
{settings}
"""


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application of Flask's tutorial, from Flask's own release."""
    place = tmp_path_factory.mktemp("tutorial")
    wanted = ("--no-deps", "--no-binary", "flask", f"flask=={version('flask')}")
    run("uv", "tool", "run", "pip", "download", "--quiet", "--dest", place, *wanted, cwd=place)
    (archive,) = place.glob("*.tar.gz")
    with tarfile.open(archive) as release:
        release.extractall(place, filter="data")
    (folder,) = place.glob("*/examples/tutorial/flaskr")
    return folder


def tutorial_site(folder: Path, flaskr: Path, protect: str, settings: str = "") -> Site:
    site = Site(folder, head=TUTORIAL, settings=f"{settings}\n{protect}")
    (folder / "flaskr").symlink_to(flaskr)
    return site


def write_a_post(tab: Page, address: str) -> None:
    """Register, log in and write a post, on whose page to edit it this ends."""
    for path in ("register", "login"):
        tab.goto(f"{address}/auth/{path}")
        tab.fill("#username", "ann")
        tab.fill("#password", "secret")
        tab.click("input[type=submit]")
    tab.goto(f"{address}/create")
    tab.fill("#title", "A post")
    tab.click("input[type=submit]")
    tab.click("text=Edit")


def test_the_tutorials_delete_asks(tmp_path: Path, tab: Page, tutorial: Path) -> None:
    """Under observation it asks, and the terminal says what the policy would do to it. Enforced, it does not ask."""
    for protect, asked in ((OBSERVE, 1), (PROTECT, 0)):
        site = tutorial_site(tmp_path / str(asked), tutorial, protect)
        questions: list[str] = []

        def dismiss(dialog: Dialog, questions: list[str] = questions) -> None:
            questions.append(dialog.message)
            dialog.dismiss()

        tab.on("dialog", dismiss)
        with site.served() as address:
            write_a_post(tab, address)
            site.wait_for("guard that is gone")
            assert "on /<int:id>/update. " in site.reported()
            assert ("Once enforced" in site.reported()) == bool(asked)
            tab.click("input.danger", no_wait_after=True)
            tab.wait_for_timeout(500)
            tab.goto(address)
            assert len(questions) == asked
            assert tab.locator("article.post").count() == asked
        tab.remove_listener("dialog", dismiss)


def visit_tutorial(tab: Page, address: str) -> None:
    write_a_post(tab, address)


def visit_first_page(tab: Page, address: str) -> None:
    tab.goto(address)


def visit_admin(tab: Page, address: str) -> None:
    for path in ("/admin/", "/admin/note/", "/admin/note/new/"):
        tab.goto(address + path)


def said(site: Site) -> dict[str, str]:
    """What the terminal says to do about each violation."""
    return {found[1] + found[2]: found[3] for found in LINE.finditer(site.log.read_text())}


def printed_policy(site: Site) -> dict[str, list[str]]:
    """The policy that the terminal has printed, as someone who copies it would put it together."""
    found: dict[str, list[str]] = {}
    for line in re.findall(r"^ +CONTENT_SECURITY_POLICY = (.+)  # in the application$", site.log.read_text(), re.M):
        found |= ast.literal_eval(line)
    return found


ADMIN = """
from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from flask_sqlalchemy import SQLAlchemy

app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///notes.sqlite"
db = SQLAlchemy(app)


class Note(db.Model):
    id = db.mapped_column(db.Integer, primary_key=True)


with app.app_context():
    db.create_all()
Admin(app, csp_nonce_generator=flask_secure.csp_nonce).add_view(ModelView(Note, db))
"""


@pytest.mark.parametrize("name", ["tutorial", "shop", "admin"])
def test_the_printed_policy_leaves_only_what_it_said_cant_be_allowed(
    tmp_path: Path, tab: Page, tutorial: Path, libraries: Path, elsewhere: Callable[..., str], name: str
) -> None:
    svg = elsewhere("<svg xmlns='http://www.w3.org/2000/svg'></svg>", kind="image/svg+xml")
    script, style = elsewhere("1", kind="text/javascript"), elsewhere("p {}", kind="text/css")
    shop = (
        f"<img src='{svg}/x'><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='><script src='{script}/x'></script>"
        f"<link rel=stylesheet href='{style}/x'><iframe src='{svg}/frame'></iframe><script>x = 1</script>"
        "<script src='data:text/javascript,1'></script><p style='color: red' onclick='x'></p>"
    )

    def make(folder: str, protect: str, settings: str = "") -> Site:
        if name == "tutorial":
            return tutorial_site(tmp_path / folder, tutorial, protect, settings)
        head = START.replace(PROTECT, protect)
        code = ADMIN if name == "admin" else ""
        return Site(tmp_path / folder, settings=settings, head=head, code=code, index=shop)

    visit = {"tutorial": visit_tutorial, "shop": visit_first_page, "admin": visit_admin}[name]
    observed = make("observed", OBSERVE)
    with observed.served(libraries) as address:
        visit(tab, address)
        tab.wait_for_timeout(1000)
        advice, policy = said(observed), printed_policy(observed)
    cant = {violation for violation, text in advice.items() if not text.startswith("If it is meant")}
    assert len(advice) > len(cant) or name != "shop"
    protected = make("protected", PROTECT, f"app.config['CONTENT_SECURITY_POLICY'] = {policy!r}")
    with protected.served(libraries) as address:
        visit(tab, address)
        tab.wait_for_timeout(1000)
        left = set(said(protected))
    assert left
    assert left <= cant
