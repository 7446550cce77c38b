"""The user's Python file: `load`, `train`, and whatever other recipes stand beside them.

In: the project's configuration. Out: a `Code` whose functions are called with clear errors around them.
Imports the file under a name of its own; nothing is run before somebody asks for it.
"""

import hashlib
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from incumbent.config import Config
from incumbent.errors import ConfigError, DataError, IncumbentError
from incumbent.records import Micros, moment
from incumbent.runtimes import kinds


@dataclass(frozen=True, slots=True)
class Code:
    """The functions of one file. `digest` (sha256, 8 hex digits) tells one state of the file from another."""

    module: ModuleType
    digest: str
    where: Path

    def load(self, since: Micros | None = None, until: Micros | None = None) -> Any:
        """The user's rows with since <= time < until, as the file's own kind of DataFrame."""
        rows = self._call("load", since=_moment(since), until=_moment(until))
        if not hasattr(rows, "columns") and not hasattr(rows, "column_names"):
            raise DataError(f"{self.where}: load() returned {type(rows).__name__}, expected a DataFrame")
        return rows

    def fit(self, recipe: str, rows: Any) -> Any:
        """A fitted estimator: calls the function named by the recipe on labelled rows (features and target)."""
        model = self._call(recipe, rows)
        if not any(hasattr(model, name) for name in ("predict", "forecast")) and kinds.runtime_of(model) != "torch":
            raise DataError(
                f"{self.where}: {recipe}() returned {type(model).__name__}, which has neither predict nor forecast"
            )
        return model

    def ask(self, name: str, rows: Any) -> Any:
        """What the function `name` says of rows (features only): one answer a row."""
        return self._call(name, rows)

    def has(self, name: str) -> bool:
        return callable(getattr(self.module, name, None))

    def recipe(self, name: str) -> str:
        """What a version remembers of the code that made it: the function and the state of the file."""
        return f"{name}@{self.digest}"

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        function: Callable[..., Any] | None = getattr(self.module, name, None)
        if not callable(function):
            known = [n for n, v in vars(self.module).items() if callable(v) and not n.startswith("_")]
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "add it, or name another with --recipe."
            raise ConfigError(f"{self.where}: no function {name!r}; {hint}")
        try:
            return function(*args, **kwargs)
        except (IncumbentError, ModuleNotFoundError):
            raise
        except Exception as error:  # whatever the user's code raises is said with its place
            raise DataError(f"{name}() failed in {_place(error, self.where)}") from error


def open_code(config: Config) -> Code | None:
    """Import the file that `task.code` names; None when none is named (then nothing can be retrained)."""
    if not config.task.code:
        return None
    path = config.folder / config.task.code
    if not path.is_file():
        raise ConfigError(f"task.code = {config.task.code!r}: no file {path}. Write it, or leave the key out.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    name = f"incumbent_task_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}_{digest}"
    if name in sys.modules:
        return Code(sys.modules[name], digest, path)
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"task.code = {config.task.code!r}: not a Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module  # so that what the file defines can be stored and loaded by name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, IncumbentError | ModuleNotFoundError):
            raise
        raise ConfigError(f"task.code = {config.task.code!r} cannot be imported: {_place(error, path)}") from error
    return Code(module, digest, path)


def _place(error: Exception, path: Path) -> str:
    """Where in the user's file an error came up, and what it is: one line of the stack, the last one of that file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    where = f"{path}, line {lines[-1]}" if lines else str(path)
    return f"{where}: {type(error).__name__}: {error}"


def _moment(at: Micros | None) -> Any:
    return None if at is None else moment(at)
