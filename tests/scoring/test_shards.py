"""Shards on disk: what was killed goes on, what is damaged or foreign is made again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.stage import working
from tests.support.detected_run import detected_run
from tests.support.scorings import Killed, assert_same, dying_after, go, settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("parts", [0, 2])
def test_a_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    calm, killed = detected_run(tmp_path / "calm"), detected_run(tmp_path / "killed")
    wanted = settings(data, text="full")
    go(calm, wanted)
    revive = dying_after(parts, monkeypatch)
    with pytest.raises(Killed):
        go(killed, wanted)
    revive()
    assert killed.scoring().state == "running"
    assert len(killed.score_parts()) == parts
    kept = [p.stat().st_mtime_ns for p in killed.score_parts()]
    # The budget is pinned: asking for another one changes nothing any more.
    with working(killed, "score"):  # which clears away what killed writers left
        assert go(killed, settings(data, text="full", token_budget=99)).state == "done"
    assert [p.stat().st_mtime_ns for p in killed.score_parts()][:parts] == kept
    assert not list(killed.scores_dir().glob(".*"))
    assert_same(calm, killed)


def test_kill_nine_loses_at_most_the_shard_in_work(tmp_path: Path, data: str) -> None:
    """A real process, a real SIGKILL, at a moment of the machine's choosing."""
    run = detected_run(tmp_path)
    code = (
        "import sys, time; from circuitseer_core.scoring import shards\n"
        "from circuitseer_core.runs.folder import Run\n"
        "from circuitseer_core.scoring.score import ScoreSettings, score\n"
        "write = shards.write_part\n"
        "def slow(*args):\n    write(*args); print('part', flush=True); time.sleep(0.2)\n"
        "shards.write_part = slow\n"
        f"score(Run.open({str(run.path)!r}), ScoreSettings(data=[{data!r}], heads='3', "
        "shard_rows=5, token_budget=600, device='cpu'), progress=False)\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert 3 <= len(run.score_parts()) < 10
    calm = detected_run(tmp_path / "calm")
    go(calm, settings(data, shard_rows=5))
    go(run, settings(data, shard_rows=5))
    assert_same(calm, run)


def _truncate(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-200])


def _foreign(part: Path) -> None:
    table = pq.read_table(part)
    pq.write_table(table.replace_schema_metadata(None), part)


def _wrong_place(part: Path) -> None:
    part.write_bytes((part.parent / "part-00000.parquet").read_bytes())


def _short(part: Path) -> None:
    pq.write_table(pq.read_table(part).slice(0, 3), part)


def _absent(part: Path) -> None:
    part.unlink()


def _empty(part: Path) -> None:
    part.write_bytes(b"")


@pytest.mark.parametrize("spoil", [_truncate, _foreign, _wrong_place, _short, _absent, _empty])
@pytest.mark.parametrize("state", ["done", "running"])
def test_a_bad_shard_is_redone(
    tmp_path: Path, run: Run, data: str, spoil: Callable[[Path], None], state: str
) -> None:
    calm = detected_run(tmp_path / "calm")
    go(calm, settings(data))
    go(run, settings(data))
    if state == "running":
        path = run.scores_dir() / "settings.json"
        path.write_text(json.dumps(run.scoring().to_json() | {"state": "running"}))
    spoil(run.score_parts()[2])
    go(run, settings(data))
    assert_same(calm, run)


def test_shards_of_another_scoring_are_never_read(tmp_path: Path, run: Run, data: str) -> None:
    go(run, settings(data, name="other", text="full"))
    calm = detected_run(tmp_path / "calm")
    go(calm, settings(data))
    folder = run.scores_dir()
    folder.mkdir(parents=True)
    for number in (1, 3, 9):
        source = run.scores_dir("other") / f"part-{min(number, 3):05d}.parquet"
        (folder / f"part-{number:05d}.parquet").write_bytes(source.read_bytes())
    go(run, settings(data))
    assert_same(calm, run)


def test_cancel_leaves_a_valid_folder(run: Run, data: str, breaking: Callable[..., None]) -> None:
    calls = [0]

    def fail(ids: torch.Tensor) -> None:
        calls[0] += 1
        if calls[0] == 6:
            raise KeyboardInterrupt

    breaking(fail)
    with pytest.raises(KeyboardInterrupt):
        go(run, settings(data))
    assert run.scoring().state == "running" and run.stage_state()["score"] == "partial"
    assert len(run.scores()) == 16 * len(run.score_parts())
    assert go(run, settings(data)).state == "done"
