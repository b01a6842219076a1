"""A rotation rolled out over four gunicorn instances under load: sessions lost, and the throughput meanwhile."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fleet import Fleet
from measure import finish
from support import bake, production, run

SESSIONS, LIFETIME = 500, 20
MIXED = 2 * SESSIONS  # requests in each state of a roll-out: most sessions meet old and new instances in turn


def rotation(folder: Path, staged: bool) -> Fleet:
    """Rotate with all sessions in use: stage, promote and retire, or at once."""
    env = production(FLASK_PERMANENT_SESSION_LIFETIME=str(LIFETIME))
    fleet = Fleet(folder / "venv" / "bin", folder, env)
    with fleet.running():
        fleet.open_sessions(SESSIONS)
        started, before = time.perf_counter(), fleet.requests
        with fleet.load():
            time.sleep(5)
            quiet = (fleet.requests - before) / (time.perf_counter() - started)
            started, before = time.perf_counter(), fleet.requests
            if staged:
                fleet.roll_out(fleet.step("stage"), MIXED)
                fleet.roll_out(fleet.step("promote"), MIXED)
                time.sleep(LIFETIME)
                fleet.roll_out(fleet.step("retire", "--force"), MIXED)
            else:
                fleet.env = fleet.step("stage")
                fleet.roll_out(fleet.step("promote"), MIXED)
            during = (fleet.requests - before) / (time.perf_counter() - started)
        fleet.use_all()
    print(
        f"{'staged' if staged else 'not staged'}: {fleet.lost} of {SESSIONS} sessions lost, {fleet.failed} of"
        f" {fleet.requests} requests failed; {during / quiet:.2f}x the throughput of the same instances at rest"
    )
    return fleet


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = bake(folder)
        shutil.copy(project / "gunicorn.conf.py", folder)
        run("uv", "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", folder / "venv", project], check=True)
        good, bad = rotation(folder, staged=True), rotation(folder, staged=False)
    finish(good.lost == good.failed == 0, bad.lost > 0)
