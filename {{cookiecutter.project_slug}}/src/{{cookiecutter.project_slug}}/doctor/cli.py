"""`flask doctor` and `flask config`. They work where the service refuses to start."""

import json
import sys

import click

from .. import settings
from ..keys import sources
from . import examine
from .finding import ERROR, WARNING
from .shown import effective

COLOURS = {ERROR: "red", WARNING: "yellow"}


@click.command("doctor")
@click.option("--env", metavar="ENVIRONMENT", help="Another environment than the one that this runs in.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
def doctor(env: str | None, as_json: bool, strict: bool) -> None:
    """Tell what is wrong with the settings, and what to do about it; exit with 1 when something is."""
    report = examine(env)
    if as_json:
        findings = [finding._asdict() for finding in report.findings]
        click.echo(json.dumps({"environment": report.env, "findings": findings}, indent=2))
    else:
        click.echo(f"{report.env}: {summary([finding.level for finding in report.findings])}")
        for finding in report.findings:
            level = click.style(f"{finding.level:<8}", fg=COLOURS[finding.level])
            click.echo(f"\n{level} {finding.id}\n         {finding.problem}\n         {finding.cure}")
    bad = {ERROR, WARNING} if strict else {ERROR}
    sys.exit(any(finding.level in bad for finding in report.findings))


def summary(levels: list[str]) -> str:
    """How many of each."""
    counts = [(levels.count(level), level) for level in (ERROR, WARNING)]
    return ", ".join(f"{count} {level}{'s' * (count > 1)}" for count, level in counts if count) or "nothing is wrong"


@click.command("config")
@click.option("--env", metavar="ENVIRONMENT", help="Another environment than the one that this runs in.")
def config(env: str | None) -> None:
    """Print every setting in effect, with the layer that set it; keys as fingerprints."""
    app = settings.configured(settings.choose_environment(env, "--env"))
    try:
        sources.init_app(app)
    except settings.StartupError as error:
        click.echo(f"The keys are not loaded: {error}", err=True)
    shown = effective(app)
    name_width = max(len(each.name) for each in shown)
    layer_width = max(len(each.layer) for each in shown)
    for each in shown:
        click.echo(f"{each.name:<{name_width}}  {each.layer:<{layer_width}}  {each.value}")
