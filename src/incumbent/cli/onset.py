"""Before there is anything to serve: try a pickle, start a project, register a model, ask what is missing."""

import json as texts
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from incumbent import config
from incumbent.cli import options, output
from incumbent.cli.options import HERE, AsJson, Folder
from incumbent.cli.serving import serve
from incumbent.errors import ConfigError
from incumbent.stats import metrics

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


def add_to(app: typer.Typer) -> None:
    app.command("try")(try_model)
    app.command()(init)
    app.command()(register)
    app.command()(doctor)


def try_model(
    model: Annotated[Path, typer.Argument(help="A pickled model (joblib or pickle).")],
    data: Annotated[Path, typer.Argument(help="Rows: .csv, .parquet or .json.")],
    target: Annotated[str, typer.Option(help="Column that holds the truth.")],
    trust: Annotated[bool, typer.Option("--trust", help="Load the pickle: it can run any code.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write the project here; default: a temporary folder.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the server.")] = None,
    stop: Annotated[bool, typer.Option("--exit", help="Do not serve.")] = False,
    json: AsJson = False,
) -> None:
    """A pickle and a CSV: is it worth serving? Prints baseline, verdict and single-row p99, then serves it."""
    from incumbent.project import create
    from incumbent.project.trying import infer, open_data, open_model

    fitted, digest = open_model(model, trust)
    found = infer(fitted, open_data(data), target, name=model.stem, digest=digest)
    if not json:
        for sentence in found.sentences:
            output.say(f"· {sentence}")
    folder = save or Path(tempfile.mkdtemp(prefix="incumbent-try-"))
    with create(folder, found.toml) as project, output.busy("judging the model"):
        project.actor = options.actor()
        rules = project.baseline(found.rows)
        version = project.register(fitted, found.rows, description=f"{model.name} (sha256 {digest})")
        verdict = project.gate(version.name, found.rows)
        fast = project.speed(version.name)
        if verdict.verdict == "ship":
            project.promote(version.name, f"`try`: {verdict.sentence}", evidence=verdict)
        incumbent = project.roles().incumbent
    if json:
        output.as_json({"inferred": found.sentences, "folder": str(folder), "version": version.name,
                        "baseline": rules.evidence[0].numbers, "verdict": verdict.verdict,
                        "sentence": verdict.sentence, "latency": fast.measured, "incumbent": incumbent})
    else:
        output.say(f"baseline: {rules.evidence[0].sentence}")
        output.verdict(verdict)
        output.say(f"speed: {fast.sentence}")
        output.say(f"{incumbent} is the incumbent; the project is in {folder}")
    if stop:
        raise typer.Exit(output.exit_code(verdict.verdict))
    serve(folder, port=port, tick=False, json=json)


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write incumbent.toml and task.py.")] = HERE,
    name: Annotated[str, typer.Option(prompt="Name of the task", help="Name of the task.")] = "",
    kind: Annotated[str, typer.Option(prompt="Kind (binary, multiclass, regression, forecast)",
                                      help="binary, multiclass, regression or forecast.")] = "binary",
    target: Annotated[str, typer.Option(prompt="Target column", help="Column that holds the truth.")] = "",
    metric: Annotated[str, typer.Option(prompt="Metric (brier, log_loss, accuracy, squared_error, …)",
                                        help="How a prediction is judged.")] = "brier",
    time: Annotated[str, typer.Option(help="Column with the time of the request.")] = "",
    beat: Annotated[str, typer.Option(help="Plan: what must be beaten.")] = "",
    ship_when: Annotated[str, typer.Option(help="Plan: when to ship.")] = "",
    fall_back_on: Annotated[str, typer.Option(help="Plan: what to fall back on.")] = "",
    budget_ms: Annotated[float, typer.Option(help="Plan: 99th percentile of one prediction, in ms.")] = 0.0,
    retrain: Annotated[str, typer.Option(help="Plan: how often to retrain.")] = "",
) -> None:
    """Start a project: writes incumbent.toml and a task.py to fill in. What the plan leaves open stays red."""
    task = {"name": name, "kind": kind, "target": target, "metric": metric, "time": time, "code": "task.py"}
    plan = {"beat": beat, "ship_when": ship_when, "fall_back_on": fall_back_on, "latency_budget_ms": budget_ms,
            "retrain": retrain}
    text = _section("task", {k: v for k, v in task.items() if v}) + "\n" + _section("plan", plan)
    settings = config.parse(text, folder)
    metrics.get(settings.task.metric, settings.task.kind)
    for path in (folder / config.FILE_NAME, folder / "task.py"):
        if path.exists():
            raise ConfigError(f"{path} is there already: nothing was written.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / config.FILE_NAME).write_text(text, encoding="utf-8")
    (folder / "task.py").write_text(_CODE.format(name=name, time=time or "time"), encoding="utf-8")
    output.say(f"wrote {folder / config.FILE_NAME} and {folder / 'task.py'}: fill in load and train, "
               "then run `incumbent baseline`")


def register(
    source: Annotated[
        str | None,
        typer.Argument(help="A model's file or folder, or models:/name of MLflow; without one, `train` is called."),
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Load a pickle or code: it can do anything.")] = False,
    recipe: Annotated[str | None, typer.Option(help="Function of the code file that fits the model.")] = None,
    description: Annotated[str, typer.Option(help="What this version is.")] = "",
    project: Folder = HERE,
    json: AsJson = False,
) -> None:
    """Store a model as the next version, with its signature, golden rows and profile. Promotes nothing."""
    from incumbent.project import open_project

    with open_project(project, actor=options.actor()) as opened, output.busy("fitting and storing"):
        if source is None:
            version = opened.fit(recipe, description=description)
        else:
            version = opened.register(source, description=description, trust=trust)
    if json:
        return output.as_json({"version": version.name, "runtime": version.runtime, "serves": version.serves,
                               "rows": version.n_rows})
    output.say(f"registered {version.name}: {version.runtime}, served as {version.serves}, "
               f"trained on {version.n_rows:,} rows, {len(version.signature.columns)} features: "
               f"{', '.join(version.signature.names)}")


def doctor(
    project: Folder = HERE,
    json: AsJson = False,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Bring a store of an older release up to date.")] = False,
) -> None:
    """What is missing: the plan's open questions, what stands behind the incumbent, whether the store is whole."""
    from incumbent.cli.checkup import checks, upgraded

    if upgrade:
        for line in upgraded(config.load(project)):
            output.note(line) if json else output.say(line)
    found = checks(config.load(project))
    if json:
        output.as_json([{"check": c.name, "ok": c.ok, "found": c.found, "do": c.do} for c in found])
    else:
        output.table("", ["", "check", "found", "what to do"],
                     [["ok" if c.ok else "OPEN", c.name, c.found, "" if c.ok else c.do] for c in found])
    raise typer.Exit(0 if all(c.ok for c in found) else 1)


def _section(name: str, values: dict[str, Any]) -> str:
    return f"[{name}]\n" + "".join(f"{k} = {texts.dumps(v, ensure_ascii=False)}\n" for k, v in values.items())
