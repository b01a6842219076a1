"""The unit under a real systemd, in a container that sees no network. Only root can start one; others skip it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import SLUG, Project, bake, clean_environ, need, production, run

# One container at a time: their units have the same names, and all containers get the control group that the
# tests run in. Of two at once, one waited for the other's processes to end: in CI, until the test's limit.
pytestmark = pytest.mark.xdist_group("systemd")

PYTHON = "/usr/bin/python3"  # the unit does not see interpreters in home folders

PROBE = f"""
cd /opt/{SLUG}/current
page() {{ curl -s -o /dev/null -w "page of $1: %{{http_code}}\\n" http://127.0.0.1:$1/; }}
systemctl start {SLUG}@8001 {SLUG}@8002
page 8001; page 8002
pid=$(systemctl show -P MainPID {SLUG}@8001)
echo "user: $(ps -o uid= -p $pid)"
grep -E 'NoNewPrivs|Seccomp:|CapBnd' /proc/$pid/status
cd /proc/$pid/root/run/credentials/{SLUG}@8001.service && stat -c 'credential: %n %a %s' *
cd /opt/{SLUG}/current
deploy/restart; echo "restarted: $?"
page 8001; page 8002
cp /etc/{SLUG}/env /root; echo TRUSTED_HOSTS= > /etc/{SLUG}/env
deploy/restart; echo "broken: $?"
page 8002
cp /root/env /etc/{SLUG}
deploy/restart; echo "fixed: $?"
page 8001
systemctl poweroff --force --force
"""

# The same with data: one user for all instances, who owns the data folder.
WITH_DATA = f"""
cd /opt/{SLUG}/current
PREPARE
deploy/flask db upgrade; echo "upgraded: $?"
ls /run | grep -c {SLUG}
deploy/flask doctor --strict; echo "doctor: $?"
look() {{ stat -c "$1 %n %a %U" /var/lib/{SLUG} /var/lib/{SLUG}/*; }}
look before
systemctl start {SLUG}@8001 {SLUG}@8002
ask() {{
    curl -s -o /dev/null -w "ready $1: %{{http_code}}\\n" http://127.0.0.1:$1/readyz
    curl -s -o /dev/null -w "sign-in $1: %{{http_code}}\\n" -H 'Host: localhost' \\
        -H 'X-Forwarded-Proto: https' -d email=ann@example.org -d password=wrong \\
        http://127.0.0.1:$1/accounts/sign-in
}}
ask 8001; ask 8002
pids=$(systemctl show -P MainPID {SLUG}@8001),$(systemctl show -P MainPID {SLUG}@8002)
echo "users: $(ps -o user:32= -p $pids | sort -u)"
deploy/restart; echo "restarted: $?"
ask 8001; ask 8002
look after
deploy/flask key stage; echo "staged: $?"
stat -c "key %n %a %U" /etc/{SLUG}/keys/secret_key_next
systemctl poweroff --force --force
"""

UNIT = """
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh /root/probe
StandardOutput=file:/root/output
StandardError=file:/root/output
"""


class Container:
    """A system that runs systemd, with the host's /usr, and the service installed as the page says."""

    def __init__(self, project: Path, root: Path, env: dict[str, str], *extras: str) -> None:
        self.nspawn = need("systemd-nspawn", "systemd-container")
        self.root = root
        for folder in ("etc/systemd/system", f"etc/{SLUG}/keys", f"opt/{SLUG}", "root", "run", "tmp", "usr", "var/lib"):
            (root / folder).mkdir(parents=True)
        (root / "etc" / SLUG / "keys").chmod(0o700)
        for folder in ("bin", "sbin", "lib", "lib64"):
            (root / folder).symlink_to(f"usr/{folder}")
        for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache"):
            shutil.copy(f"/etc/{name}", root / "etc")
        for name in ("machine-id", "os-release"):
            (root / "etc" / name).touch()
        release = root / "opt" / SLUG / "current"
        shutil.copytree(project, release, ignore=shutil.ignore_patterns(".venv", ".env", ".git", "data"))
        options = ("--locked", "--no-dev", "--no-editable", *extras, "--python", PYTHON)
        run("uv", "sync", "--quiet", *options, cwd=release)
        for program in (release / ".venv" / "bin").glob("[fg]*"):  # flask, gunicorn: written for a path outside
            program.write_text(program.read_text().replace(str(root), ""))
        shutil.copy(release / "deploy" / f"{SLUG}@.service", root / "etc" / "systemd" / "system")
        (root / "etc" / "systemd" / "system" / "probe.service").write_text(UNIT)
        (root / "etc" / SLUG / "env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))

    def secret(self, name: str, text: str) -> None:
        path = self.root / "etc" / SLUG / "keys" / name
        path.write_text(f"{text}\n")
        path.chmod(0o600)

    def output(self, probe: str) -> str:
        """What the commands of `probe` print in the running system."""
        (self.root / "root" / "probe").write_text(probe)
        options = ("--quiet", "--bind-ro=/usr", "--register=no", "--keep-unit", "--private-network", "--console=pipe")
        command = [self.nspawn, f"--directory={self.root}", *options, "/usr/lib/systemd/systemd"]
        path = self.root / "root" / "output"
        try:
            container = subprocess.run(
                [*command, "systemd.unit=probe.service"],
                env=clean_environ(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=240,
            )
        except subprocess.TimeoutExpired:
            pytest.fail(f"the container did not end; so far:\n{path.read_text() if path.exists() else ''}")
        assert path.exists(), container.stdout + container.stderr
        return path.read_text()


@pytest.mark.parametrize("answer", ["nothing", "database", "accounts"])
def test_the_unit_of_each_answer_is_valid_and_confined(tmp_path: Path, answer: str) -> None:
    need("systemd-analyze", "systemd")
    unit = bake(tmp_path, data=answer) / "deploy" / f"{SLUG}@.service"
    program = tmp_path / "gunicorn"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={program}", unit.read_text()))
    assert run("systemd-analyze", "verify", unit, cwd=tmp_path) == ""
    # Ten times the exposure, of which 10 is the worst.
    run("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unit, cwd=tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a container")
def test_unit_runs_under_systemd(project: Project, tmp_path: Path) -> None:
    env = production(TRUSTED_PROXIES="1")
    key = env.pop("SECRET_KEY")
    container = Container(project.path, tmp_path / "root", env)
    container.secret("secret_key", key)
    output = container.output(PROBE)
    assert key not in output
    said = [line.strip() for line in output.splitlines() if line.count(":") == 1 and "See" not in line]
    facts = dict(line.split(":") for line in said if not line.startswith(("page", "credential")))
    pages = [line for line in said if line.startswith("page")]
    assert pages == [f"page of {port}: 200" for port in (8001, 8002, 8001, 8002, 8002, 8001)], output
    assert (facts["restarted"], facts["broken"], facts["fixed"]) == (" 0", " 1", " 0")
    assert int(facts["user"]) >= 61184  # of systemd's dynamic users
    assert [int(facts[name], 16) for name in ("NoNewPrivs", "Seccomp", "CapBnd")] == [1, 2, 0]
    credentials = {line.removeprefix("credential: ") for line in said if line.startswith("credential")}
    assert credentials == {"secret_key 400 65", "secret_key_next 400 1", "secret_key_fallbacks 400 1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a container")
def test_instances_share_a_data_folder_of_their_users(accounts: Project, tmp_path: Path) -> None:
    """SQLite in it, upgraded by `deploy/flask`, used by two instances, kept over a restart."""
    more = {"MAIL_FROM": "a@example.org", "RATELIMIT_STORAGE_URI": "redis://localhost"}
    env = production(TRUSTED_PROXIES="1", **more)
    key = env.pop("SECRET_KEY")
    container = Container(accounts.path, tmp_path / "root", env, "--all-extras")
    container.secret("secret_key", key)
    container.secret("database_url", "sqlite:///database.sqlite")
    container.secret("mail_url", "smtp://localhost")
    page = (accounts.path / "docs" / "one-machine.md").read_text().partition("## Prepare the host")[2]
    prepare = re.findall(r"(?s)```sh\n(.*?)```", page)[1]
    assert prepare.startswith("useradd ")
    output = container.output(WITH_DATA.replace("PREPARE", prepare))
    assert key not in output
    assert "upgraded: 0\n0\n" in output  # and no copy of a key is left
    assert "doctor: 0" in output
    assert f"users: {SLUG}\n" in output
    assert "restarted: 0" in output
    for port in (8001, 8002):
        assert output.count(f"ready {port}: 200") == 2, output
        assert output.count(f"sign-in {port}: 422") == 2, output
    seen = [line.split() for line in output.splitlines() if line.startswith(("before ", "after "))]
    assert {(mode, user) for _, _, mode, user in seen} == {("700", SLUG), ("600", SLUG)}
    assert "staged: 0" in output
    assert f"key /etc/{SLUG}/keys/secret_key_next 600 root" in output
