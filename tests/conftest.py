"""Settings of the whole test suite: hypothesis draws the same examples each time, and no deadline is set."""

from hypothesis import HealthCheck, settings

# Tests assert no timing (that is for benchmarks/), and a failure found once must be found again.
settings.register_profile(
    "incumbent",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("incumbent")
