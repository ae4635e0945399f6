"""Tables that carry their own checksum: every damage is noticed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from circuitseer_core import checksums
from circuitseer_core.checksums import is_whole, require_whole, write_table
from circuitseer_core.errors import UserError
from circuitseer_core.files import write_parquet


def table() -> pa.Table:
    rng = np.random.default_rng(0)
    made = pa.table({"id": [f"a/{i}" for i in range(300)], "score": rng.normal(size=300)})
    return made.replace_schema_metadata({b"circuitseer": b'{"shard": 0}'})


def test_the_checksum_changes_nothing_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, table(), row_group_size=100)
    assert is_whole(path) is True
    assert pq.read_table(path).equals(table(), check_metadata=True)
    assert pq.ParquetFile(path).num_row_groups == 3
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    write_parquet(path, frame)
    assert is_whole(path) is True
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame)


def test_every_flipped_byte_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, table())
    raw = path.read_bytes()
    key = raw.rfind(checksums.KEY)
    missed = []
    for at in [
        *range(0, len(raw), 23),
        *range(key - 40, key + 90),
        *range(len(raw) - 12, len(raw)),
    ]:
        path.write_bytes(raw[:at] + bytes([raw[at] ^ (1 << at % 8)]) + raw[at + 1 :])
        checksums._is_whole.cache_clear()
        if is_whole(path) is not False:
            missed.append(at)
    assert not missed


@pytest.mark.parametrize("start", [4, 1000, 2000])
def test_a_zeroed_page_and_a_cut_are_damage(tmp_path: Path, start: int) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, table())
    raw = path.read_bytes()
    path.write_bytes(raw[:start] + bytes(512) + raw[start + 512 :])
    assert is_whole(path) is False
    path.write_bytes(raw[:-start])
    assert is_whole(path) is False
    with pytest.raises(UserError, match=r"t\.parquet is damaged.*again"):
        require_whole(path, "make it again")


def test_a_table_of_other_hands_has_none_and_opens(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table().to_pandas().to_parquet(path)
    assert is_whole(path) is None
    require_whole(path, "never needed")
    assert is_whole(tmp_path / "missing.parquet") is False
