"""Settings that are each of the right type, and would mean nothing, or contradict each other.

In: a Config, and where it was read. Out: nothing, or ConfigError for the first that is wrong.
"""

import math
from math import isfinite
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from incumbent.config.sections import LONGEST_NAME, Baseline, Config
from incumbent.errors import ConfigError


def check(config: Config, where: str) -> None:
    for key in ("gate.holdout", "gate.alpha", "live.alpha", "live.alpha_roll_back", "review.audit"):
        section, name = key.split(".")
        value = getattr(getattr(config, section), name)
        if not 0 < value < 1:
            raise ConfigError(f"{where}: {key} = {value}, expected a share between 0 and 1")
    if not 0 <= config.people.twice <= 1 or config.people.rows < 2 or config.people.margin < 0:
        raise ConfigError(
            f"{where}: [people] rows = {config.people.rows}, twice = {config.people.twice}, margin = "
            f"{config.people.margin}; expected 2 rows or more, a share from 0 to 1, a margin of 0 or more"
        )
    if config.plan.latency_budget_ms < 0.0:
        raise ConfigError(f"{where}: plan.latency_budget_ms = {config.plan.latency_budget_ms:g}, expected more than 0")
    if config.plan.goal is not None and not isfinite(config.plan.goal):
        raise ConfigError(f"{where}: plan.goal = {config.plan.goal}, expected a value of the metric")
    if config.serve.workers < 0:
        raise ConfigError(f"{where}: serve.workers = {config.serve.workers}, expected 0 or more")
    if config.versions.memory_mb < 0:
        raise ConfigError(f"{where}: versions.memory_mb = {config.versions.memory_mb}, expected 0 or more")
    if config.versions.unpacked_mb < 1:
        raise ConfigError(f"{where}: versions.unpacked_mb = {config.versions.unpacked_mb}, expected 1 or more")
    _check_keeping(config, where)
    _check_baseline(config.baseline, where)
    _check_gate(config, where)
    _check_live(config, where)
    if config.task.label_time and not config.task.time:
        raise ConfigError(f"{where}: task.label_time is set without task.time: no row could be put in order")
    if config.store.url and not config.store.url.startswith(("postgresql://", "postgres://")):
        raise ConfigError(f"{where}: store.url is of an unknown kind, expected postgresql://user@host:port/database")
    if len(config.store_schema.encode()) > LONGEST_NAME or "\0" in config.store_schema:
        raise ConfigError(f"{where}: store.schema = {config.store_schema!r}, expected at most {LONGEST_NAME} bytes")
    if config.task.timezone:
        try:
            ZoneInfo(config.task.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigError(
                f"{where}: task.timezone = {config.task.timezone!r} is no IANA zone, e.g. 'Europe/Vienna' or 'UTC'"
            ) from None


def _check_baseline(baseline: Baseline, where: str) -> None:
    if baseline.url and not baseline.url.startswith(("http://", "https://")):
        raise ConfigError(f"{where}: baseline.url = {baseline.url!r}, expected an address that begins with http(s)://")
    if "@" in urlsplit(baseline.url).netloc:
        raise ConfigError(
            f"{where}: baseline.url holds a user name, which the ledger would keep: name the variable that holds a "
            "token in baseline.url_token_env"
        )
    for name, least in (("url_rows", 0), ("url_batch", 1), ("url_retries", 0), ("origins", 1)):
        if getattr(baseline, name) < least:
            raise ConfigError(f"{where}: baseline.{name} = {getattr(baseline, name)}, expected {least} or more")
    named = {*baseline.columns, *baseline.callables, *(one for one in ("url", "mlflow") if getattr(baseline, one))}
    if baseline.incumbent and baseline.incumbent not in named:
        raise ConfigError(
            f"{where}: baseline.incumbent = {baseline.incumbent!r}, expected a system of [baseline]: "
            f"{', '.join(sorted(named)) or 'none is named'}"
        )
    for name in ("url_timeout_s", "url_total_s"):
        if not getattr(baseline, name) > 0:
            raise ConfigError(f"{where}: baseline.{name} = {getattr(baseline, name)}, expected seconds above 0")


def _check_gate(config: Config, where: str) -> None:
    """A rule that asks nothing, or asks for the impossible, is a mistake and never a pass."""
    gate = config.gate
    if gate.alpha >= 0.5:
        raise ConfigError(f"{where}: gate.alpha = {gate.alpha}, expected less than .5 (a coin)")
    rules: list[tuple[str, Any]] = [("gate", gate), *((f"gate.slice[{i}]", one) for i, one in enumerate(gate.slice))]
    rules += [(f"gate.rule[{i}]", one) for i, one in enumerate(gate.rule)]
    for name, one in rules:
        for key in ("better_by", "no_worse_than", "suspicious_if_better_by", "latency_p99_ms", "min_slice_size"):
            value = getattr(one, key, None)
            if value is not None and not 0.0 <= value < math.inf:
                raise ConfigError(f"{where}: {name}.{key} = {value}, expected a finite number, 0 or more")
        if name != "gate" and (one.better_by is None) == (one.no_worse_than is None):
            raise ConfigError(f"{where}: {name} needs one of no_worse_than and better_by, or it asks nothing clear")
    if gate.block == "group" and not (gate.block_column or config.task.unit):
        raise ConfigError(f'{where}: gate.block = "group" needs gate.block_column, or task.unit')


def _check_live(config: Config, where: str) -> None:
    live = config.live

    def refuse(key: str, expected: str) -> None:
        raise ConfigError(f"{where}: live.{key} = {getattr(live, key)!r}, expected {expected}")

    for key in ("alpha", "alpha_roll_back"):
        if getattr(live, key) >= 0.5:
            refuse(key, "less than .5 (a coin)")
    for key in ("tolerated_rate", "tolerated_slow"):
        if not 0.0 <= getattr(live, key) < 1.0:
            refuse(key, "a share from 0 to below 1")
    for key in ("window_hours", "ramp_hours", "latency_budget_ms", "smallest_effect"):
        if not 0.0 <= getattr(live, key) < math.inf:
            refuse(key, "a finite number, 0 or more")
    if not 0.0 < live.unit_days < math.inf:
        refuse("unit_days", "days above 0")
    if not 1.0 <= live.harm_margin < math.inf:
        refuse("harm_margin", "1 or more")
    rising = list(live.enrol) == sorted(set(live.enrol))
    if not live.enrol or not rising or live.enrol[0] <= 0.0 or live.enrol[-1] > 1.0:
        refuse("enrol", "rising shares above 0 and up to 1")
    _check_measures(config, where)


_TAKEN = ("loss", "errors", "latency", "labels", "matured")


def _check_measures(config: Config, where: str) -> None:
    """Measures of one name, or two that decide, would be told apart by nobody."""
    names: set[str] = set()
    for place, one in enumerate(config.live.measure):
        here = f"{where}: live.measure[{place}]"
        if not one.name or one.name in names or one.name in (*_TAKEN, config.task.metric):
            raise ConfigError(
                f"{here}.name = {one.name!r}, expected a name of its own ({', '.join(_TAKEN)} and task.metric are "
                "taken)"
            )
        if (one.of == "ratio") != bool(one.over):
            raise ConfigError(
                f"{here}: of = {one.of!r} and over = {one.over!r}; a ratio needs over, and nothing else does"
            )
        for key in ("margin", "cap"):
            if not 0.0 <= getattr(one, key) < math.inf:
                raise ConfigError(f"{here}.{key} = {getattr(one, key)}, expected a finite number, 0 or more")
        if not 0.0 <= one.cap_at < 1.0:
            raise ConfigError(f"{here}.cap_at = {one.cap_at}, expected a quantile from 0 (no cap) to below 1")
        names.add(one.name)
    primary = [one.name for one in config.live.measure if one.role == "primary"]
    if len(primary) > 1:
        raise ConfigError(f"{where}: live.measure {' and '.join(primary)} are primary, expected one that decides")
    if primary and config.live.mode != "split":
        raise ConfigError(
            f'{where}: live.measure {primary[0]} is primary with live.mode = {config.live.mode!r}, expected "split": '
            "what a shadow would have caused is not known"
        )


def _check_keeping(config: Config, where: str) -> None:
    """A trial, and the watch after it, must not lose rows that they still count."""
    if config.log.archive_days < 0:
        raise ConfigError(f"{where}: log.archive_days = {config.log.archive_days}, expected 0 or more")
    for name, days in (("live.max_days", config.live.max_days), ("retrain.watch_days", config.retrain.watch_days)):
        if config.log.keep_days < 0 or 0 < config.log.keep_days <= days:
            raise ConfigError(
                f"{where}: log.keep_days = {config.log.keep_days}, expected 0 (for ever) or more than {name} = {days}: "
                "rows that a decision still counts must not go. Keep them longer, or lower that one."
            )
