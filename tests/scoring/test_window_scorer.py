"""When the model fails: out of memory, on one sample, on all, with NaN, by a signal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from circuitseer_core.errors import UserError
from circuitseer_core.model.loading import load_run_model
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.columns import ATTENTION_SCORERS
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring import shards
from circuitseer_core.scoring.window_scorer import WindowScorer
from tests.support.detected_run import detected_run
from tests.support.scorings import CONTROLS, assert_same, go, settings


def test_memory_running_out_halves_the_budget_and_goes_on(
    tmp_path: Path, run: Run, data: str, breaking: Callable[..., None]
) -> None:
    sizes: list[int] = []

    def fail(ids: torch.Tensor) -> None:
        sizes.append(ids.numel())
        if ids.numel() > 220:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    breaking(fail)
    result = go(run, settings(data))
    assert result.rows == 50 and max(sizes) > 220
    assert result.token_budget == 150 == run.scoring().token_budget
    # What a run gives from then on is what the smaller budget gives.
    calm = detected_run(tmp_path / "calm")
    go(calm, settings(data, token_budget=150))
    assert_same(calm, run)


def test_one_sample_beyond_memory_is_a_reject(
    run: Run, data: str, breaking: Callable[..., None]
) -> None:
    def fail(ids: torch.Tensor) -> None:
        if ids.shape[1] > 90:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    breaking(fail)
    result = go(run, settings(data))
    rejects = run.rejects()
    assert 0 < len(rejects) == 50 - result.rows
    assert rejects["reason"].str.fullmatch(r"out of memory at \d+ tokens").all()
    assert run.scores()["n_tokens"].max() <= 90


def test_a_failing_sample_is_a_reject_and_its_batch_is_saved(
    run: Run, data: str, breaking: Callable[..., None]
) -> None:
    go(run, settings(data))
    victim = int(run.scores()["n_tokens"].iloc[20])

    def fail(ids: torch.Tensor) -> None:
        if (ids.shape[1] == victim and len(ids) == 1) or len(ids) > 1:
            raise ValueError("this sample is cursed")

    breaking(fail)
    result = go(run, settings(data, name="broken"))
    rejects = run.rejects("broken")
    assert "gsm/20" in set(rejects["id"]) and result.rows >= 45
    assert set(rejects["reason"]) == {"the model failed: this sample is cursed"}


def test_if_every_sample_fails_the_run_stops(
    run: Run, data: str, breaking: Callable[..., None]
) -> None:
    def fail(ids: torch.Tensor) -> None:
        raise RuntimeError("no kernel image is available")

    reference = load_run_model(run.model, "fp32", "cpu")  # a model that fails at once is refused
    breaking(fail)
    with pytest.raises(UserError, match="no kernel image"):
        go(run, settings(data), reference=reference)
    assert not run.score_parts()


def test_nan_is_a_reject_never_a_score(run: Run, data: str) -> None:
    """One poisoned embedding: samples that hold that token are rejected, the others are scored."""
    reference = load_run_model(run.model, "fp32", "cpu")
    token = reference.tokenizer("?", add_special_tokens=False)["input_ids"][0]
    rows = whole_ids(reference, data)
    rarest = min(set.union(*rows.values()), key=lambda t: sum(t in ids for ids in rows.values()))
    assert rarest != token
    with torch.no_grad():
        reference.model.get_input_embeddings().weight[rarest] = float("nan")
    result = go(run, settings(data), reference=reference)
    poisoned = {key for key, ids in rows.items() if rarest in ids}
    assert set(run.rejects()["id"]) == poisoned and result.rows == 50 - len(poisoned)
    assert run.rejects()["reason"].str.contains("not finite").all()
    assert np.isfinite(run.scores()[[*ATTENTION_SCORERS, *CONTROLS]]).all().all()


def whole_ids(reference: ReferenceModel, data: str) -> dict[str, set[int]]:
    rows = [json.loads(line) for line in Path(data).read_text().splitlines()]
    encoded = reference.tokenizer([row["question"] for row in rows])["input_ids"]
    return {f"{r['source']}/{r['id']}": set(i) for r, i in zip(rows, encoded, strict=True)}


def test_ctrl_c_while_numbers_are_read_writes_no_half_window(
    run: Run, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect = WindowScorer._collect
    for fatal in (2, 3, 4):
        calls = [0]

        def interrupted(
            self: WindowScorer, launched: Any, calls: list[int] = calls, fatal: int = fatal
        ) -> None:
            calls[0] += 1
            if calls[0] == fatal:
                raise KeyboardInterrupt
            collect(self, launched)

        monkeypatch.setattr(WindowScorer, "_collect", interrupted)
        with pytest.raises(KeyboardInterrupt):
            go(run, settings(data, name=f"stopped-{fatal}", controls=0))
        notes = [shards.read_note(part) for part in run.score_parts(f"stopped-{fatal}")]
        assert all(note is not None and note.rejects == [] for note in notes)
