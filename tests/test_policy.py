"""The policy in Chromium: what is seen of it, and each recipe of docs/policy.md."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page
from sites import Site, blocked
from support import RAW_PROJECT, run

RECIPES = RAW_PROJECT / "docs" / "policy.md"


def blocks(heading: str, language: str) -> list[str]:
    """The code under a heading of docs/policy.md."""
    section = RECIPES.read_text().partition(f"# {heading}\n")[2]
    section = re.split(r"^##", section, flags=re.MULTILINE)[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)


# What is seen of a violation


def test_a_violation_is_in_the_terminal_and_on_the_next_page(
    tmp_path: Path, tab: Page, elsewhere: Callable[..., str]
) -> None:
    picture = elsewhere("", kind="image/png")
    view = "\n\n@app.get('/reset/<token>')\ndef reset(token):\n    return render_template('reset.html')\n"
    page = f"<img src='{picture}/x'><button onclick='x()'>x</button><script>x()</script><p style='x'>"
    site = Site(tmp_path, code=view, reset=page)
    with site.served() as address:
        tab.goto(f"{address}/reset/nRvL5xXq")
        for text in ("img-src blocks http://localhost:", "guard that is gone", "csp_nonce", "style-src-attr"):
            site.wait_for(text)
        assert "on /reset/<token>." in site.reported()
        assert "nRvL5xXq" not in site.reported()
        tab.goto(address)
        assert "(8)" in tab.inner_text("#flDebugSecurityPanel")  # four in the browser, four in the template
        tab.click("#flDebugSecurityPanel a")
        content = tab.inner_text("#flDebugSecurityPanel-content")
        for text in ("guard that is gone", "on /reset/<token>", f"'{picture}'"):
            assert text in content


@pytest.mark.parametrize("host", ["evil.test", "localhost", "127.0.0.1"])
def test_a_report_forged_by_another_site_makes_no_text_to_copy(
    tmp_path: Path, tab: Page, elsewhere: Callable[..., str], host: str
) -> None:
    site = Site(tmp_path)
    with site.served() as address:
        policy = f"img-src 'none'; report-uri {address}/_csp_reports"
        evil = elsewhere("<img src='https://forged.example/x'>", host=host, Content_Security_Policy=policy)
        tab.goto(evil)
        site.wait_for("img-src blocks https://forged.example on a page of another site")
        assert "CONTENT_SECURITY_POLICY" not in site.log.read_text()


# The recipes


def test_recipe_payment_page(tmp_path: Path, tab: Page, elsewhere: Callable[..., str]) -> None:
    pay = elsewhere("<p>paid</p>")
    (code,) = blocks("A payment page", "python")
    code = code.replace("https://pay.example.org", pay) + code.replace("pay()", "plain()").replace(
        '"/pay"', '"/plain"'
    ).replace('@csp_override(add={"form-action": ["https://pay.example.org"]})\n', "")
    form = f"<form method=post action='{pay}/'><button id=go>Pay</button></form>"
    with Site(tmp_path, code=code, pay=form).served() as address:
        messages = blocked(tab)
        tab.goto(f"{address}/plain")
        tab.click("#go", no_wait_after=True)
        tab.wait_for_timeout(300)
        assert len(messages) == 1
        assert tab.url == f"{address}/plain"
        tab.goto(f"{address}/pay")
        tab.click("#go")
        tab.wait_for_url(f"{pay}/")
        assert tab.inner_text("p") == "paid"
        assert len(messages) == 1


def test_recipe_sign_in_in_a_popup(tmp_path: Path, tab: Page, elsewhere: Callable[..., str]) -> None:
    provider = elsewhere("<script>if (opener) opener.postMessage('signed in', '*')</script>")
    (code,) = blocks("A sign-in in a popup (OAuth)", "python")
    script = f"""<p>not yet</p><button id=go>Sign in</button><script nonce="{{{{ csp_nonce() }}}}">
      document.querySelector('#go').addEventListener('click', () => open('{provider}/'));
      addEventListener('message', event => {{ document.querySelector('p').textContent = event.data }});
    </script>"""
    with Site(tmp_path, code=code, sign_in=script, index=script).served() as address:
        for path, said in (("/", "not yet"), ("/sign-in", "signed in")):
            tab.goto(address + path)
            tab.click("#go")
            tab.wait_for_timeout(1000)
            assert tab.inner_text("p") == said


def test_recipe_embedded_widget(tmp_path: Path, tab: Page, elsewhere: Callable[..., str]) -> None:
    code, cookie = blocks("A widget that another site embeds", "python")
    count = "{% set _ = session.update(n=session.get('n', 0) + 1) %}<p>{{ session.n }}</p>"
    for settings in ("", cookie + "SESSION_COOKIE_SECURE = True\n"):
        folder = tmp_path / str(len(settings))
        (folder / "config").mkdir(parents=True)
        (folder / "config/default.py").write_text(settings)
        site = Site(folder, code=code.replace("https://partner.example.org", "http://*:*"), widget=count)
        with site.served() as address:
            address = address.replace("127.0.0.1", "localhost")  # where browsers take Secure cookies
            partner = elsewhere(f"<iframe src='{address}/widget'></iframe>", host="127.0.0.1")
            stranger = elsewhere(f"<iframe src='{address}/'></iframe>", host="127.0.0.1")
            messages = blocked(tab)
            tab.goto(stranger)
            tab.wait_for_timeout(300)
            assert "frame-ancestors" in "".join(messages)
            for visit in (1, 2):
                tab.goto(partner)
                seen = str(visit) if settings else "1"
                assert tab.frames[1].inner_text("p") == seen


def test_recipe_pictures_from_another_host(tmp_path: Path, tab: Page, elsewhere: Callable[..., str]) -> None:
    picture = "<svg xmlns='http://www.w3.org/2000/svg' width='7' height='7'></svg>"
    host = elsewhere(picture, kind="image/svg+xml")
    (setting,) = blocks("Pictures from another host", "python")
    setting = f"app.config['CONTENT_SECURITY_POLICY'] = {setting.partition('=')[2]}"
    page = f"<img src='{host}/x.svg'>"
    width = "() => document.querySelector('img').naturalWidth"
    for settings, wide in (("", 0), (setting.replace("https://images.example.org", host), 7)):
        with Site(tmp_path, settings=settings, index=page).served() as address:
            tab.goto(address)
            assert tab.evaluate(width) == wide


def test_recipe_swagger_ui(tmp_path: Path, tab: Page, libraries: Path) -> None:
    (code,) = blocks("Swagger UI", "python")
    (template,) = blocks("Swagger UI", "html")
    code += """
