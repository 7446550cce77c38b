"""The gate for programs: one JSON document, or KEY=value lines for a shell.

In: an Outcome. Out: what `incumbent gate --json` prints; a dotenv file (GitLab's report of that name, or `. gate.env`);
the lines of `$GITHUB_OUTPUT`.
"""

import json
import math
from collections.abc import Mapping

from incumbent.ci.outcome import Outcome
from incumbent.records import Json, moment


def document(outcome: Outcome) -> dict[str, Json]:
    """The evidence with `version`, `notes` and `error` beside it; without evidence, its keys are null or empty."""
    found = outcome.evidence
    error = outcome.failure and {"kind": outcome.failure.kind, "sentence": outcome.failure.sentence}
    return {
        "version": outcome.version,
        "step": "gate",
        "subject": found and found.subject,
        "reference": found and found.reference,
        "verdict": outcome.verdict,
        "sentence": found.sentence if found else outcome.sentence,
        "at": moment(outcome.at).isoformat(),
        "numbers": _plain(found.numbers) if found else {},
        "measured": _plain(found.measured) if found else {},
        "notes": list(outcome.notes),
        "error": error,
    }


def text(outcome: Outcome) -> str:
    """The document as a file."""
    return json.dumps(document(outcome), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def dotenv(outcome: Outcome) -> str:
    """INCUMBENT_VERDICT, INCUMBENT_VERSION and INCUMBENT_REFERENCE; the last two are empty where there is none."""
    return "".join(f"INCUMBENT_{name.upper()}={value}\n" for name, value in _facts(outcome).items())


def github_output(outcome: Outcome) -> str:
    """The same as outputs of a step: verdict, version, reference."""
    return "".join(f"{name}={value}\n" for name, value in _facts(outcome).items())


def _plain(value: Json) -> Json:
    """What JSON can hold: it has no word for NaN and infinity, so they are null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _facts(outcome: Outcome) -> dict[str, str]:
    """Words and names of versions (`v7`): nothing in them needs quoting."""
    reference = outcome.evidence.reference if outcome.evidence else None
    return {"verdict": outcome.verdict, "version": outcome.version or "", "reference": reference or ""}
