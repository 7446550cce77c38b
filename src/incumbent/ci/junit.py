"""The gate as JUnit XML: a rule is a test case, hold a failure, not enough data skipped, an error an error.

In: an Outcome. Out: a document that is valid by the schemas of Ant (JUnit.xsd) and of Jenkins (junit-10.xsd), which ask
for different things; GitLab reads what it needs of it. The same evidence gives the same bytes.
"""

import re
from collections import Counter
from xml.etree import ElementTree as Xml

from incumbent.ci.outcome import Case, Outcome, cases, intervals
from incumbent.ci.text import picture
from incumbent.records import moment

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {"hold": "failure", "not_enough_data": "skipped", "off": "skipped", "error": "error"}


def xml(outcome: Outcome) -> str:
    """The document. Counts agree with the cases, and no two cases share a name (GitLab ignores the second)."""
    found = cases(outcome)
    count = Counter(_element(one, outcome) for one in found)
    root = Xml.Element("testsuites")
    suite = Xml.SubElement(root, "testsuite", {
        "name": "incumbent gate", "package": "incumbent.gate", "id": "0", "hostname": "localhost",
        "timestamp": f"{moment(outcome.at):%Y-%m-%dT%H:%M:%S}", "time": "0", "tests": str(len(found)),
        "failures": str(count["failure"]), "errors": str(count["error"]), "skipped": str(count["skipped"]),
    })  # fmt: skip
    _properties(suite, outcome)
    for name, one in zip(_names(found), found, strict=True):
        _case(suite, name, one, outcome)
    drawn = picture(intervals(outcome), outcome.metric)
    _text(Xml.SubElement(suite, "system-out"), "\n".join([outcome.title, outcome.sentence, drawn]))
    _text(Xml.SubElement(suite, "system-err"), "\n".join(outcome.notes))
    Xml.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(root, encoding="unicode")}\n'


# --- parts


def _properties(suite: Xml.Element, outcome: Outcome) -> None:
    inside = Xml.SubElement(suite, "properties")
    evidence = outcome.evidence
    facts = {"task": outcome.task, "metric": outcome.metric, "verdict": outcome.verdict, "version": outcome.version,
             "candidate": evidence and evidence.subject, "incumbent": evidence and evidence.reference}  # fmt: skip
    for name, value in facts.items():
        if value:
            Xml.SubElement(inside, "property", {"name": name, "value": _clean(value)})


def _case(suite: Xml.Element, name: str, one: Case, outcome: Outcome) -> None:
    where = _token(f"incumbent.gate.{outcome.task}")
    case = Xml.SubElement(suite, "testcase", {"name": name, "classname": where, "time": "0"})
    element = _element(one, outcome)
    if not element:
        return
    kind = outcome.failure.kind if outcome.failure else one.verdict
    inside = Xml.SubElement(case, element, {"message": _token(one.sentence), "type": kind})
    _text(inside, one.sentence)


def _element(one: Case, outcome: Outcome) -> str:
    """What stands inside a case; empty where it passed. A dry run fails no build, so what it would hold is skipped."""
    dry = outcome.numbers.get("mode") == "dry_run" and one.verdict == "hold"
    return "skipped" if dry else _ELEMENTS.get(one.verdict, "")


def _names(found: list[Case]) -> list[str]:
    """Names on one line, the second of a kind with its number behind it."""
    seen: Counter[str] = Counter()
    names = []
    for one in found:
        name = _token(one.name) or "rule"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def _text(element: Xml.Element, text: str) -> None:
    element.text = _clean(text)


def _token(text: str) -> str:
    return " ".join(_clean(text).split())


def _clean(text: str) -> str:
    """Without the characters that no XML document may hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
