"""The pipelines of the template and of what it generates, the git hooks, and the files that an answer leaves."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import (
    RAW_PROJECT,
    SLUG,
    TEMPLATE,
    Project,
    bake,
    bake_command,
    clean_environ,
    commit_all,
    copy_template,
    files,
    key_of,
    run,
    skip_or_fail,
)

HOSTS = {
    "github": {".github/dependabot.yml", ".github/workflows/ci.yml", ".github/workflows/template.yml"},
    "gitlab": {".gitlab-ci.yml"},
    "elsewhere": set(),
}
WORKFLOWS = sorted([*TEMPLATE.glob(".github/workflows/*.yml"), *RAW_PROJECT.glob(".github/workflows/*.yml")])
DEPENDABOT = [folder / ".github" / "dependabot.yml" for folder in (TEMPLATE, RAW_PROJECT)]
AUDIT, MOVED = "make audit", 'uvx --exclude-newer "7 days" cruft check'
RESULTS = 'for result in $RESULTS; do test "$result" = success; done'
# Lines of the pipelines that test_every_line_passes_in_a_clone does not run, and why.
NOT_RUN = {
    "make ci": "its audit and its image need the network; a test below runs it without",
    "make check doctor test audit": "a part of `make ci`",
    "buildah build --tag service .": "its base image is on the network; tests/test_image.py has one of its own",
    MOVED: "a project that cookiecutter made has no template to follow; a test below runs it on one that has",
    RESULTS: "its input is other jobs' results; a test below runs it",
}
TEMPLATE_NOT_RUN = {
    "uv python install 3.11 3.12 3.13 3.14 3.15": "downloads them from GitHub",
    ".ci/run": "runs this test",
    "uv sync": "changes the environment that this test runs in",
    'uv pip install --no-deps "$FLASK" "$WERKZEUG" "$COOKIECUTTER"': "the same",
    "uv run --no-sync pytest --numprocesses=2 -W default": "runs this test",
    RESULTS: "a test below runs it",
}
# The variables that both pipelines set.
CI: dict[str, str] = yaml.safe_load((RAW_PROJECT / ".gitlab-ci.yml").read_text())["variables"]


def tool(name: str) -> str:
    """A program of the dev group."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if path is None:
        skip_or_fail(f"{name} is not installed: uv sync")
    return str(path)


