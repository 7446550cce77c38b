"""Start a project: ask what a task needs and what the team decides at the onset, and write both down.

In: options, or answers at a terminal. Out: incumbent.toml and, where there is none, a code file to fill in. Overwrites
nothing. A question of the plan that is left open is written as a comment, and stays red until somebody answers it.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from incumbent import config
from incumbent.cli import output
from incumbent.cli.options import HERE
from incumbent.cli.plan import QUESTIONS, Question, toml, understand
from incumbent.errors import ConfigError
from incumbent.records import Kind
from incumbent.stats import metrics
from incumbent.stats.metrics import Metric

_CODE = '''"""{name}: what is loaded, and how a model is trained."""

from pathlib import Path

import pandas as pd


def load(since=None, until=None):
    """Rows with since <= {time} < until, the target included (null where it is not known yet)."""
    return pd.read_csv(Path(__file__).with_name("data.csv"))


def train(rows):
    """Fit a model on labelled rows (features and target), and return it."""
    raise NotImplementedError("fit and return an estimator, e.g. a scikit-learn Pipeline")
'''
CODE = "task.py"
TAKE = "="
"""What is typed to take the suggested answer."""


def add_to(app: typer.Typer) -> None:
    app.command()(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write incumbent.toml and task.py.")] = HERE,
    name: Annotated[str, typer.Option(help="Name of the task.")] = "",
    kind: Annotated[str, typer.Option(help="binary, multiclass, regression or forecast.")] = "",
    target: Annotated[str, typer.Option(help="Column that holds the truth.")] = "",
    metric: Annotated[str, typer.Option(help="How a prediction is judged; default: brier, squared_error.")] = "",
    time: Annotated[str, typer.Option(help="Column with the time of the request.")] = "",
    beat: Annotated[str, typer.Option(help="Plan: what must be beaten.")] = "",
    ship_when: Annotated[
        str, typer.Option(help='Plan: when to ship; "better by 0.005" becomes the gate\'s rule.')
    ] = "",
    fall_back_on: Annotated[str, typer.Option(help="Plan: what to fall back on.")] = "",
    budget_ms: Annotated[str, typer.Option(help="Plan: 99th percentile of one prediction, in ms.")] = "",
    retrain: Annotated[
        str, typer.Option(help='Plan: how often to retrain; "1 month" becomes the cadence.')
    ] = "",
    reviewers: Annotated[str, typer.Option(help="Plan: who answers doubtful predictions, with commas.")] = "",
    goal: Annotated[str, typer.Option(help="Plan: the value of the metric that is hoped for.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: what no option says stays open.")] = False,
) -> None:
    """Start a project: asks for the task and the plan, and writes incumbent.toml and a task.py to fill in.

    At a terminal what no option says is asked for; elsewhere, or with --yes, nothing is. What the plan leaves open
    stays red in `doctor` and on the dashboard. Nothing that is there is overwritten."""
    path, code = folder / config.FILE_NAME, folder / CODE
    if path.exists():
        raise ConfigError(f"{path} is there already: nothing was written.")
    asks = sys.stdin.isatty() and not yes
    task = _task({"name": name, "kind": kind, "target": target, "metric": metric, "time": time}, asks)
    chosen = metrics.get(task["metric"], task["kind"])
    answers = {"beat": beat, "ship_when": ship_when, "fall_back_on": fall_back_on, "latency_budget_ms": budget_ms,
               "retrain": retrain, "reviewers": reviewers, "goal": goal}  # fmt: skip
    understand(answers, chosen)  # a wrong option is said before the first question
    if asks:
        answers = _plan(answers, chosen)
    found = understand(answers, chosen)
    text = toml({"task": {**task, "code": CODE}, **found.sections}, _left_open(answers))
    config.parse(text, folder)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if not code.exists():
        code.write_text(_CODE.format(name=task["name"], time=task.get("time", "time")), encoding="utf-8")
        output.say(f"wrote {path} and {code}: fill in load and train, then run `incumbent expect` "
                   "and `incumbent baseline`")
    else:
        output.say(f"wrote {path}; {code} was there, and stays as it is: next are `incumbent expect` "
                   "and `incumbent baseline`")
    for sentence in found.said:
        output.say(f"· {sentence}")
    open_ones = [question.key for question in QUESTIONS if not answers[question.key].strip()]
    if open_ones:
        output.say(f"· left open in [plan], and red until answered: {', '.join(open_ones)}")


def _task(given: dict[str, str], asks: bool) -> dict[str, Any]:
    """[task], asked for where it is not given. Raises ConfigError for what lacks or does not fit."""
    task = dict(given)
    if asks:
        output.say("The task: what is predicted, and how is a prediction judged?\n")
    for key, said in (("name", "Name of the task"), ("kind", f"Kind ({', '.join(get_args(Kind))})"),
                      ("target", "Column that holds the truth"), ("metric", ""), ("time", "")):  # fmt: skip
        if key == "kind" and task["kind"]:
            _known_kind(task["kind"])
        if task[key] or (key == "time" and not asks):
            continue
        if key == "metric":
            task[key] = _metric(task["kind"], asks)
        elif not asks:
            raise ConfigError(f"found no --{key}, expected one: nothing is asked where no person is at a terminal")
        elif key == "time":
            task[key] = _line("Column with the time of the request (Enter: there is none)")
        else:
            task[key] = _asked(said, check=_known_kind if key == "kind" else None)
    metrics.get(task["metric"], task["kind"])
    return {key: value for key, value in task.items() if value}


def _known_kind(kind: str) -> None:
    if kind not in get_args(Kind):
        raise ConfigError(f"kind: found {kind!r}, expected one of {', '.join(get_args(Kind))}")


def _metric(kind: str, asks: bool) -> str:
    usual = "brier" if kind in ("binary", "multiclass") else "squared_error"
    if not asks:
        return usual
    known = ", ".join(metrics.names(kind))
    return _asked(f"Metric ({known}; Enter: {usual})", usual, lambda text: metrics.get(text, kind))


def _plan(given: dict[str, str], metric: Metric) -> dict[str, str]:
    """The answers, asked for one by one. Enter leaves a question open."""
    output.say(f"\nThe plan: what the team decides now, before there is a model. Enter leaves a question open; "
               f"{TAKE} takes what is suggested.")
    answers = dict(given)
    for question in QUESTIONS:
        if not answers[question.key]:
            answers[question.key] = _answer(question, metric)
    output.say("")
    return answers


def _answer(question: Question, metric: Metric) -> str:
    about = f" ({metric.name}, {'lower' if metric.lower_is_better else 'higher'} is better)"
    output.say(f"\n{question.ask}{about if question.key == 'goal' else ''}")
    output.say(f"  {question.why}")
    output.say(f"  For example: {question.example}")
    if question.suggested:
        output.say(f"  {TAKE} for: {question.suggested}")
    while True:
        text = _line(">")
        text = question.suggested if text == TAKE else text
        try:
            understand({question.key: text}, metric)
            return text
        except ConfigError as error:
            output.say(f"  {error}")


def _asked(said: str, default: str = "", check: Callable[[str], Any] | None = None) -> str:
    """One line that is needed, asked for until it fits."""
    while True:
        text = _line(said) or default
        try:
            if text:
                if check:
                    check(text)
                return text
        except ConfigError as error:
            output.say(f"  {error}")


def _line(said: str) -> str:
    text: str = typer.prompt(said, default="", show_default=False, prompt_suffix=" " if said == ">" else ": ")
    return text.strip()


def _left_open(answers: dict[str, str]) -> dict[str, str]:
    examples = {"latency_budget_ms": "20.0", "goal": "0.15", "reviewers": '["..."]'}
    open_ones = [one for one in QUESTIONS if not answers[one.key].strip()]
    told = {one.key: examples.get(one.key, '"..."') for one in open_ones}
    return {f"plan.{one.key}": f"{one.key} = {told[one.key]}    # unanswered: {one.ask}" for one in open_ones}
