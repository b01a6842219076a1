"""A rotation rolled out over four instances, under load."""

import time
from pathlib import Path

import pytest
from fleet import Fleet
from support import production

LIFETIME = 8  # seconds, not 31 days
SESSIONS = 60
MIXED = 2 * SESSIONS  # requests in each state of a roll-out: most sessions meet old and new instances in turn
PAUSE = 0.01  # seconds: the throughput is not under test


def fleet(installed: Path, instances: int = 4) -> Fleet:
    env = production(FLASK_PERMANENT_SESSION_LIFETIME=str(LIFETIME))
    return Fleet(installed / "venv" / "bin", installed, env, instances)


def test_a_staged_rotation_loses_no_session(installed: Path) -> None:
    with fleet(installed).running() as four:
        four.open_sessions(SESSIONS)
        first = four.env["SECRET_KEY"]
        with four.load(pause=PAUSE):
            four.roll_out(four.step("stage"), MIXED)
            assert four.env["SECRET_KEY"] == first
            four.roll_out(four.step("promote"), MIXED)
            with pytest.raises(RuntimeError, match="key retire --force"):  # nobody knows when the variables were set
                four.step("retire")
            time.sleep(LIFETIME)
            four.roll_out(four.step("retire", "--force"), MIXED)
        four.use_all()
        assert first not in ",".join(four.env.values())
        assert four.env.keys() == {*production(), "FLASK_PERMANENT_SESSION_LIFETIME"}
        assert four.requests > 9 * MIXED
        assert (four.lost, four.failed) == (0, 0), four.requests
        # A leak: every session becomes invalid at once.
        four.roll_out(four.step("revoke", "--yes"))
        four.use_all()
        assert (four.lost, four.failed) == (SESSIONS, 0)


def test_without_staging_sessions_are_lost(installed: Path) -> None:
    """What shows that the test above can fail."""
    with fleet(installed, instances=2).running() as two:
        two.open_sessions(SESSIONS)
        with two.load(pause=PAUSE):
            two.env = two.step("stage")
            two.roll_out(two.step("promote"), MIXED)
        assert two.failed == 0
        assert two.lost > 0
