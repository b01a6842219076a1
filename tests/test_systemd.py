"""The unit under a real systemd, in a container that sees no network. Only root can start one; others skip it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import SLUG, Project, clean_environ, need, production, run

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

UNIT = """
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh /root/probe
StandardOutput=file:/root/output
StandardError=file:/root/output
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a container")
def test_unit_runs_under_systemd(project: Project, tmp_path: Path) -> None:
    nspawn = need("systemd-nspawn", "systemd-container")
    root, env = tmp_path / "root", production(TRUSTED_PROXIES="1")
    key = env.pop("SECRET_KEY")
    for folder in ("etc/systemd/system", f"etc/{SLUG}/keys", f"opt/{SLUG}", "root", "run", "tmp", "usr", "var"):
        (root / folder).mkdir(parents=True)
    for folder in ("bin", "sbin", "lib", "lib64"):
        (root / folder).symlink_to(f"usr/{folder}")
    for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache"):
        shutil.copy(f"/etc/{name}", root / "etc")
    for name in ("machine-id", "os-release"):
        (root / "etc" / name).touch()
    release = root / "opt" / SLUG / "current"
    shutil.copytree(project.path, release, ignore=shutil.ignore_patterns(".venv", ".env", ".git"))
    run("uv", "sync", "--quiet", "--locked", "--no-dev", "--no-editable", "--python", PYTHON, cwd=release)
    for program in (release / ".venv" / "bin").glob("[fg]*"):  # flask, gunicorn: written for a path outside
        program.write_text(program.read_text().replace(str(root), ""))
    shutil.copy(release / "deploy" / f"{SLUG}@.service", root / "etc" / "systemd" / "system")
    (root / "etc" / "systemd" / "system" / "probe.service").write_text(UNIT)
    (root / "etc" / SLUG / "env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
    (root / "etc" / SLUG / "keys" / "secret_key").write_text(f"{key}\n")
    (root / "root" / "probe").write_text(PROBE)
    options = ("--quiet", "--bind-ro=/usr", "--register=no", "--keep-unit", "--private-network", "--console=pipe")
    container = subprocess.run(
        [nspawn, f"--directory={root}", *options, "/usr/lib/systemd/systemd", "systemd.unit=probe.service"],
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (root / "root" / "output").exists(), container.stdout + container.stderr
    output = (root / "root" / "output").read_text()
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