def parsed(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def steps(workflow: Path) -> list[str]:
    """The `run:` lines of a workflow, or the `script:` lines of .gitlab-ci.yml."""
    jobs = parsed(workflow)
    jobs = jobs.get("jobs", jobs).values()
    found = [step.get("run") for job in jobs if "steps" in job for step in job["steps"]]
    found += [line for job in jobs if "script" in job for line in job["script"]]
    assert found
    return [line for line in found if line]


def shell(line: str, cwd: Path, code: int | None = 0, **env: str) -> str:
    """Run `line` as GitHub does."""
    return run("bash", "-e", "-c", line, cwd=cwd, code=code, env=clean_environ(**env))


# The answer


def test_each_answer_leaves_exactly_its_files(tmp_path: Path) -> None:
    trees = {host: set(files(bake(tmp_path / host, code_host=host))) for host in HOSTS}
    for host, own in HOSTS.items():
        assert trees[host] - trees["elsewhere"] == own
        assert trees["elsewhere"] <= trees[host]
        assert (tmp_path / host / SLUG / ".github").exists() == (host == "github")


def test_the_default_is_github(fresh: Path) -> None:
    assert HOSTS["github"] <= set(files(fresh))


def test_generating_again_keeps_an_owners_own_workflow(tmp_path: Path) -> None:
    project = bake(tmp_path, code_host="elsewhere")
    own = project / ".github" / "workflows" / "deploy.yml"
    own.parent.mkdir(parents=True)
    own.write_text("on: push\n")
    run(*bake_command("--no-input", "-f", "code_host=elsewhere"), cwd=tmp_path)
    assert [path for path in project.glob(".github/**/*") if path.is_file()] == [own]
    assert own.read_text() == "on: push\n"


# Read by the tools that know the formats


@pytest.mark.parametrize("where", ["template", "project"])
def test_zizmor_finds_nothing(where: str, fresh: Path, tmp_path: Path) -> None:
    """Unpinned actions, wide permissions, kept credentials, injected text, a missing cooldown."""
    folder = tmp_path / "copy"  # zizmor reads a repository's .gitignore, and a configuration above
    shutil.copytree((TEMPLATE if where == "template" else fresh) / ".github", folder / ".github")
    command = [tool("zizmor"), "--offline", "--pedantic", "--no-config", "--strict-collection", "."]
    output = run(*command, cwd=folder)
    assert "No findings to report" in output
    assert "suppressed" not in output
    assert output.count("completed") == len(files(folder))
    ci = folder / ".github" / "workflows" / "ci.yml"
    ci.write_text(re.sub("@[0-9a-f]{40}.*", "@v7", ci.read_text()))
    assert "unpinned-uses" in run(*command, cwd=folder, code=None)


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("github-workflows", WORKFLOWS),
        ("dependabot", DEPENDABOT),
        ("gitlab-ci", [RAW_PROJECT / ".gitlab-ci.yml"]),
    ],
)
def test_the_files_satisfy_their_published_schemas(schema: str, paths: list[Path]) -> None:
    assert all(path.is_file() for path in paths)
    run(tool("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *paths, cwd=TEMPLATE)


@pytest.mark.parametrize("runner", ["prek", "pre-commit"])
def test_the_git_hooks_are_valid(runner: str) -> None:
    run(tool(runner), "validate-config", RAW_PROJECT / ".pre-commit-config.yaml", cwd=TEMPLATE)


def test_an_action_is_pinned_by_its_commit_and_the_same_everywhere() -> None:
    used = [line for path in WORKFLOWS for line in re.findall(r"uses: (.*)", path.read_text())]
    pinned = [re.fullmatch(r"([\w/-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+", line) for line in used]
    assert all(pinned), used
    assert len(set(used)) == len({match[1] for match in pinned if match}) > 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.relative_to(TEMPLATE).as_posix())
def test_no_job_has_more_than_it_needs(path: Path) -> None:
    workflow = parsed(path)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert job["permissions"] in ({}, {"contents": "read"})
        runs_everything = {"run": ".ci/run"} in job["steps"]
        assert job["timeout-minutes"] <= (60 if runs_everything else 30)
    assert "secrets." not in path.read_text()


@pytest.mark.parametrize("folder", [TEMPLATE, RAW_PROJECT], ids=["template", "project"])
def test_one_job_needs_every_other_that_may_not_fail(folder: Path) -> None:
    jobs = parsed(folder / ".github" / "workflows" / "ci.yml")["jobs"]
    required = jobs.pop("required")
    assert set(required["needs"]) == {name for name, job in jobs.items() if not job.get("continue-on-error")}
    assert required["if"] == "always()"  # skipped, it would count as passed
    assert [step["run"] for step in required["steps"]] == [RESULTS]


@pytest.mark.parametrize(
    ("results", "code"), [("success success", 0), ("success skipped", 1), ("cancelled success", 1), ("failure", 1)]
)
def test_the_required_job_passes_with_all_results_only(tmp_path: Path, results: str, code: int) -> None:
    shell(RESULTS, tmp_path, code, RESULTS=results)


def test_uv_and_dependabot_wait_equally_long() -> None:
    uv = tomllib.loads((RAW_PROJECT / "pyproject.toml").read_text())["tool"]["uv"]
    days = {update["cooldown"]["default-days"] for path in DEPENDABOT for update in parsed(path)["updates"]}
    assert [f"{number} days" for number in days] == [uv["exclude-newer"]]
    lines = [AUDIT, *(RAW_PROJECT / "Makefile").read_text().splitlines(), MOVED]
    assert {uv["exclude-newer"]} == {
        match[1] for line in lines if (match := re.search('--exclude-newer "(.*?)"', line))
    }


# Run for real, in a clone


@pytest.fixture(scope="module")
def clone(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a runner checks out: the committed files, with uv.lock and without .env."""
    place = tmp_path_factory.mktemp("ci")
    origin = bake(place / "origin")
    shutil.copy(project.path / "uv.lock", origin)
    commit_all(origin)
    run("git", "clone", "--quiet", origin, place / "clone", cwd=place)
    assert not (place / "clone" / ".env").exists()
    return place / "clone"


def pythons() -> list[str]:
    """Of each Python that the pipelines test on, one that is installed, on PATH or by pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = []
    for version in parsed(RAW_PROJECT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]:
        candidates = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))]
        for path in filter(None, candidates):
            if subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:  # not a shim of nothing
                found.append(path)
                break
    assert found
    return found


