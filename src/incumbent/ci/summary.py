"""The gate in Markdown: for `$GITHUB_STEP_SUMMARY`, a comment, or a page of a wiki.

In: an Outcome. Out: Markdown that GitHub and GitLab both render, in less than `most` bytes (GitHub drops a step summary
above 1 MiB). Text from data can neither become markup nor call a person by @name.
"""

import re
from collections.abc import Callable, Sequence
from html import escape

from incumbent.ci.outcome import WORDS, Case, Outcome, cases, intervals, next_step
from incumbent.ci.text import picture
from incumbent.records import Json

MOST = 1024 * 1024
SIGNS = {"ship": "🟢", "hold": "🔴", "not_enough_data": "🟡", "off": "⚪", "error": "🔴"}
NUMBERS = {
    "loss_reference": "incumbent", "loss_candidate": "candidate", "gain": "gain", "lower": "at least",
    "upper": "at most", "n_rows": "held-out rows", "n_blocks": "blocks", "method": "interval by",
    "looks": "looks at this holdout",
}  # fmt: skip

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!$])")


def markdown(outcome: Outcome, most: int = MOST) -> str:
    """The summary, ending in a line break. Where it would be too large, rules at the end are left out, and it says how
    many."""
    found, drawn = cases(outcome), picture(intervals(outcome), outcome.metric)
    said = _whole(outcome, found, drawn)
    if len(said.encode(errors="replace")) <= most:
        return said
    return _fitting(lambda n: _whole(outcome, found[:n], drawn, len(found) - n), most)


def numbers(outcome: Outcome) -> list[tuple[str, Json]]:
    """What was measured, as pairs of a label and a number; only what is there."""
    return [(label, outcome.numbers[key]) for key, label in NUMBERS.items() if outcome.numbers.get(key) is not None]


def escaped(text: str) -> str:
    r"""Text on one line that stays text in Markdown.

    >>> escaped("a|b <i> @bob")
    'a\\|b \\<i\\> @<!-- -->bob'
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split())).replace("@", "@<!-- -->")


# --- parts


def _whole(outcome: Outcome, found: Sequence[Case], drawn: str, left_out: int = 0) -> str:
    parts = [f"### {SIGNS.get(outcome.verdict, '')} {escaped(outcome.title)}", escaped(outcome.sentence)]
    parts += [f"> **Note.** {escaped(note)}" for note in outcome.notes]
    if drawn:
        parts.append(f"```text\n{drawn.replace('```', '` ` `')}\n```")
    if outcome.evidence:
        parts.append(_rules(found, left_out))
    parts.append(f"**Next.** {next_step(outcome)}")
    if outcome.evidence:
        parts.append(_numbers(outcome))
    return "\n\n".join(part for part in parts if part) + "\n"


def _rules(found: Sequence[Case], left_out: int) -> str:
    lines = ["| rule | verdict | what was found | rows that would do |", "| --- | --- | --- | ---: |"]
    for one in found:
        verdict = f"{SIGNS.get(one.verdict, '')} {WORDS.get(one.verdict, escaped(one.verdict))}"
        needed = "–" if one.rows_needed is None else f"{one.rows_needed:,}"
        lines.append(f"| {escaped(one.name)} | {verdict} | {escaped(one.sentence)} | {needed} |")
    if left_out:
        lines.append(f"\n{left_out:,} more are left out here: a summary holds 1 MiB. The report has them.")
    return "\n".join(lines)


def _numbers(outcome: Outcome) -> str:
    lines = [f"| {label} | {escaped(_shown(value))} |" for label, value in numbers(outcome)]
    if not lines:
        return ""
    head = f"<details><summary>Numbers ({escape(outcome.metric)}, {escape(outcome.task)})</summary>"  # is HTML
    return "\n".join([head, "", "| | |", "| --- | ---: |", *lines, "", "</details>"])


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _fitting(write: Callable[[int], str], most: int) -> str:
    """One that fits, by halving the rows; with none it is a few thousand bytes, cut where even they are too many."""
    n = 2**20
    while n:
        n //= 2
        said = write(n)
        if len(said.encode(errors="replace")) <= most:
            return said
    return write(0).encode(errors="replace")[:most].decode(errors="ignore")
