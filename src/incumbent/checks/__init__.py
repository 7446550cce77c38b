"""Each seam's contract as a public test suite, run on every body, ours and other people's.

A body's tests inherit a suite and say how the body is opened:

    from functools import partial
    from incumbent.checks.storage import LogChecks

    class TestMyLog(LogChecks):
        def opener(self):
            return partial(open_my_log, "some setting")     # called with a folder, here and in child processes

Needs pytest.
"""

import pytest

# Else a failed assertion in an inherited check would not say which values it compared.
pytest.register_assert_rewrite("incumbent.checks.storage")
