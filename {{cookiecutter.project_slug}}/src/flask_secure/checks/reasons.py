"""Why each problem matters, by its id: for `flask doctor --explain` and README.md's table."""

from . import REGISTERED
from .elsewhere import FOUND_ELSEWHERE
from .silenced import NEVER_SILENCED


def reasons() -> dict[str, tuple[bool, list[str]]]:
    """For each id, whether start-up rejects it, and why it matters."""
    found: dict[str, tuple[bool, list[str]]] = {}
    for id, at_startup, reason in FOUND_ELSEWHERE:
        found[id] = (at_startup, [reason])
    for each in REGISTERED:
        at_startup, texts = found.get(each.id, (False, []))
        if each.reason not in texts:
            texts = [*texts, each.reason]
        found[each.id] = (at_startup or each.at_startup, texts)
    return found


def explain(id: str) -> str:
    """What `flask doctor --explain ID` prints. Raises KeyError for an unknown id."""
    at_startup, texts = reasons()[id]
    if at_startup:
        when = "Start-up rejects it."
    elif id in NEVER_SILENCED:
        when = "The doctor finds it. It can't be silenced."
    else:
        when = f'The doctor finds it. To silence it: SILENCED_CHECKS = {{"{id}": "why"}}'
    return "\n".join([id, *(f"  {text}" for text in texts), f"  {when}"])


def table() -> str:
    """The ids as a table in Markdown, for README.md; those that start-up rejects are bold."""
    lines = ["| id | why it matters |", "|---|---|"]
    for id, (at_startup, texts) in reasons().items():
        name = f"**`{id}`**" if at_startup else f"`{id}`"
        lines.append(f"| {name} | {' '.join(texts)} |")
    return "\n".join(lines)
