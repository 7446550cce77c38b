"""What every judging command begins and ends with: the project, opened, and evidence as JSON."""

from typing import Any

from incumbent.cli import options
from incumbent.records import Evidence, moment


def open_project(project: Any) -> Any:
    """The project, opened in the terminal's name. Imported here: production machines have no judging packages."""
    from incumbent.project import open_project as opens

    return opens(project, actor=options.actor())


def shown(evidence: Evidence) -> dict[str, Any]:
    return {"step": evidence.step, "subject": evidence.subject, "reference": evidence.reference,
            "verdict": evidence.verdict, "sentence": evidence.sentence, "at": moment(evidence.at).isoformat(),
            "numbers": evidence.numbers, "measured": evidence.measured}
