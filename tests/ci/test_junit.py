"""JUnit XML is valid where it is read: by Ant's schema, by that of Jenkins, and as GitLab describes it."""

from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import ALL, DRY, ERROR, FEW, HOLD, NO_ROWS, OFF, SLICED, outcome, rule

from incumbent.ci import junit

# Both schemas at once: each asks for less somewhere (JUnit.xsd of Ant; junit-10.xsd of the Jenkins plugin xUnit).
SUITE = {"name", "package", "id", "hostname", "timestamp", "time", "tests", "failures", "errors", "skipped"}
ORDER = ["properties", "testcase", "system-out", "system-err"]
RESULTS = {"failure", "error", "skipped"}


def suite(text: str) -> Xml.Element:
    """The one suite of a document that both schemas take."""
    root = Xml.fromstring(text)
    assert (root.tag, root.attrib) == ("testsuites", {})
    (found,) = root
    assert found.tag == "testsuite" and set(found.attrib) == SUITE
    assert int(found.get("id", "")) == 0 and len(found.get("timestamp", "")) == len("2026-11-24T19:49:01")
    places = [ORDER.index(one.tag) for one in found]
    assert places == sorted(places) and {0, 2, 3} <= set(places)
    for one in found.iter("property"):
        assert set(one.attrib) == {"name", "value"}
    for case in found.iter("testcase"):
        assert set(case.attrib) == {"name", "classname", "time"}
        assert all(value == " ".join(value.split()) and value for value in case.attrib.values())
        assert len(case) <= 1
        for result in case:
            assert result.tag in RESULTS and set(result.attrib) == {"message", "type"} and len(result) == 0
    return found


def results(found: Xml.Element) -> dict[str, str]:
    return {case.get("name", ""): case[0].tag if len(case) else "passed" for case in found.iter("testcase")}


@pytest.mark.parametrize("name", ALL)
def test_every_outcome_is_valid_and_counts_what_it_holds(name: str) -> None:
    found = suite(junit.xml(ALL[name]))
    said = list(results(found).values())
    counts = {key: int(found.get(key, "")) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": len(said), "failures": said.count("failure"), "errors": said.count("error"),
                      "skipped": said.count("skipped")}  # fmt: skip


def test_a_rule_is_a_test_case() -> None:
    """Ship passes, hold fails, not enough data is skipped."""
    assert results(suite(junit.xml(SLICED))) == {
        "better_by": "passed",
        "no_worse_than (season = winter)": "failure",
        "no_worse_than (season = summer)": "skipped",
        "no_worse_than (squared_error)": "passed",
        "min_rows (season = fall)": "skipped",
        "latency_p99_ms": "passed",
    }


def test_a_gate_that_decides_nothing_fails_no_build() -> None:
    """A dry run that would hold, and a gate that is off, are skipped."""
    assert results(suite(junit.xml(DRY))) == {"better_by": "skipped"}
    assert results(suite(junit.xml(OFF))) == {"gate": "skipped"}


def test_an_error_is_an_error_with_its_words() -> None:
    (case,) = suite(junit.xml(ERROR)).iter("testcase")
    assert (case[0].tag, case[0].get("type")) == ("error", "DataError")
    assert case[0].text == ERROR.sentence == case[0].get("message")
    assert results(suite(junit.xml(NO_ROWS))) == {"gate": "skipped"}


def test_the_sentence_is_in_the_failure_for_gitlab_and_in_its_message_for_jenkins() -> None:
    case = suite(junit.xml(HOLD)).findall("testcase")[1]
    assert "\N{SNOWMAN}" in (case[0].text or "") and "\N{SNOWMAN}" in case[0].get("message", "")


def test_no_two_cases_share_a_name() -> None:
    """GitLab would ignore the second."""
    found = suite(junit.xml(outcome("hold", [rule("better_by", "hold"), rule("better_by", "ship")])))
    assert list(results(found)) == ["better_by", "better_by (2)"]


def test_the_same_outcome_gives_the_same_bytes() -> None:
    assert junit.xml(FEW) == junit.xml(FEW)


@given(st.text(), st.text())
def test_any_text_stays_valid_xml(name: str, sentence: str) -> None:
    """Control characters and lone surrogates too."""
    found = suite(junit.xml(outcome("hold", [rule(name, "hold", sentence)])))
    assert list(results(found).values()) == ["failure"]