def targets_of_ci(project: Path) -> list[str]:
    """What `make ci` runs, in its order."""
    makefile = (project / "Makefile").read_text()
    listed = re.search("^ci: (.*)$", makefile, re.MULTILINE)
    assert listed is not None
    return listed[1].split()


def test_both_hosts_run_make_ci_and_the_tests_on_the_same_pythons(tmp_path: Path) -> None:
    """On GitLab the image is built by buildah, which has no make."""
    workflows = RAW_PROJECT / ".github" / "workflows"
    assert {*steps(workflows / "ci.yml")} == {"make ci", "make test", RESULTS}
    assert steps(workflows / "template.yml") == [MOVED]
    targets = targets_of_ci(bake(tmp_path / "gitlab", code_host="gitlab"))
    build = "buildah build --tag service ."
    on_gitlab = ["make " + " ".join(targets[:-1]), "make test", build, MOVED]
    assert steps(RAW_PROJECT / ".gitlab-ci.yml") == on_gitlab
    assert targets[-1] == "build"
    assert build.replace("buildah", "$(BUILDER)") in (RAW_PROJECT / "Makefile").read_text()
    on_github = targets_of_ci(bake(tmp_path / "github"))
    assert [target for target in on_github if target != "workflows"] == targets
    assert "workflows" in on_github
    matrix = parsed(workflows / "ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert parsed(workflows / "ci.yml")["env"] == CI
    assert parsed(RAW_PROJECT / ".gitlab-ci.yml")["test"]["parallel"]["matrix"] == [{"UV_PYTHON": matrix}]


def test_one_version_of_uv_everywhere() -> None:
    """The Dockerfile has it. Dependabot leaves it alone: it would change some of the places."""
    image = re.search(r"uv:([\d.]+) AS", (RAW_PROJECT / "Dockerfile").read_text())
    assert image is not None
    assert f"uv:{image[1]}-python" in (RAW_PROJECT / ".gitlab-ci.yml").read_text()
    assert f"uv=={image[1]}.*" in (TEMPLATE / "Makefile").read_text()
    uses = [
        step.get("with", {}).get("version")
        for path in WORKFLOWS
        for job in parsed(path)["jobs"].values()
        for step in job["steps"]
        if "setup-uv@" in step.get("uses", "")
    ]
    assert set(uses) == {image[1]}
    updates = parsed(RAW_PROJECT / ".github" / "dependabot.yml")["updates"]
    (docker,) = [update for update in updates if update["package-ecosystem"] == "docker"]
    assert docker["ignore"] == [{"dependency-name": "astral-sh/uv"}]


def test_every_line_passes_in_a_clone(clone: Path) -> None:
    """The tests on each installed Python."""
    workflows = [RAW_PROJECT / ".gitlab-ci.yml", *RAW_PROJECT.glob(".github/workflows/*.yml")]
    lines = {line for path in workflows for line in steps(path)}
    assert set(NOT_RUN) < lines
    for line in sorted(lines - set(NOT_RUN)):
        for python in pythons() if line == "make test" else [sys.executable]:
            output = shell(line, clone, **CI, UV_PYTHON=python)
            assert not re.search("[0-9a-f]{64}", output), line
    run("git", "diff", "--exit-code", cwd=clone)
    assert run("git", "status", "--porcelain", cwd=clone) == ""


def test_make_ci_passes_in_a_clone(clone: Path) -> None:
    """The lint, the types, the doctor, the tests, the audit, the workflows; for the image, what it would run."""
    with advisories() as (_, env):
        output = shell("make ci BUILDER='echo BUILDS'", clone, **CI, **env, UV_PYTHON=sys.executable)
    assert "BUILDS build --tag service ." in output
    assert "No findings to report" in output
    assert not re.search("[0-9a-f]{64}", output)
    assert run("git", "status", "--porcelain", cwd=clone) == ""


def test_make_ci_fails_for_a_mistake_in_a_workflow(clone: Path) -> None:
    workflow = clone / ".github" / "workflows" / "ci.yml"
    before = workflow.read_text()
    workflow.write_text(re.sub("@[0-9a-f]{40}.*", "@v7", before))
    try:
        assert "unpinned-uses" in shell("make workflows", clone, 2)
    finally:
        workflow.write_text(before)


def test_the_doctor_fails_a_weak_setting_of_production(clone: Path, project: Project) -> None:
    config = clone / "src" / SLUG / "config" / "production.py"
    before = config.read_text()
    config.write_text(f"{before}\nSESSION_COOKIE_SECURE = False\n")
    try:
        assert "SESSION_COOKIE_SECURE" in shell("make doctor", clone, 2, UV_PYTHON=sys.executable)
    finally:
        config.write_text(before)


def test_the_doctor_fails_a_view_whose_policy_is_undone(clone: Path) -> None:
    """Which only the code says, so it runs: `flask doctor --load`."""
    pages = clone / "src" / SLUG / "pages.py"
    before = pages.read_text()
    override = """@flask_secure.csp_override(add={"script-src": ["'unsafe-inline'"]})"""
    text = before.replace('@bp.get("/")\n', f'@bp.get("/")\n{override}\n')
    pages.write_text(text.replace("from flask import", "import flask_secure\nfrom flask import", 1))
    try:
        assert "Change the override of the view pages.index." in shell(
            "make doctor", clone, 2, UV_PYTHON=sys.executable
        )
    finally:
        pages.write_text(before)


def test_a_lock_that_knows_no_cooldown_is_rejected(clone: Path, tmp_path: Path) -> None:
    """What a uv writes that is older than required-version: it warns and ignores the table."""
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(clone / name, tmp_path)
    lock = tmp_path / "uv.lock"
    run("uv", "lock", "--check", cwd=tmp_path)
    lock.write_text(re.sub(r"\[options\](\n.+)+\n", "", lock.read_text()))
    assert "needs to be updated" in run("uv", "lock", "--check", cwd=tmp_path, code=None)
    run("uv", "export", "--quiet", cwd=tmp_path, code=1, env=clean_environ(**CI))


def test_a_uv_that_is_too_old_is_rejected(clone: Path, tmp_path: Path) -> None:
    text = (clone / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(re.sub('(required-version = ">=)[^"]*', r"\g<1>99", text))
    assert "99" in run("uv", "lock", cwd=tmp_path, code=2)


# The audit


class Advisories(ThreadingHTTPServer):
    """What api.osv.dev is to pip-audit: asked for each package, it knows of `vulnerable` alone."""

    asked: set[str]
    vulnerable = ""


class Answer(BaseHTTPRequestHandler):
    server: Advisories

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = query["package"]["name"]
        self.server.asked.add(name)
        affected = [{"package": query["package"], "ranges": [], "versions": [query["version"]]}]
        advisory = {"id": "PYSEC-2026-1", "summary": "a test", "details": "a test", "affected": affected}
        body = json.dumps({"vulns": [advisory]} if name == self.server.vulnerable else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def advisories(vulnerable: str = "") -> Iterator[tuple[Advisories, dict[str, str]]]:
    """A database of advisories, and the variables that lead pip-audit there."""
    with Advisories(("127.0.0.1", 0), Answer) as server:
        server.asked, server.vulnerable = set(), vulnerable
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/query"
        yield server, {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": url, "NO_PROXY": "127.0.0.1"}
        server.shutdown()


def test_the_audit_asks_for_every_locked_dependency(clone: Path) -> None:
    with advisories() as (server, env):
        shell(AUDIT, clone, **CI, **env)
    locked = {package["name"] for package in tomllib.loads((clone / "uv.lock").read_text())["package"]}
    assert "flask" in server.asked
    assert server.asked >= locked - {SLUG.replace("_", "-"), "colorama", "pywin32"}  # these are Windows'


def test_the_audit_fails_for_an_advisory(clone: Path) -> None:
    with advisories("flask") as (_, env):
        assert "PYSEC-2026-1" in shell(AUDIT, clone, 2, **CI, **env)


def test_the_audit_fails_without_its_database(clone: Path) -> None:
    with advisories() as (_, env):
        pass
    shell(AUDIT, clone, 2, **CI, **env)


def test_the_audit_fails_without_a_lock_and_without_dependencies(clone: Path, tmp_path: Path) -> None:
    shutil.copy(clone / "Makefile", tmp_path)
    text = (clone / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(text)
    with advisories() as (server, env):
        shell(AUDIT, tmp_path, 2, **CI, **env)
        text = re.sub(r"(?ms)^(dependencies|dev) = \[.*?^\]", r"\1 = []", text)
        (tmp_path / "pyproject.toml").write_text(text)
        run("uv", "lock", "--quiet", cwd=tmp_path)
        shell(AUDIT, tmp_path, 2, **CI, **env)
    assert server.asked == set()


# The template


def test_the_weekly_job_notices_that_the_template_has_moved_on(tmp_path: Path) -> None:
    template = tmp_path / "template"
    copy_template(template)
    commit_all(template)
    home = {
        "HOME": str(tmp_path),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "UV_CACHE_DIR": run("uv", "cache", "dir", cwd=tmp_path).strip(),
    }
    run(tool("cruft"), "create", "--no-input", template, cwd=tmp_path, env=clean_environ(**home))
    shell(MOVED, tmp_path / SLUG, **home)
    (template / RAW_PROJECT.name / "Makefile").write_text("# new\n")
    commit_all(template)
    assert "cruft update" in shell(MOVED, tmp_path / SLUG, 1, **home)


@pytest.mark.long
def test_the_template_generates_and_tests_with_the_flask_and_cookiecutter_that_it_is_given(tmp_path: Path) -> None:
    """The job on their development branches, here on their releases."""
    lines = steps(TEMPLATE / ".github" / "workflows" / "ci.yml")
    assert set(TEMPLATE_NOT_RUN) < set(lines)
    copy_template(tmp_path / "template")
    env = {
        "DATA": "accounts",
        "FLASK": "flask>=3.1.3",
        "WERKZEUG": "werkzeug",
        "COOKIECUTTER": "cookiecutter",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_WORKSPACE": str(tmp_path / "template"),
        "UV_PYTHON": sys.executable,
    }
    for line in lines:
        if line not in TEMPLATE_NOT_RUN:
            shell(line, tmp_path / "template", **env)
    assert (tmp_path / SLUG / ".venv").is_dir()


# Git hooks


LINTERS = "ruff-check,ruff-format,mypy"


class Hooks:
    """A committed project whose hooks a runner runs, in the shared environment."""

    def __init__(self, path: Path, project: Project, runner: str) -> None:
        self.path, self.runner, self.key = path, runner, key_of(path)
        self.env = clean_environ(
            UV_NO_SYNC="1",
            UV_PROJECT_ENVIRONMENT=str(project.path / ".venv"),
            MYPY_CACHE_DIR=str(project.path / ".mypy_cache"),
            PRE_COMMIT_HOME=str(path.parent / "home"),
            PREK_HOME=str(path.parent / "home"),
            GIT_CONFIG_GLOBAL=os.devnull,
        )

    def run(self, *command: str, code: int | None = 0, skip: str = "") -> str:
        output = run(*command, cwd=self.path, code=code, env={**self.env, "SKIP": skip})
        assert self.key not in output
        return output

    def commit(self, code: int | None = 0, skip: str = LINTERS) -> str:
        """`git commit` of everything that is staged or tracked, without the hooks `skip`."""
        author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        return self.run("git", *author, "commit", "--all", "--message=Change", code=code, skip=skip)

    def commits(self) -> int:
        return len(self.run("git", "log", "--format=%h").split())


@pytest.fixture(params=["prek", "pre-commit"])
def hooks(request: pytest.FixtureRequest, fresh: Path, project: Project) -> Hooks:
    commit_all(fresh)
    own = Hooks(fresh, project, request.param)
    own.run(tool(request.param), "install")
    return own


def test_the_hooks_pass_on_a_new_project(hooks: Hooks) -> None:
    output = hooks.run(tool(hooks.runner), "run", "--all-files")
    assert output.count("Passed") == 4
    assert "warning" not in output.lower()


@pytest.mark.parametrize("hooks", ["prek"], indirect=True)
def test_a_commit_that_the_linters_reject_is_refused(hooks: Hooks) -> None:
    page = hooks.path / "src" / SLUG / "pages.py"
    page.write_text(page.read_text() + "\nimport os\nx: int = 'text'\n")
    output = hooks.commit(code=1, skip="")
    assert "F401" in output
    assert "[assignment]" in output
    assert hooks.commits() == 1


def test_a_commit_with_a_secret_of_env_is_refused_and_the_secret_not_shown(hooks: Hooks) -> None:
    """The key, an older key and an own token, each in a file that git takes for a binary one."""
    older, token = f"{'e' * 20}{hooks.key[:20]}", f"token-{hooks.key[:26]}"
    with (hooks.path / ".env").open("a") as file:
        file.write(f"SECRET_KEY_FALLBACKS={'f' * 20}{hooks.key[:20]},{older}\nexport FLASK_MAIL_TOKEN='{token}'\n")
    for number, secret in enumerate([hooks.key, older, token]):
        leak = hooks.path / f"notes {number}.bin"
        leak.write_bytes(b"\0\xff before " + secret.encode() + b" after\n")
        hooks.run("git", "add", leak.name)
        output = hooks.commit(code=1)
        assert leak.name in output
        assert older not in output
        assert token not in output
        hooks.run("git", "rm", "--quiet", "--force", leak.name)
    assert hooks.commits() == 1


def test_a_secret_that_is_not_staged_stops_no_commit(hooks: Hooks) -> None:
    (hooks.path / "untracked").write_text(hooks.key)
    (hooks.path / "README.md").write_text("# Mine\n")
    hooks.commit()
    assert hooks.commits() == 2


def test_without_env_there_is_nothing_to_find_and_an_error_of_git_is_a_refusal(fresh: Path) -> None:
    commit_all(fresh)
    entry = parsed(fresh / ".pre-commit-config.yaml")["repos"][0]["hooks"][-1]["entry"]
    shell(entry, fresh)
    shell(entry, fresh, 1, GIT_INDEX_FILE=str(fresh / "pyproject.toml"))
    (fresh / ".env").unlink()
    shell(entry, fresh)


LEAK = """\
import os, pytest

KEY = os.environ["KEY"]

@pytest.mark.parametrize("where", [{"env": KEY, "more": "x" * 400}], ids=["a"])
def test_leak(where):
    print(KEY)
    assert where["env"] not in f"SECRET_KEY={KEY}"

def test_plain():
    raise ValueError("an error without a key")
"""


def test_a_failed_test_prints_no_key(tmp_path: Path) -> None:
    """Neither its arguments, nor its message, nor what it has printed."""
    (tmp_path / "test_leak.py").write_text(LEAK)
    key = secrets.token_hex(32)
    env = clean_environ(PYTHONPATH=str(TEMPLATE / "tests"), KEY=key)
    output = run(sys.executable, "-m", "pytest", "-p", "redacted_reports", "-ra", cwd=tmp_path, code=1, env=env)
    assert "2 failed" in output
    assert "an error without a key" in output.splitlines()[-2]
    # pytest may leave the end of a long value: less than half a key.
    found = [key[start : start + 32] in output for start in range(33)]
    assert not any(found)
