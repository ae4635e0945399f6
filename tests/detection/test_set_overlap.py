"""The overlap with an independent probe, against simulation and by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.detection import importance_table
from circuitseer_core.detection.head_stability import bootstrap_membership_of
from circuitseer_core.detection.importance_table import delta_matrix
from circuitseer_core.detection.set_overlap import (
    HeadEstimates,
    SetOverlap,
    expected_overlap,
    shared_tops,
)
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.shapes import read_parts
from tests.support.synthetic import Shape, make_run

COUNT, HEADS = 14, 270


def estimates_of(deltas: np.ndarray) -> HeadEstimates:
    return HeadEstimates([(deltas, np.ones(len(deltas)))], [(0, h) for h in range(deltas.shape[1])])


def world(rng: np.random.Generator) -> np.ndarray:
    """(2, heads): heavy-tailed effects and the noise of each head."""
    effect = np.sign(rng.normal(size=HEADS) + 1) * np.exp(rng.normal(-5, 1.6, HEADS))
    return np.stack([effect, np.abs(effect) * 1.3 + np.exp(rng.normal(-3.2, 0.9, HEADS))])


def probe(of: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    return of[0] + of[1] * rng.standard_t(3, (samples, HEADS)) / np.sqrt(3)


def test_nearer_to_an_independent_probe_than_the_bootstrap_is() -> None:
    rng = np.random.default_rng(0)
    errors, bootstrap_errors, inside = [], [], []
    for _ in range(30):
        of = world(rng)
        deltas = probe(of, 24, rng)
        chosen = np.argsort(-deltas.mean(axis=0))[:COUNT]
        others = [np.argsort(-probe(of, 24, rng).mean(axis=0))[:COUNT] for _ in range(12)]
        shares = np.array([len(np.intersect1d(chosen, other)) / COUNT for other in others])
        estimate = expected_overlap(estimates_of(deltas), COUNT)
        assert estimate is not None
        errors.append(estimate.expected - shares.mean())
        again = bootstrap_membership_of(deltas, COUNT, 60)[chosen].mean()
        bootstrap_errors.append(again - shares.mean())
        inside.append(np.mean((shares >= estimate.low) & (shares <= estimate.high)))
    # 30 worlds know a mean error to within 0.04 (two standard errors of 0.1 each).
    assert abs(np.mean(errors)) < 0.07
    assert np.mean(bootstrap_errors) > 0.05
    assert np.mean(inside) > 0.8


def test_heads_that_differ_by_chance_alone_share_what_chance_shares() -> None:
    rng = np.random.default_rng(1)
    values = [expected_overlap(estimates_of(rng.normal(size=(24, 100))), 10) for _ in range(20)]
    shares = [value.expected for value in values if value is not None]
    # Overlaps below chance count as chance, so that the mean lies a little above it.
    assert len(shares) == 20 and 0.1 <= np.mean(shares) < 0.2


def test_heads_far_above_the_others_are_certain() -> None:
    deltas = np.random.default_rng(2).normal(0, 0.01, (12, 40))
    deltas[:, :3] += 1.0
    value = expected_overlap(estimates_of(deltas), 3)
    assert value == SetOverlap(1.0, 1.0, 1.0, 3 / 40, 1.0, 3, 40, 12)


@pytest.mark.parametrize(("samples", "count"), [(3, 5), (12, 0), (12, 20)])
def test_nothing_is_said_of_too_little(samples: int, count: int) -> None:
    deltas = np.random.default_rng(3).normal(size=(samples, 20))
    assert expected_overlap(estimates_of(deltas), count) is None


def test_four_samples_have_one_size_of_parts() -> None:
    value = expected_overlap(estimates_of(np.random.default_rng(4).normal(size=(4, 20))), 5)
    assert value is not None and 0 <= value.low <= value.expected <= value.high <= 1


def test_shared_tops_by_hand() -> None:
    one = np.array([[3.0, 2, 1, 0], [0, 1, 2, 3]])
    other = np.array([[3.0, 2, 1, 0], [3, 2, 1, 0]])
    np.testing.assert_array_equal(shared_tops(one, other, 2), [1.0, 0.0])
    np.testing.assert_array_equal(shared_tops(one, other, 3), [1.0, 2 / 3])


def test_splits_are_disjoint_and_of_equal_size() -> None:
    deltas = np.eye(9)  # an estimate of head i is 1 / size where sample i is in the part
    one, other = estimates_of(deltas).splits(np.random.default_rng(5), 2, 50)
    assert ((one > 0).sum(axis=1) == 4).all() and ((other > 0).sum(axis=1) == 4).all()
    assert not ((one > 0) & (other > 0)).any()


def test_the_matrix_is_that_of_the_slow_pivot(tmp_path: Path) -> None:
    run = Run.open(make_run(tmp_path / "run", Shape(racing=True, contrast=True)))
    for name in ("probe", "contrast"):
        ids, heads, values = delta_matrix(run.importance_dir, name)
        rows = run.importance().query("set == @name")
        slow = rows.pivot(index="id", columns=["layer", "head"], values="delta_loss")
        at = {head: i for i, head in enumerate(heads)}
        assert ids.tolist() == slow.index.tolist()
        np.testing.assert_array_equal(values[:, [at[c] for c in slow.columns]], slow.to_numpy())
    assert np.isnan(delta_matrix(run.importance_dir)[2]).any()


def test_the_matrix_is_read_once_and_anew_when_a_part_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.open(make_run(tmp_path / "run", Shape()))
    reads: list[int] = []

    def counted(parts: list[Path], shape: Any) -> pd.DataFrame:
        reads.append(len(parts))
        return read_parts(parts, shape)

    monkeypatch.setattr(importance_table, "read_parts", counted)
    before = delta_matrix(run.importance_dir)[2]
    assert HeadEstimates.of_run(run).everything() == pytest.approx(before.mean(axis=0))
    assert len(reads) == 1 and not before.flags.writeable
    part = sorted(run.importance_dir.glob("part-*.parquet"))[0]
    frame = pd.read_parquet(part)
    frame.assign(delta_loss=frame["delta_loss"] + 1.0).to_parquet(part, index=False)
    os.utime(part, ns=(1, 1))
    again = delta_matrix(run.importance_dir)[2]
    assert len(reads) == 2
    assert np.nansum(again - before) == pytest.approx(len(frame))


def test_specificity_needs_a_contrast_set(tmp_path: Path) -> None:
    run = Run.open(make_run(tmp_path / "run", Shape()))
    with pytest.raises(UserError, match="no measurements of its contrast set"):
        HeadEstimates.of_run(run, "specificity")
