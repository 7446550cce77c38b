"""What the tests of the commands share: what one says, and that a refusal is one paragraph."""

from collections.abc import Callable

NOW = "2024-02-10T00:00:00+00:00"  # day 40
Command = Callable[..., tuple[int, str, str]]


def refused(said: tuple[int, str, str], code: int, *words: str) -> None:
    """One paragraph on standard error, no stack trace, and the exit code."""
    found, out, err = said
    assert found == code, err
    assert out == ""
    assert "Traceback" not in err
    assert "\n\n" not in err.strip()
    for word in words:
        assert word in err
