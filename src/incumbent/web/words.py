"""Times, numbers and values as people write them.

In: values of records. Out: short English text for the templates. Escapes nothing: the templates do.
"""

import json
from datetime import UTC, tzinfo

from incumbent.records import Json, Micros, moment


def when(at: Micros | None, zone: tzinfo = UTC) -> str:
    """A time to the minute, in the task's zone.

    >>> when(1364774400000000)
    '1 April 2013, 00:00'
    """
    if at is None:
        return "never"
    local = moment(at).astimezone(zone)
    return f"{local.day} {local:%B %Y, %H:%M}"


def day(at: Micros | None, zone: tzinfo = UTC) -> str:
    """A time to the day.

    >>> day(1364774400000000)
    '1 April 2013'
    """
    return when(at, zone).split(",")[0]


def iso(at: Micros) -> str:
    """A time for programs.

    >>> iso(1364774400000000)
    '2013-04-01T00:00:00+00:00'
    """
    return moment(at).isoformat()


def percent(share: float | None) -> str:
    r"""A share in percent, that no line break parts.

    >>> percent(0.0251), percent(None)
    ('2.51\xa0%', '–')
    """
    return "–" if share is None else f"{100 * share:.3g}\N{NO-BREAK SPACE}%"


def number(value: Json) -> str:
    """A number with the digits that matter; thousands are parted, a missing one is a dash.

    >>> number(1234567), number(0.16543219), number(None), number("v3")
    ('1,234,567', '0.16543', '–', 'v3')
    """
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.5g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def signed(value: float | None) -> str:
    """A difference with its sign.

    >>> signed(0.01234567), signed(-0.5), signed(0.0), signed(None)
    ('+0.01235', '−0.5', '0', '–')
    """
    if value is None:
        return "–"
    return f"{value:+.4g}".replace("-", "−") if value else "0"


def phrase(name: str) -> str:
    """A name from code as words.

    >>> phrase("not_enough_data")
    'not enough data'
    """
    return name.replace("_", " ")


def value(found: Json) -> str:
    """A feature value as it was sent, as JSON.

    >>> value("UA"), value(None), value(1.5)
    ('"UA"', 'null', '1.5')
    """
    return json.dumps(found, ensure_ascii=False)
