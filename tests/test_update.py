"""A project of 0.3 with accounts, with an owner's edits and migration, is updated by cruft."""

import os
import re
import sqlite3
import sys
from pathlib import Path

import pytest
from support import (
    SLUG,
    TEMPLATE,
    Project,
    bake,
    clean_environ,
    commit_all,
    release_template,
    run,
    template_before,
)

pytestmark = pytest.mark.xdist_group("account-releases")

ABOUT = """

@bp.get("/about")
def about() -> str:
    return "About us"
"""
STAMP = "    stamp: Mapped[str] = mapped_column(String(22), default=new_stamp)\n"
NICKNAME = "    nickname: Mapped[str | None] = mapped_column(String(40))\n"
RETURN = "    return app\n"


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def with_notes(text: str) -> str:
    """`create_app` with the example of docs/database.md, as the page of 0.3 says."""
    text = replaced(text, "health, pages\n", "health, notes, pages\n")
    return replaced(text, RETURN, f"    app.register_blueprint(notes.bp)\n{RETURN}")


# What the owner has changed, by file.
EDITS = {
    "__init__.py": with_notes,
    "pages.py": lambda text: text + ABOUT,
    "config/default.py": lambda text: text + 'CURRENCY = "EUR"\n',
    "accounts/models.py": lambda text: replaced(text, STAMP, STAMP + NICKNAME),
    "accounts/views.py": lambda text: text + ABOUT,
}
FILL = """
INSERT INTO account (id, email, password_hash, stamp, nickname) VALUES (1, 'ann@example.org', 'x', 'y', 'Ann');
INSERT INTO note (id, text) VALUES (1, 'milk'), (2, 'bread');
"""
ROWS = ("SELECT id, email, password_hash, stamp, nickname FROM account", "SELECT id, text FROM note ORDER BY id")
FILLED = [[(1, "ann@example.org", "x", "y", "Ann")], [(1, "milk"), (2, "bread")]]


def conflicts_of_changelog() -> set[str]:
    """The files in which CHANGELOG says that an owner's edits can conflict."""
    text = (TEMPLATE / "CHANGELOG.md").read_text().partition("## 0.2.0")[0]
    (table,) = re.findall(r"(?s)`cruft update` can conflict.*?\n\n(.*?)\n\n", text)
    return set(re.findall(r"(?m)^\| `(.*?)` \|", table))


class Updated:
    """An owner's project, with the environment of a release, and its database."""

    def __init__(self, release: Project, path: Path) -> None:
        self.release, self.path = release, path
        self.package = path / "src" / SLUG
        self.database = path.parent / "database.sqlite"

    def flask(self, *words: str) -> str:
        variables = {"PYTHONPATH": str(self.path / "src"), "DATABASE_URL": f"sqlite:///{self.database}"}
        output = run(self.release.program("flask"), *words, cwd=self.path, env=clean_environ(**variables))
        assert "Traceback" not in output
        return output

    def migrations(self) -> set[str]:
        return {path.name for path in self.package.glob("migrations/*.py")}

    def rows(self) -> list[list[tuple[object, ...]]]:
        connection = sqlite3.connect(self.database)
        rows = [connection.execute(statement).fetchall() for statement in ROWS]
        connection.close()
        return rows

    def fill(self) -> None:
        connection = sqlite3.connect(self.database)
        connection.executescript(FILL)
        connection.close()


def owners_project(before: Project, folder: Path, template: Path, env: dict[str, str]) -> Updated:
    """A project of 0.3 with the edits, a migration that 0.3 wrote, and rows."""
    own = Updated(before, folder / SLUG)
    cruft = Path(sys.executable).with_name("cruft")
    answers = ("--no-input", "--extra-context", '{"data": "accounts"}')
    run(cruft, "create", *answers, template, cwd=folder, env=env)
    commit_all(own.path)  # what was never committed, git can't merge
    own.flask("db", "upgrade")
    (recipe,) = re.findall(r"(?s)```python\n(.*?)```", (own.path / "docs" / "database.md").read_text())
    (own.package / "notes.py").write_text(recipe)
    for name, edit in EDITS.items():
        path = own.package / name
        path.write_text(edit(path.read_text()))
    templates = own.migrations()
    own.flask("db", "revision", "notes and nicknames")
    (name,) = own.migrations() - templates
    assert "down_revision = '0002'" in (own.package / "migrations" / name).read_text()
    own.flask("db", "upgrade")
    own.fill()
    commit_all(own.path)
    return own


def update(own: Updated, accounts: Project, folder: Path, env: dict[str, str]) -> set[str]:
    """Update the project with cruft, and resolve the conflicts as CHANGELOG says; gives their files."""
    run(Path(sys.executable).with_name("cruft"), "update", "--skip-apply-ask", cwd=own.path, env=env)
    assert list(own.path.rglob("*.rej")) == []
    unmerged = run("git", "diff", "--name-only", "--diff-filter=U", cwd=own.path).split()
    conflicts = {path.removeprefix(f"src/{SLUG}/") for path in unmerged}
    fresh = bake(folder / "fresh", data="accounts") / "src" / SLUG
    for name in conflicts & EDITS.keys():
        (own.package / name).write_text(EDITS[name]((fresh / name).read_text()))
    commit_all(own.path)
    own.release = accounts
    return conflicts


def test_a_project_with_an_owners_migration_and_edits_is_updated(
    before: Project, accounts: Project, tmp_path: Path
) -> None:
    """Conflicts where CHANGELOG names them and nowhere else; upgrade, revision and downgrade work afterwards."""
    template = template_before(tmp_path / "template")
    env = clean_environ(HOME=str(tmp_path), GIT_CONFIG_GLOBAL=os.devnull)
    own = owners_project(before, tmp_path, template, env)
    release_template(template)
    assert update(own, accounts, tmp_path, env) == conflicts_of_changelog()

    own.flask("db", "upgrade")
    own.flask("db", "current", "--check-heads")
    assert own.rows() == FILLED
    assert "No changes detected" in own.flask("db", "check")
    known = own.migrations()
    own.flask("db", "revision", "--empty", "more")
    (more,) = own.migrations() - known
    own.flask("db", "upgrade")
    own.flask("db", "current", "--check-heads")
    assert ", more" in own.flask("db", "downgrade")
    (own.package / "migrations" / more).unlink()
    for revision in ("accounts_0004", "accounts_0003"):  # the newest first; the owner's stays
        assert f"Running downgrade {revision}" in own.flask("db", "downgrade")
        assert own.rows() == FILLED
    own.flask("db", "upgrade")
    own.flask("db", "current", "--check-heads")
    assert own.rows() == FILLED
    own.flask("db", "downgrade", "base")
    own.flask("db", "upgrade")
    own.flask("db", "current", "--check-heads")
    tests = ("pytest", "-q", "-p", "no:cacheprovider", "tests/test_migrations.py", "tests/test_pages.py")
    python = clean_environ(PYTHONPATH=str(own.path / "src"))
    run(accounts.program("python"), "-m", *tests, cwd=own.path, env=python)
