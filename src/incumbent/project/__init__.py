"""What a user holds: opens the seams, asks the steps for evidence, registers, lets the loop decide.

code       the user's file: load, train
rows       a DataFrame with the order of time; no label is seen before it was known
bringing   a model from a file, a folder or MLflow, and a version into a folder
mlflow     the flavours of MLflow
project    Project: versions and the first four steps
trials     Project.live: shadow and split trials
upkeep     Project.upkeep: the tick
"""

from incumbent.project.project import Project, create, open_project

__all__ = ["Project", "create", "open_project"]