@app.get("/openapi.json")
def openapi():
    operation = {"get": {"summary": "Say hello", "responses": {"200": {"description": "hello"}}}}
    return {"openapi": "3.0.0", "info": {"title": "Hello", "version": "1"}, "paths": {"/hello": operation}}


@app.get("/hello")
def hello():
    return {"hello": "world"}
"""
    without_toolbar = "app.config['DEBUG_TB_ENABLED'] = False"  # which covers the buttons
    site = Site(tmp_path, settings=without_toolbar, code=code, swagger=template)
    dist = Path(run(libraries, "-c", "import flask_swagger_ui as s; print(s.__file__)", cwd=tmp_path).strip())
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        shutil.copy(dist.parent / "dist" / name, tmp_path / "static")
    with site.served() as address:
        messages = blocked(tab)
        tab.goto(f"{address}/api-docs")
        tab.click("text=Say hello")
        tab.click("text=Try it out")
        tab.click("button:text('Execute')")
        tab.wait_for_selector("text=world")
        assert messages == []
        assert site.reported() == ""


ADMIN = """
from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from flask_sqlalchemy import SQLAlchemy

app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///notes.sqlite"
db = SQLAlchemy(app)


class Note(db.Model):
    id = db.mapped_column(db.Integer, primary_key=True)
    text = db.mapped_column(db.String)


with app.app_context():
    db.create_all()
    db.session.add_all([Note(text="first"), Note(text="second")])
    db.session.commit()

{recipe}

