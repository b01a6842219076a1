"""Accounts over an update, a rolling deploy and a rollback: two releases on one database, behind nginx."""

import itertools
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from accounts_service import MAILS, OTHER, PASSWORD, Answer, Inbox, Visitor, smtp_server, someone
from servers import until
from support import (
    SLUG,
    Project,
    clean_environ,
    commit_all,
    free_port,
    need,
    production,
    release_template,
    run,
    serve,
    template_before,
)

pytestmark = pytest.mark.xdist_group("account-releases")


@pytest.fixture(scope="module")
def smtp() -> Iterator[str]:
    with smtp_server(Inbox()) as address:
        yield address


@contextmanager
def release(project: Project, folder: Path, env: dict[str, str]) -> Iterator[str]:
    """The service of `project`, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    shutil.copy(project.path / "gunicorn.conf.py", folder)
    port = free_port()
    command = [project.program("gunicorn"), f"--bind=127.0.0.1:{port}", "--workers=1"]
    with serve(command, port, folder, env) as address:
        yield address


@contextmanager
def nginx(folder: Path, *addresses: str) -> Iterator[str]:
    """nginx in front, which gives every request to the next of `addresses`."""
    port = free_port()
    servers = "".join(f"server {address.removeprefix('http://')} max_fails=0; " for address in addresses)
    (folder / "nginx.conf").write_text(f"""
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    upstream all {{ {servers} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://all;
            proxy_next_upstream off;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $http_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Host $http_host;
        }}
    }}
}}
""")
    with serve([need("nginx", "nginx"), "-c", folder / "nginx.conf"], port, folder, clean_environ()) as address:
        yield address


class OldVisitor(Visitor):
    """A browser with the pages of release 0.3."""

    def sign_up(self, email: str, password: str = PASSWORD) -> "OldVisitor":
        count = len(MAILS.get(email, []))
        assert self.ask("/accounts/sign-up", email=email).status == 200
        until(lambda: len(MAILS.get(email, [])) > count, "no mail came")
        found = re.search(r"https://[^/]+(/\S+)", MAILS[email][-1])
        assert found is not None
        assert self.ask(found[1], password=password).status == 302
        return self


@pytest.mark.long
def test_two_releases_behind_nginx_share_a_database_without_an_error(
    before: Project, accounts: Project, smtp: str, tmp_path: Path
) -> None:
    """A rolling deploy, and then a rollback: with the cookies and the rows of both."""
    url = f"sqlite:///{tmp_path}/accounts.sqlite"
    env = clean_environ(**production(DATABASE_URL=url, MAIL_URL=smtp, TRUSTED_PROXIES="1"))
    run(before.program("flask"), "--app", SLUG, "db", "upgrade", cwd=tmp_path, env=env)
    ann, bob, eve, kim = (someone() for _ in range(4))
    with ExitStack() as stack:
        old = stack.enter_context(release(before, tmp_path / "old", env))
        first = OldVisitor(old).sign_up(ann)  # with a cookie of 0.3
        OldVisitor(old).sign_up(eve)
        run(accounts.program("flask"), "--app", SLUG, "db", "upgrade", cwd=tmp_path, env=env)
        assert first.is_signed_in()  # 0.3 runs on the new schema

        with release(accounts, tmp_path / "new", env) as new:
            front = stack.enter_context(nginx(tmp_path, old, new))
            second = Visitor(new).sign_up(bob)  # with a cookie of this release
            third = Visitor(front)
            statuses = [answer.status for answer in walk(front, [first, second, third], ann, bob)]
            assert max(statuses) < 500, statuses
            assert statuses.count(200) > 50

            assert Visitor(new).sign_in(ann).status == 302  # nobody loses an account
            assert Visitor(old).sign_in(bob).status == 302
            current = Visitor(new)
            current.sign_in(ann)
            assert current.is_signed_in()
            signed_in = Visitor(old)
            signed_in.sign_in(ann)
            signed_in.ask("/accounts/", action="change", current=PASSWORD, password=OTHER)
            assert not current.is_signed_in()  # what 0.3 ends is over here, too
            ours, theirs = Visitor(new), Visitor(old)
            ours.sign_in(ann, OTHER)
            theirs.sign_in(ann, OTHER)
            assert ours.sign_out_elsewhere(OTHER).status == 302
            assert not theirs.is_signed_in()  # and the other way round
            again = Visitor(new).sign_up(kim)

        again.host = second.host = old.removeprefix("http://")  # the rollback
        for visitor, email in ((second, bob), (again, kim)):
            assert visitor.ask("/accounts/").status == 302
            assert visitor.ask("/").status == 200
            assert visitor.sign_in(email).status == 302
            assert visitor.is_signed_in()
        assert again.ask("/accounts/", action="delete", current=PASSWORD).status == 302  # with its sessions
    rows = run("sqlite3", tmp_path / "accounts.sqlite", "SELECT email FROM account", cwd=tmp_path)
    assert set(rows.split()) == {ann, bob, eve}


def walk(front: str, visitors: list[Visitor], *emails: str) -> Iterator[Answer]:
    """What a visitor of either release's pages may send while both run."""
    for visitor, email in itertools.product(visitors, emails):
        visitor.host = front.removeprefix("http://")
        for _ in range(3):  # so that each comes to both
            for path in ("/", "/accounts/", "/accounts/sign-in", "/accounts/choose", "/accounts/browsers"):
                yield visitor.ask(path)
            yield visitor.sign_in(email)
            yield visitor.ask("/accounts/")
            yield visitor.ask("/accounts/", action="sign-out")
            yield visitor.sign_in(email, "wrong")
            yield visitor.sign_in(email)
            yield visitor.post("/accounts/sign-out")
            yield visitor.ask("/accounts/choose", token="x", password=OTHER)
            yield visitor.ask("/accounts/choose?token=x", password=OTHER)


@pytest.mark.long
def test_a_project_of_the_release_before_is_updated_and_nobody_loses_an_account(
    before: Project, accounts: Project, smtp: str, tmp_path: Path
) -> None:
    template, own, home = tmp_path / "template", tmp_path / SLUG, tmp_path / "home"
    home.mkdir()
    template_before(template)
    cruft = Path(sys.executable).with_name("cruft")
    env = clean_environ(HOME=str(home), GIT_CONFIG_GLOBAL=os.devnull)
    context = json.dumps({"data": "accounts"})
    run(cruft, "create", "--no-input", "--extra-context", context, template, cwd=tmp_path, env=env)
    commit_all(own)
    variables = production(DATABASE_URL=f"sqlite:///{tmp_path}/accounts.sqlite", MAIL_URL=smtp, TRUSTED_PROXIES="1")
    run(before.program("flask"), "--app", SLUG, "db", "upgrade", cwd=tmp_path, env=clean_environ(**variables))
    email = someone()
    with release(before, tmp_path / "old", clean_environ(**variables)) as old:
        visitor = OldVisitor(old).sign_up(email)

    release_template(template)
    run(cruft, "update", "--skip-apply-ask", cwd=own, env=env)
    assert list(own.rglob("*.rej")) == []
    shutil.copy(own / "gunicorn.conf.py", tmp_path)
    updated = clean_environ(PYTHONPATH=str(own / "src"), **variables)
    run(accounts.program("flask"), "--app", SLUG, "db", "upgrade", cwd=tmp_path, env=updated)
    with release(accounts, tmp_path / "new", updated) as new:
        visitor.host = new.removeprefix("http://")
        assert visitor.ask("/").status == 200
        assert not visitor.is_signed_in()  # which CHANGELOG says
        assert visitor.sign_in(email).status == 302
        assert visitor.is_signed_in()
