"""The Ray engine on a local two-actor Ray: the same numbers, also when an actor is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ray = pytest.importorskip("ray", reason="Ray is optional: pip install -r requirements-ray.txt")

from circuitseer_core.errors import UserError  # noqa: E402
from circuitseer_core.runs.folder import Run  # noqa: E402
from circuitseer_core.scoring import ray_engine, shards  # noqa: E402
from circuitseer_core.scoring.engine import shard_plan  # noqa: E402
from circuitseer_core.scoring.score import score  # noqa: E402
from circuitseer_core.scoring.settings import ScoreSettings  # noqa: E402
from circuitseer_core.scoring.shard_book import ShardBook  # noqa: E402
from tests.support.detected_run import detected_run, questions, write_rows  # noqa: E402
from tests.support.tiny_models import save_tiny  # noqa: E402

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        # A machine that is busy with other tests must not be taken for a dead one.
        _system_config={"health_check_timeout_ms": 60_000, "health_check_failure_threshold": 20},
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same data scored in one process."""
    folder = tmp_path_factory.mktemp("calm")
    run = detected_run(folder)
    data = write_rows(folder / "questions.jsonl", [*questions(58), {"question": "7"}])
    score(run, settings(data, engine="local"), progress=False)
    return run


def settings(data: str, **options: Any) -> ScoreSettings:
    defaults = {"engine": "ray", "heads": "3", "device": "cpu", "shard_rows": 6}
    return ScoreSettings(data=[data], **(defaults | {"token_budget": 600} | options))


def data_of(run: Run) -> str:
    return str(run.path.parent / "questions.jsonl")


def stopped(calm: Run, folder: Path, kept: int | None = None) -> Run:
    """The same scoring by the local engine, of which only one shard is left, or none."""
    shutil.copytree(calm.path, folder / "run")
    run = Run.open(folder / "run")
    for number, part in enumerate(run.score_parts()):
        if number != kept:
            part.unlink()
    return run


def rows_made_here(
    engine: ray_engine.RayEngine, book: ShardBook, todo: set[int]
) -> Iterator[dict[str, Any]]:
    """What actors give, each step in this process: an actor is seconds of imports."""
    plan, model, here = shard_plan(book), engine.run_folder.model, os.getcwd()
    source = ray_engine._WindowSource(engine.settings, book.record, book.cut, todo, here)
    scorer = ray_engine.RayScorer(model, "fp32", "cpu", plan, here, False)
    for block in source._blocks():
        batch = {"window": block["window"].to_pylist()}
        batch = ray_engine._encode(batch, model.id, model.revision, plan.text, plan.max_length)
        yield {name: values[0] for name, values in scorer(batch).items()}


def assert_same(one: Run, other: Run) -> None:
    tables = [
        pa.concat_tables([pq.read_table(p) for p in run.score_parts()]) for run in (one, other)
    ]
    assert tables[0].equals(tables[1])
    pd.testing.assert_frame_equal(one.rejects(), other.rejects())


def is_scorer(process: psutil.Process) -> bool:
    """Whether this is an actor at work; some other child may end while it is looked at."""
    try:
        return any("RayScorer" in word for word in process.cmdline())
    except psutil.Error:
        return False


def test_it_goes_on_where_the_local_engine_stopped_though_an_actor_is_killed(
    calm: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, killed = stopped(calm, tmp_path, kept=4), []
    (kept,) = run.score_parts()
    before = kept.stat().st_mtime_ns
    write = shards.write_part

    def write_then_kill(folder: Path, table: pa.Table, note: shards.Note) -> None:
        write(folder, table, note)
        if not killed:
            actors = [p for p in psutil.Process().children(recursive=True) if is_scorer(p)]
            killed.append(len(actors))
            actors[0].kill()

    monkeypatch.setattr(shards, "write_part", write_then_kill)
    result = score(run, settings(data_of(calm)), progress=False)
    assert killed and killed[0] >= 1, "an actor was at work, and was killed"
    assert result.state == "done" and (result.rows, result.rejected) == (58, 1)
    assert len(run.score_parts()) == 10 and kept.stat().st_mtime_ns == before
    assert_same(calm, run)


def test_facts_and_budget_come_from_a_worker(tmp_path: Path) -> None:
    run = detected_run(tmp_path)
    data = write_rows(tmp_path / "questions.jsonl", questions(12))
    result = score(run, settings(data, token_budget=None, shard_rows=50), progress=False)
    assert result.token_budget >= 1024 and result.rows == 12
    assert (result.dtype, result.model.device, result.max_length) == (
        "fp32",
        "cpu",
        512,
    )


def test_a_budget_that_an_actor_halved_is_pinned(
    calm: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its shards say so; another actor's, made with the whole budget, come in between."""
    halved = iter([600, 300, 600, 150, *[300] * 6])
    unpacked = ray_engine._unpack

    def unpack(row: Any) -> tuple[pa.Table, shards.Note]:
        table, note = unpacked(row)
        return table, replace(note, token_budget=next(halved))

    monkeypatch.setattr(ray_engine, "_unpack", unpack)
    monkeypatch.setattr(ray_engine.RayEngine, "_rows", rows_made_here)
    run = stopped(calm, tmp_path)
    assert score(run, settings(data_of(calm)), progress=False).token_budget == 150
    assert next(halved, None) is None
    assert_same(calm, run)


def test_what_a_worker_has_to_say_is_one_line(tmp_path: Path) -> None:
    run = detected_run(tmp_path)
    data = write_rows(tmp_path / "questions.jsonl", questions(10))
    save_tiny(tmp_path / "model", "llama", seed=5)
    with pytest.raises(UserError, match="other weights now") as caught:
        score(run, settings(data), progress=False)
    assert "\n" not in str(caught.value)
