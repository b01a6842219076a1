"""A check of the templates: what a browser would block of them."""

from collections.abc import Iterator

from ..loading import Record
from ..policies import ENFORCED, REPORT_ONLY, policy
from ..problems import printable
from ..template_scan import scan
from . import Wrong, check

MOST = 100  # lines of a report; an application that has never had a policy has more


@check("csp-template", level="warning")
def csp_template(record: Record) -> Iterator[Wrong]:
    """Browsers block what the policy does not allow: even the question before a deletion."""
    enforced = policy(record.config, ENFORCED)
    judged = enforced if enforced.directives else policy(record.config, REPORT_ONLY)
    folder = record.config_folder.parent
    for number, found in enumerate(scan(folder, judged)):
        if number == MOST:
            yield Wrong(f"More than {MOST} places of templates are blocked", "Begin with those.")
            return
        path = printable(str(found.path.relative_to(folder)))
        yield Wrong(f"{path}, line {found.line}: {found.message}", f"Change {path}.")
