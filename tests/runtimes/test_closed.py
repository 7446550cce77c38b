"""A zip that would unpack to more than it may is refused before it is unpacked."""

import io
import zipfile
from typing import Any

import numpy as np
import pytest
import skops.io
from flight_rows import BINARY, flights, linear, task_of
from sklearn.linear_model import LogisticRegression

from incumbent.config import Versions
from incumbent.errors import ArtefactRefused
from incumbent.runtimes import frames
from incumbent.runtimes.base import Opening
from incumbent.runtimes.closed import check_zip
from incumbent.runtimes.sklearn import load_skops


def zipped(**files: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return target.getvalue()


def test_a_real_model_is_inside_its_bounds() -> None:
    """And a constant array below 100 MB too, however well it is packed."""
    rows = flights(300)
    check_zip(skops.io.dumps(linear(LogisticRegression()).fit(rows, rows["late"])), most_mb=1)
    check_zip(zipped(zeros__npy=bytes(50_000_000)), most_mb=100)


@pytest.mark.parametrize(
    ("content", "most_mb"),
    [
        (zipped(zeros__npy=bytes(3_000_000)), 2),
        (zipped(**{f"a{i}": bytes(1_000_000) for i in range(3)}), 2),
        (zipped(inner__npz=zipped(zeros__npy=bytes(3_000_000))), 2),
        (zipped(zeros__npy=bytes(101_000_000)), 4096),
    ],
    ids=["one file", "together", "an archive in the archive", "its ratio"],
)
def test_a_bomb_is_refused(content: bytes, most_mb: float) -> None:
    """It is some kilobytes large; the error says what it would be."""
    assert len(content) < 200_000
    with pytest.raises(ArtefactRefused, match=r"and unpacks to \d+ MB in .*versions.unpacked_mb.*It was not unpacked"):
        check_zip(content, most_mb)


def test_damaged_zips_are_refused() -> None:
    """Cut short, or an inner archive that is none."""
    for content in (zipped(a=b"1")[:-10], zipped(inner__npz=b"nonsense")):
        with pytest.raises(ArtefactRefused, match="found a damaged zip"):
            check_zip(content, 10)


def test_a_skops_file_is_checked_before_skops_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting of the project is what counts."""
    rows = flights(300)
    content = skops.io.dumps(linear(LogisticRegression()).fit(rows, rows["late"]))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files: dict[str, Any] = {name: archive.read(name) for name in archive.namelist()}
    bomb = zipped(**files, more__npy=np.zeros(250_000).tobytes())
    opening = Opening(frames.infer_signature(rows, task_of(BINARY)), Versions(unpacked_mb=1))
    monkeypatch.setattr(skops.io, "get_untrusted_types", None)
    with pytest.raises(ArtefactRefused, match=r"unpacks to 2 MB"):
        load_skops(bomb, opening)
