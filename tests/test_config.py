"""incumbent.toml: every setting is explained, and what is wrong with one is said so that it can be mended."""

from pathlib import Path

import pytest

from incumbent import config
from incumbent.errors import ConfigError, UnknownKey

TASK = '[task]\nname = "t"\nkind = "binary"\ntarget = "late"\nmetric = "brier"\n'


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        config.parse(text)
    return str(error.value)


def test_four_settings_are_enough() -> None:
    found = config.parse(TASK)
    assert (found.task.kind, found.gate.alpha, found.store.path) == ("binary", 0.05, ".incumbent")


def test_every_setting_has_a_sentence() -> None:
    """Docs, `--help` and pages reuse it: a whole sentence, with a full stop."""
    settings = dict(config.settings())
    assert len(settings) > 50 and "task.target" in settings and "rehearse.faults" in settings
    bad = [name for name, field in settings.items() if not field.metadata.get("sentence", "").endswith(".")]
    assert bad == []


def test_every_default_is_one_that_could_be_written() -> None:
    """A file that repeats each default means the same as one that leaves them out."""
    lines: dict[str, list[str]] = {}
    for name, field in config.settings():
        section, _, key = name.partition(".")
        if "." in key:
            continue  # of a table in a list: by default there is none
        if isinstance(field.default, bool | int | float | str | tuple):
            value = list(field.default) if isinstance(field.default, tuple) else field.default
            shown = str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
            lines.setdefault(section, []).append(f"{key} = {shown}")
    text = "\n".join(f"[{section}]\n" + "\n".join(keys) for section, keys in lines.items())
    assert config.parse(text.replace("[task]\n", TASK, 1)) == config.parse(TASK)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TASK + 'targt = "x"\n', "unknown key in [task]: 'targt'; did you mean 'target'?"),
        (TASK + "[gate]\nalhpa = 0.1\n", "unknown key in [gate]: 'alhpa'; did you mean 'alpha'?"),
        (TASK + "[gaet]\nalpha = 0.1\n", "unknown section: 'gaet'; did you mean 'gate'?"),
        (
            TASK + "[store]\nxyzzy = 1\n",
            "unknown key in [store]: 'xyzzy'; known are path, url, schema, durability, lock_timeout_s.",
        ),
    ],
)
def test_an_unknown_key_names_the_nearest(text: str, said: str) -> None:
    with pytest.raises(UnknownKey) as error:
        config.parse(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TASK + '[gate]\nalpha = "small"\n', "gate.alpha: found 'small' (str), expected float"),
        (TASK + "[gate]\nmin_rows = 2.5\n", "gate.min_rows: found 2.5 (float), expected int"),
        (TASK + "[gate]\nmin_rows = true\n", "gate.min_rows: found True (bool), expected int"),
        (TASK + "[versions]\npickle = 1\n", "versions.pickle: found 1 (int), expected bool"),
        (TASK + 'features = "weight"\n', "task.features: found 'weight' (str), expected a list of str"),
        (TASK + "features = [1]\n", "task.features[0]: found 1 (int), expected str"),
        (TASK + '[live]\nmode = "dark"\n', "live.mode: found 'dark', expected one of shadow, split, both"),
        ("task = 3\n", "[task] is 3, expected a table of settings"),
    ],
)
def test_a_value_of_the_wrong_type_says_what_was_expected(text: str, said: str) -> None:
    assert said in refused(text)


def test_a_whole_number_stands_for_a_float() -> None:
    assert config.parse(TASK + "[plan]\nlatency_budget_ms = 5\n").plan.latency_budget_ms == 5.0


def test_a_missing_target_is_said() -> None:
    assert "[task] lacks target" in refused(TASK.replace('target = "late"\n', ""))


def test_a_missing_task_is_said() -> None:
    assert "found no [task]" in refused("[gate]\nalpha = 0.1\n")


def test_a_kind_that_nobody_knows_names_those_that_there_are() -> None:
    assert "expected one of binary, multiclass, regression, forecast" in refused(TASK.replace("binary", "ranking"))


@pytest.mark.parametrize("zone", ["Vienna", "Europe/Wien", "/etc/passwd", "../UTC"])
def test_a_bad_zone_is_said(zone: str) -> None:
    assert f"task.timezone = '{zone}' is no IANA zone" in refused(TASK + f'timezone = "{zone}"\n')


def test_a_zone_is_used_for_days() -> None:
    assert config.parse(TASK + 'timezone = "Europe/Vienna"\n').zone.key == "Europe/Vienna"
    assert config.parse(TASK).zone.key == "UTC"


