"""There is always an incumbent; nothing replaces it without evidence; it is always there to fall back on.

    project = incumbent.open("flights")     # a folder with incumbent.toml and one Python file
    project.baseline()                      # step 1: what must be beaten
    version = project.register(model, rows) # an immutable predictor with golden rows and a profile
    project.gate(version)                   # step 2: is it better on the same held-out rows?
    project.live.start(version)             # step 3: is it better on live traffic?
    project.speed(version)                  # step 4: does it answer inside its budget?
    project.upkeep.tick()                   # step 5: is it still right? what is due?

Importing has no effect and loads nothing heavy: each public name is loaded on its first use (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from incumbent.config import Config as Config
    from incumbent.errors import IncumbentError as IncumbentError
    from incumbent.project import Project as Project
    from incumbent.project import create as create
    from incumbent.project import open_project as open
    from incumbent.records import Decision as Decision
    from incumbent.records import Evidence as Evidence
    from incumbent.records import Outcome as Outcome
    from incumbent.records import Prediction as Prediction
    from incumbent.records import Request as Request
    from incumbent.records import Version as Version

__version__ = "0.1.0"

_PUBLIC = {
    "Config": ("incumbent.config", "Config"),
    "Decision": ("incumbent.records", "Decision"),
    "Evidence": ("incumbent.records", "Evidence"),
    "IncumbentError": ("incumbent.errors", "IncumbentError"),
    "Outcome": ("incumbent.records", "Outcome"),
    "Prediction": ("incumbent.records", "Prediction"),
    "Project": ("incumbent.project", "Project"),
    "Request": ("incumbent.records", "Request"),
    "Version": ("incumbent.records", "Version"),
    "create": ("incumbent.project", "create"),
    "open": ("incumbent.project", "open_project"),
}

__all__ = [
    "Config",
    "Decision",
    "Evidence",
    "IncumbentError",
    "Outcome",
    "Prediction",
    "Project",
    "Request",
    "Version",
    "__version__",
    "create",
    "open",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'incumbent' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _PUBLIC[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
