"""Which columns does a model take, by the names that it keeps itself?

In: the names in the file of a model (None: it was trained without), and a signature. Out: columns of the signature in
the model's order, or a refusal that says which name is unknown.
"""

from collections.abc import Sequence

from incumbent.errors import ArtefactRefused
from incumbent.records import Signature


def taken(names: Sequence[str] | None, width: int, signature: Signature) -> list[str]:
    """The columns that the model takes, in its order: by name, or all of them by place where it has no names."""
    known = list(signature.names)
    if names is None:
        if width != len(known):
            raise ArtefactRefused(
                f"the model takes {width} columns without names; the signature has {len(known)}: {', '.join(known)}. "
                "Name its columns in task.features, in their order."
            )
        return known
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ArtefactRefused(f"the model takes {', '.join(unknown)}; the signature has {', '.join(known)}")
    return list(names)
