"""What the doctor says of one thing that is wrong."""

from typing import NamedTuple

from ..settings import StartupError

ERROR, WARNING = "error", "warning"


class Finding(NamedTuple):
    """An id that does not change, how bad it is, what is wrong, and a line to copy that mends it."""

    id: str
    level: str
    problem: str
    cure: str


def refusal(error: StartupError) -> Finding:
    """Why the service does not start, as a finding."""
    return Finding(error.id, ERROR, error.problem, error.cure)
