"""A rotation rolled out over four instances, under load."""

from pathlib import Path

from fleet import Fleet, wait_for
from support import production

LIFETIME = 20  # seconds, in the place of 31 days
SESSIONS = 2000


def fleet(installed: Path) -> Fleet:
    return Fleet(installed / "venv" / "bin", installed, production(FLASK_PERMANENT_SESSION_LIFETIME=str(LIFETIME)))


def test_a_staged_rotation_loses_no_session(installed: Path) -> None:
    with fleet(installed).running() as four:
        four.open_sessions(SESSIONS)
        first = four.env["SECRET_KEY"]
        with four.load():
            four.roll_out(four.step("stage"))
            four.roll_out(four.step("promote"))
            retired = wait_for(lambda: four.step("retire"), seconds=3 * LIFETIME)
            four.roll_out(retired)
        four.use_all()
        assert first not in four.env.values()
        assert four.env.keys() == {*production(), "SECRET_KEY_SINCE", "FLASK_PERMANENT_SESSION_LIFETIME"}
        assert four.requests > 3 * SESSIONS
        assert (four.lost, four.failed) == (0, 0), four.requests
        # A leak: every session is void at once.
        four.roll_out(four.step("revoke", "--yes"))
        four.use_all()
        assert (four.lost, four.failed) == (SESSIONS, 0)


def test_without_staging_sessions_are_lost(installed: Path) -> None:
    """What shows that the test above can fail."""
    with fleet(installed).running() as four:
        four.open_sessions(SESSIONS // 4)
        with four.load():
            four.roll_out(four.step("rotate"))
        assert four.failed == 0
        assert four.lost > 0
