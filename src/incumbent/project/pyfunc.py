"""A model that MLflow keeps, as something to compare with: `mlflow.pyfunc` loads it, and it answers a DataFrame.

In: the URI of a model and the features of the held-out rows. Out: what it says. mlflow is imported when it is asked;
loading runs the model's own code, which the project allows by naming it. (As a version of ours: `mlflow`.)
"""

from importlib import import_module
from typing import Any

import narwhals.stable.v1 as nw

from incumbent.errors import DataError, MissingExtra


def ask(uri: str, features: Any) -> Any:
    """The answers of the model at `uri` to a DataFrame of features (pandas is what MLflow takes).

    Raises MissingExtra where mlflow is not installed, and DataError when the model does not load or answer.
    """
    try:
        theirs: Any = import_module("mlflow.pyfunc")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "mlflow":
            raise
        raise MissingExtra("mlflow", "mlflow", "baseline.mlflow") from None
    try:
        model = theirs.load_model(uri)
        return model.predict(nw.from_native(features, eager_only=True).to_pandas())
    except Exception as error:  # whatever the model's own code raises is said with its address
        raise DataError(f"baseline.mlflow = {uri!r}: {type(error).__name__}: {error}") from error