admin.add_view({view}(Note, db))
"""


def test_recipe_flask_admin(tmp_path: Path, tab: Page, libraries: Path) -> None:
    (recipe,) = blocks("Flask-Admin", "python")
    (script,) = blocks("Flask-Admin", "js")
    for view, asked, left in (("ModelView", 0, 1), ("AskingView", 1, 2)):
        folder = tmp_path / view
        site = Site(folder, code=ADMIN.replace("{recipe}", recipe).replace("{view}", view))
        (folder / "static/confirm_delete.js").write_text(script)
        questions: list[str] = []

        def dismiss(dialog: object, questions: list[str] = questions) -> None:
            questions.append(dialog.message)  # type: ignore[attr-defined]
            dialog.dismiss()  # type: ignore[attr-defined]

        tab.on("dialog", dismiss)
        with site.served(libraries, SQLALCHEMY_WARN_20="0") as address:
            tab.goto(f"{address}/admin/note/")
            tab.locator("form[action$='/delete/'] button").first.click(no_wait_after=True)
            tab.wait_for_timeout(1000)
            tab.goto(f"{address}/admin/note/")
            assert len(questions) == asked
            assert tab.locator("td.col-text").count() == left
            site.wait_for("guard that is gone")  # of the library's own handler
            tab.goto(f"{address}/admin/note/new/")
            tab.fill("#text", "third")
            tab.click("input[type=submit]")
            tab.wait_for_selector("text=third")
            assert "script-src-elem" not in site.reported()
        tab.remove_listener("dialog", dismiss)


DASH = """
from dash import Dash, Input, Output, dash_table, dcc, html

dash = Dash(__name__, server=app, url_base_pathname="/dash/")
dash.layout = html.Div([
    html.H1("Numbers", style={"color": "green"}),
    dcc.Input("a", id="what"),
    html.P(id="said"),
    dcc.Graph(figure={"data": [{"x": [1, 2], "y": [3, 4]}]}),
    dash_table.DataTable([{"a": 1}]),
])


@dash.callback(Output("said", "children"), Input("what", "value"))
def say(value):
    return f"said {value}"


"""


def test_recipe_dash(tmp_path: Path, tab: Page, libraries: Path) -> None:
    (recipe,) = blocks("Dash", "python")
    site = Site(tmp_path, code=DASH + recipe)
    with site.served(libraries) as address:
        messages = blocked(tab)
        tab.goto(f"{address}/dash/")
        tab.fill("#what", "hello")
        tab.press("#what", "Enter")
        tab.wait_for_selector("text=said hello")
        tab.wait_for_selector(".js-plotly-plot .main-svg")
        tab.wait_for_selector(".dash-table-container td")
        assert messages == []
        assert site.reported() == ""


def test_the_guard_of_the_documentation_asks(tmp_path: Path, tab: Page) -> None:
    form, script = blocks("See what is blocked", "html")[0], blocks("See what is blocked", "js")[0]
    code = "\n\n@app.post('/')\ndef deleted():\n    return '<body>deleted</body>'\n"
    site = Site(tmp_path, code=code, index=form)
    (tmp_path / "static/confirm.js").write_text(script)
    with site.served() as address:
        for accept, said in ((False, "Delete"), (True, "deleted")):
            tab.once("dialog", lambda dialog, accept=accept: dialog.accept() if accept else dialog.dismiss())
            tab.goto(address)
            tab.click("button:text('Delete')")
            tab.wait_for_timeout(300)
            assert said in tab.inner_text("body")


# The toolbar

QUERY = """
from flask_sqlalchemy import SQLAlchemy

app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///notes.sqlite"
app.config["SQLALCHEMY_RECORD_QUERIES"] = True
db = SQLAlchemy(app)


class Note(db.Model):
    id = db.mapped_column(db.Integer, primary_key=True)


with app.app_context():
    db.create_all()


@app.get("/notes")
def notes():
    return render_template("index.html", count=len(db.session.scalars(db.select(Note)).all()))
"""


def test_the_panel_of_flask_sqlalchemy_is_off_with_a_word_why(tmp_path: Path, tab: Page, libraries: Path) -> None:
    """With Pygments it colors queries by style=, which the policy blocks."""
    site = Site(tmp_path, code=QUERY)
    with site.served(libraries) as address:
        messages = blocked(tab)
        tab.goto(f"{address}/notes")
        assert tab.locator("#flDebugSQLAlchemyPanel").count() == 0
        tab.click("#flDebugSecurityPanel a")
        assert "The panel of Flask-SQLAlchemy is off" in tab.inner_text("#flDebugSecurityPanel-content")
        assert messages == []
        assert site.reported() == ""
