"""Sets of heads, their losses and answers, with a tiny model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitseer_core.data.sample import Sample
from circuitseer_core.detection.joint import joint_loss
from circuitseer_core.experiments import head_maps
from circuitseer_core.experiments.head_sets import (
    ALL,
    ANY,
    BEST,
    CLEAN,
    SAME,
    SetMeasurements,
    right_answer,
    sets_of,
)
from circuitseer_core.model.encoding import Encoded, encode_for_loss
from circuitseer_core.model.loading import load_run_model
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress
from tests.support.detected_run import detected_run

LAYERS = [4, 4, 4]
BEST_HEADS = {"0.1": [(1, 0)], "0.2": [(1, 0), (2, 3)]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return detected_run(tmp_path)


@pytest.fixture
def reference(run: Run) -> ReferenceModel:
    return load_run_model(run.model, run.model.dtype, "cpu")


def encoded(reference: ReferenceModel) -> list[Encoded]:
    out = []
    for i in range(5):
        sample = Sample(f"s/{i}", "s", f"What is {i} + 30?{' Hm.' * i}", f"It is {i + 30}.", {})
        made = encode_for_loss(reference.tokenizer, sample, template="plain")
        assert isinstance(made, Encoded)
        out.append(made)
    return out


def progress() -> Progress:
    return Progress(None, "test", 1, unit="sets", phase="Testing", show=False)


def test_sets_are_of_the_sizes_and_layers_asked_for() -> None:
    sets = sets_of(BEST_HEADS, LAYERS, 3, seed=1, keep=True)
    everyone = {(layer, head) for layer in range(3) for head in range(4)}
    assert (sets[0].kind, sets[0].ablated) == (CLEAN, ())
    assert (sets[1].kind, set(sets[1].ablated)) == (ALL, everyone)
    assert len(sets) == 2 + 2 * 2 * (1 + 3 + 3)
    for each in sets[2:]:
        best = BEST_HEADS[each.share]
        chosen = everyone - set(each.ablated) if each.keep else set(each.ablated)
        assert len(chosen) == len(best)
        if each.kind == BEST:
            assert chosen == set(best)
        else:
            assert not chosen & set(best)
        if each.kind == SAME:
            assert sorted(h[0] for h in chosen) == sorted(h[0] for h in best)
    anywhere = {s.ablated for s in sets if (s.kind, s.keep, s.share) == (ANY, False, "0.2")}
    assert len(anywhere) == 3  # three different draws


def test_losses_are_those_of_joint_ablation(run: Run, reference: ReferenceModel) -> None:
    samples = encoded(reference)
    sets = sets_of({"0.5": [(0, 1), (1, 2)]}, reference.heads_per_layer, 4, seed=0, keep=True)
    measured = SetMeasurements(run, reference, "heads", sets)
    got = measured.losses(samples, progress())
    want = joint_loss(reference, samples, [s.ablated for s in sets])[1:]
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert np.ptp(got, axis=0).min() > 1e-2  # ablation matters in this model


def test_what_is_measured_is_not_measured_again(
    run: Run, reference: ReferenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = encoded(reference)
    sets = sets_of({"0.5": [(0, 1)]}, reference.heads_per_layer, 5, seed=0, keep=False)
    measured = SetMeasurements(run, reference, "heads", sets)
    first = measured.losses(samples, progress())
    parts = sorted((run.path / "experiments").rglob("part-*.parquet"))
    assert len(parts) > 1
    parts[0].write_bytes(b"cut off")
    parts[-1].unlink()
    calls: list[int] = []
    from circuitseer_core.detection import joint

    real = joint.stacked_losses
    monkeypatch.setattr(
        joint,
        "stacked_losses",
        lambda *a: calls.append(1) or real(*a),  # type: ignore[func-returns-value]
    )
    np.testing.assert_array_equal(measured.losses(samples, progress()), first)
    assert len(calls) == 2
    other = SetMeasurements(run, reference, "heads", sets[:-1])
    other.losses(samples, progress())
    assert len(calls) > 2  # other sets have a folder of their own


def test_parts_of_other_groups_are_not_taken_up(
    run: Run, reference: ReferenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped on a machine and continued on one whose memory makes other batches."""
    samples = encoded(reference)
    sets = sets_of({"0.5": [(0, 1)]}, reference.heads_per_layer, 1, seed=0, keep=False)
    measured = SetMeasurements(run, reference, "heads", sets)
    want = measured.losses(samples, progress())
    for budget in (8 * 1, 8 * 100_000):
        monkeypatch.setattr(head_maps, "stack_tokens", lambda *a, tokens=budget: tokens)
        np.testing.assert_allclose(measured.losses(samples, progress()), want, atol=1e-5)


def test_answers_are_read_and_kept(run: Run, reference: ReferenceModel) -> None:
    samples = encoded(reference)
    assert [right_answer(reference, s) for s in samples] == ["30", "31", "32", "33", "34"]
    sets = sets_of({"0.5": reference.heads}, reference.heads_per_layer, 1, seed=0, keep=False)[:2]
    measured = SetMeasurements(run, reference, "heads", sets)
    table = measured.answers(samples, 4, progress())
    assert table["set"].tolist() == [0] * 5 + [1] * 5
    assert table["id"].tolist() == [s.id for s in samples] * 2
    again = SetMeasurements(run, reference, "heads", sets).answers(samples, 4, progress())
    assert again.equals(table)
