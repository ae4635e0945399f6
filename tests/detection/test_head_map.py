"""A head map of unknown origin is read within limits, whole, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from circuitseer_core.detection import head_map
from circuitseer_core.detection.head_map import MANIFEST, TABLE, read_head_map
from circuitseer_core.errors import UserError


def write_map(folder: Path, table: pd.DataFrame | bytes | None = None, **changes: Any) -> Path:
    """A head map of 2 x 2 heads; ``changes`` go into its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(table, bytes):
        (folder / TABLE).write_bytes(table)
    else:
        (frame() if table is None else table).to_parquet(folder / TABLE, index=False)
    manifest = {
        "format": 1,
        "model": {"id": "tiny/random", "weights_hash": "ab" * 32, "heads_per_layer": [2, 2]},
        "measured": {"n_probe": 8},
        "heads": 4,
        "sha256": hashlib.sha256((folder / TABLE).read_bytes()).hexdigest(),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest | changes), encoding="utf-8")
    return folder


def frame(**columns: Any) -> pd.DataFrame:
    """The table of 2 x 2 heads."""
    table = pd.DataFrame(
        {
            "layer": [1, 0, 0, 1],
            "head": [0, 0, 1, 1],
            "importance": [0.4, 0.3, 0.2, 0.1],
            "stderr": 0.1,
            "n": 8,
            "raced_out": False,
            "rank": [1, 2, 3, 4],
        }
    )
    return table.assign(**columns)


def test_a_map_is_read_in_order_without_unknown_columns(tmp_path: Path) -> None:
    head_map = read_head_map(write_map(tmp_path / "map", frame(note="=cmd()", below_noise=True)))
    assert head_map.heads["layer"].tolist() == [0, 0, 1, 1]
    assert head_map.heads["rank"].tolist() == [2, 3, 1, 4]
    assert "note" not in head_map.heads and head_map.heads["below_noise"].all()
    assert "importance" not in repr(head_map), "a notebook is not shown the whole table"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: frame().head(3), "3 rows that are not the 4 heads"),
        (lambda: frame(head=0), "4 rows that are not the 4 heads"),
        (lambda: frame(layer=[7, 0, 0, 1]), "not the 4 heads"),
        (lambda: frame(rank=1), "column rank does not rank"),
        (lambda: frame(specificity_rank=[1, 1, 2, 3]), "column specificity_rank does not rank"),
        (lambda: frame(importance=float("inf")), "without a measurement"),
        (lambda: frame(n=0), "without a measurement"),
        (lambda: frame(importance=[0.1, None, 0.2, 0.3]), "without a measurement|empty cells"),
        (lambda: frame(layer=["a", "b", "c", "d"]), "cannot be read"),
        (lambda: frame(rank=[1.5, 2, 3, 4]), "cannot be read"),
        (lambda: frame(importance=[[1.0]] * 4), "cannot be read"),
        (lambda: frame().drop(columns=["rank", "n"]), "no column n, rank"),
        (lambda: b"PAR1 no parquet PAR1", "cannot be read"),
    ],
)
def test_tables_that_are_none_are_refused(
    tmp_path: Path, make: Callable[[], pd.DataFrame | bytes], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_head_map(write_map(tmp_path / "map", make()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2, not 1"),
        ({"format": "x"}, "cannot be read: format"),
        ({"model": {"id": "a", "heads_per_layer": []}}, "does not say how many heads"),
        ({"model": {"id": "a", "heads_per_layer": [10**9]}}, "does not say how many heads"),
        ({"model": {"id": "a", "heads_per_layer": [-1, 5]}}, "does not say how many heads"),
        ({"sha256": ""}, "is not the file that its manifest names"),
    ],
)
def test_manifests_that_do_not_fit_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_head_map(write_map(tmp_path / "map", **changes))


def test_a_small_file_that_unpacks_to_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = pd.concat([frame()] * 2_000)
    folder = write_map(tmp_path / "map", many)
    size = (folder / TABLE).stat().st_size
    monkeypatch.setitem(head_map.MOST_BYTES, TABLE, size + 1)
    monkeypatch.setattr(head_map, "MOST_HEADS", 10)
    with pytest.raises(UserError, match="larger than a head map"):
        read_head_map(folder)


def test_a_folder_that_is_no_map_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it has no heads.parquet.*pull-heads"):
        read_head_map(tmp_path)
