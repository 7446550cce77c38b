"""The rows that were drawn for people: which, when, why, with what chance.

In: the log. Out: one dictionary, which is the page and its JSON twin. Draws no row and takes no label.
"""

from incumbent.config import Config
from incumbent.records import Json
from incumbent.storage.opening import Facts
from incumbent.web import dashboard, words

ROWS = 200


def page(facts: Facts, config: Config, every: bool = False) -> dict[str, Json]:
    """The newest drawn rows that have no label yet; `every` lists labelled ones too."""
    drawn = facts.log.reviews(open_only=not every, limit=ROWS)
    rows = facts.log.find([review.id for review in drawn])
    return {
        "task": dashboard.task(config),
        "every": every,
        "reviewers": list(config.plan.reviewers),
        "per_day": config.review.per_day,
        "audit": config.review.audit,
        "rows": [
            {
                "id": review.id,
                "at": review.at,
                "time": words.iso(review.at),
                "version": review.version,
                "reason": review.reason,
                "propensity": review.propensity,
                "label": review.label,
                "reviewer": review.reviewer,
                "output": list(rows[review.id].output) if review.id in rows else None,
                "features": dict(rows[review.id].features) if review.id in rows else {},
            }
            for review in drawn
        ],
    }