@pytest.mark.parametrize(
    "setting", ["gate.holdout", "gate.alpha", "live.alpha", "live.alpha_roll_back", "review.audit"]
)
@pytest.mark.parametrize("value", ["0.0", "1.0", "-0.5", "nan", "inf"])
def test_a_share_lies_between_0_and_1(setting: str, value: str) -> None:
    section, key = setting.split(".")
    assert f"{setting} = {value}, expected a share between 0 and 1" in refused(TASK + f"[{section}]\n{key} = {value}\n")


def test_label_time_needs_time() -> None:
    assert "task.label_time is set without task.time" in refused(TASK + 'label_time = "known_at"\n')


def test_text_that_is_no_toml_is_said() -> None:
    assert "not valid TOML" in refused("[task\n")


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Run `incumbent init` there"):
        config.load(tmp_path)


def test_the_file_is_named_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "incumbent.toml").write_text(TASK + "[gate]\nx = 1\n")
    with pytest.raises(UnknownKey, match=r"incumbent\.toml"):
        config.load(tmp_path)


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are an error of the file, said as one."""
    (tmp_path / "incumbent.toml").write_bytes(b"[task]\nname = \"\xff\"\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        config.load(tmp_path)


def test_a_folder_in_the_place_of_the_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "incumbent.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path)


def test_the_store_lies_in_the_project(tmp_path: Path) -> None:
    assert config.parse(TASK, tmp_path).store_path == tmp_path / ".incumbent"


@pytest.mark.parametrize(
    ("name", "schema", "expected"),
    [
        ("flight-delay", "", "incumbent_flight_delay"),
        ("Ä b!", "", "incumbent_b"),
        ("x" * 80, "", f"incumbent_{'x' * 53}"),
        ("any", "Mine", "Mine"),
    ],
)
def test_a_project_has_a_schema_of_its_own(name: str, schema: str, expected: str) -> None:
    """Named after the task where the settings do not say."""
    text = f'[task]\nname="{name}"\nkind="binary"\ntarget="y"\nmetric="brier"\n[store]\nschema="{schema}"'
    assert config.parse(text).store_schema == expected


@pytest.mark.parametrize("line", ['url = "mysql://me:secret@host/db"', f'schema = "{"x" * 64}"'])
def test_a_store_that_cannot_be(line: str) -> None:
    """Another database than PostgreSQL, a name that it would cut; the URL may hold a password and is not shown."""
    with pytest.raises(ConfigError, match=rf"store\.{line.split()[0]}") as caught:
        config.parse(f'[task]\nname="a"\nkind="binary"\ntarget="y"\nmetric="brier"\n[store]\n{line}')
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("[log]\nkeep_days = 28", "live.max_days = 28"),
        ("[log]\nkeep_days = 10\n[live]\nmax_days = 7", "retrain.watch_days = 28"),
        ("[log]\nkeep_days = -1", "keep_days = -1"),
        ("[log]\narchive_days = -1", "archive_days = -1"),
    ],
)
def test_rows_that_a_decision_still_counts_are_kept(more: str, words: str) -> None:
    """keep_days must be longer than a trial and the watch after it."""
    with pytest.raises(ConfigError, match=words):
        config.parse(f"{TASK}\n{more}\n")
    assert config.parse(f"{TASK}\n[log]\nkeep_days = 29\narchive_days = 30\n").log.keep_days == 29


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('url = "file:///etc/passwd"', "expected an address that begins with http(s)://"),
        ('url = "http://me:secret@example/predict"', "baseline.url_token_env"),
        ("url_batch = 0", "baseline.url_batch = 0, expected 1 or more"),
        ("origins = 0", "baseline.origins = 0, expected 1 or more"),
        ("url_timeout_s = 0", "baseline.url_timeout_s = 0.0, expected seconds above 0"),
        ('simple = "perhaps"', "expected one of off, listed, incumbent"),
        ('incumbent = "url"', "baseline.incumbent = 'url', expected a system of [baseline]: none is named"),
        ('columns = ["old"]\nincumbent = "new"', "expected a system of [baseline]: old"),
    ],
)
def test_a_system_that_cannot_be_asked_is_said(line: str, words: str) -> None:
    """What [baseline] names is checked before anything is fitted; a password is never repeated."""
    said = refused(f"{TASK}\n[baseline]\n{line}\n")
    assert words in said and "secret" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gate]\nbetter_by = nan\n", "gate.better_by = nan, expected a finite number"),
        ("[gate]\nno_worse_than = -0.1\n", "gate.no_worse_than = -0.1"),
        ("[gate]\nsuspicious_if_better_by = inf\n", "gate.suspicious_if_better_by = inf"),
        ("[gate]\nalpha = 0.5\n", "a coin"),
        ('[gate]\nblock = "group"\n', "needs gate.block_column, or task.unit"),
        ('[[gate.slice]]\ncolumn = "x"\n', "gate.slice[0] needs one of no_worse_than and better_by"),
        ('[[gate.rule]]\nmetric = "f1"\nbetter_by = 1\nno_worse_than = 1\n', "gate.rule[0] needs one of"),
        ('[[gate.slice]]\ncolum = "x"\n', "did you mean 'column'?"),
        ('[[gate.slice]]\nvalue = "x"\nbetter_by = 0\n', "lacks column"),
        ('[gate]\nslice = "x"\n', "expected a list"),
    ],
)
def test_a_rule_that_asks_nothing_clear_is_refused(text: str, said: str) -> None:
    """NaN and infinity are TOML: no rule is passed or failed by accident."""
    with pytest.raises(ConfigError) as error:
        config.parse(TASK + text)
    assert said in str(error.value)


def test_slices_and_rules_are_lists_of_tables() -> None:
    """A value may be of any kind; whole numbers are numbers."""
    gate = config.parse(
        TASK + '[[gate.slice]]\ncolumn = "x"\nvalue = 3\nno_worse_than = 0\n[[gate.slice]]\ncolumn = "y"\n'
        'better_by = 0.1\nmin_slice_size = 50\n[[gate.rule]]\nmetric = "f1"\nno_worse_than = 1\n'
    ).gate
    assert gate.slice == (config.Slice("x", 3, no_worse_than=0.0), config.Slice("y", better_by=0.1, min_slice_size=50))
    assert gate.rule == (config.Rule("f1", no_worse_than=1.0),) and isinstance(gate.rule[0].no_worse_than, float)


@pytest.mark.parametrize(("line", "said"), [
    ("alpha = 0.5", "less than .5 (a coin)"),
    ("alpha_roll_back = 0.6", "less than .5 (a coin)"),
    ("tolerated_rate = 1.0", "a share from 0 to below 1"),
    ("tolerated_slow = -0.1", "a share from 0 to below 1"),
    ("window_hours = -1", "0 or more"),
    ("latency_budget_ms = -1", "0 or more"),
    ("smallest_effect = inf", "a finite number"),
    ("unit_days = 0", "days above 0"),
    ("harm_margin = 0.5", "1 or more"),
    ("enrol = []", "rising shares above 0 and up to 1"),
    ("enrol = [0.5, 0.1]", "rising shares above 0 and up to 1"),
    ("enrol = [0.0, 1.0]", "rising shares above 0 and up to 1"),
    ("enrol = [0.5, 1.5]", "rising shares above 0 and up to 1"),
])  # fmt: skip
def test_a_trial_that_could_not_be_judged_is_refused(line: str, said: str) -> None:
    found = refused(f"{TASK}[live]\n{line}\n")
    assert said in found and f"live.{line.split()[0]}" in found


@pytest.mark.parametrize(("tables", "said"), [
    (['name = "loss"'], "expected a name of its own"),
    (['name = "brier"'], "expected a name of its own"),
    (['name = ""'], "expected a name of its own"),
    (['name = "errors"'], "expected a name of its own"),
    (['name = "sold"', 'name = "sold"'], "live.measure[1].name = 'sold'"),
    (['name = "sold"\nof = "ratio"'], "a ratio needs over"),
    (['name = "sold"\nover = "seen"'], "nothing else does"),
    (['name = "sold"\nrole = "primary"', 'name = "seen"\nrole = "primary"'], "sold and seen are primary"),
    (['name = "sold"\ncap = -1.0'], "cap = -1.0, expected a finite number, 0 or more"),
    (['name = "sold"\nmargin = -1.0'], "margin = -1.0, expected a finite number, 0 or more"),
    (['name = "sold"\ncap_at = 1.0'], "cap_at = 1.0, expected a quantile from 0 (no cap) to below 1"),
])  # fmt: skip
def test_a_measure_that_asks_nothing_clear_is_refused(tables: list[str], said: str) -> None:
    assert said in refused(TASK + '[live]\nmode = "split"\n' + "".join(f"[[live.measure]]\n{one}\n" for one in tables))


def test_a_shadow_has_no_other_measure_that_decides() -> None:
    """What it would have caused is not known; a guardrail of a later split is fine."""
    primary = '[[live.measure]]\nname = "sold"\nrole = "primary"\n'
    for mode in ("shadow", "both"):
        assert 'expected "split"' in refused(f'{TASK}[live]\nmode = "{mode}"\n{primary}')
    assert config.parse(f'{TASK}[live]\nmode = "split"\n{primary}').live.measure[0].role == "primary"
    assert config.parse(f'{TASK}[[live.measure]]\nname = "sold"\n').live.measure[0].role == "guardrail"
