"""Step 1 at the terminal: what must be beaten?"""

import typer

from incumbent.cli import groups, options, output, people
from incumbent.cli.opening import open_project, shown
from incumbent.cli.options import HERE, AsJson, Folder, Now

app = groups.group("Step 1: what must be beaten?")
app.add_typer(people.app, name="people")


def add_to(whole: typer.Typer) -> None:
    whole.add_typer(app, name="baseline")


@app.command(groups.OWN)
def baseline(project: Folder = HERE, now: Now = None, json: AsJson = False) -> None:
    """Step 1: fit every naive rule, and make the best the first incumbent."""
    with open_project(project) as opened, output.busy("fitting naive rules"):
        result = opened.baseline(now=options.moment(now))
    if json:
        return output.as_json([shown(e) for e in result.evidence])
    output.table("What must be beaten", ["rule", opened.metric.name, "from", "to"],
                 [[e.subject, e.numbers["value"], e.numbers["lower"], e.numbers["upper"]]
                  for e in result.evidence])
    output.say(result.evidence[0].sentence)
