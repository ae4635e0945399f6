"""Copies of a prompt are held out together, resampled together and permuted together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from circuitseer_core.calibration.calibrate import calibrate
from circuitseer_core.calibration.compare import _permuted, study
from circuitseer_core.calibration.folds import fold_keys, folds_by_hash, numbered
from circuitseer_core.calibration.judge import Judge
from circuitseer_core.calibration.nested import Design
from circuitseer_core.calibration.pairs import _apart, decided_pairs
from circuitseer_core.calibration.rows import Rows, load_rows
from circuitseer_core.calibration.scorer import calibrated_scores, fits_hash
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.calibration_records import CalibrationRecord
from circuitseer_core.runs.columns import CALIBRATED
from circuitseer_core.runs.folder import Run
from tests.support.readings_run import PLANTED, planted_rows, readings_run, scores_of

FEW = CalibrateSettings(target="level", folds=4, repeats=1, permutations=20)


def thrice(rows: Rows) -> Rows:
    """Every row three times, under three ids."""
    copies = rows.take(np.tile(np.arange(len(rows)), 3))
    return replace(copies, ids=[f"{i}/{name}" for i, name in enumerate(copies.ids)])


def test_copies_of_a_prompt_do_not_make_noise_a_finding() -> None:
    rows, target = planted_rows(80, strength=0.0)
    several, targets = thrice(rows), np.tile(target, 3)

    def heads(some: Rows) -> tuple[float, float, float]:
        line = study(some, targets, FEW, PLANTED).estimates[0]
        assert line.name == "heads" and line.value is not None
        return line.value, line.low or 0.0, line.high or 0.0

    value, low, high = heads(several)
    assert low < 0 < high and abs(value) < 0.35
    assert heads(replace(several, keys=several.ids))[1] > 0.3, "what folds by id make of it"


def test_too_few_prompts_are_too_few_rows() -> None:
    rows, target = planted_rows(20)
    with pytest.raises(UserError, match="20 different prompts have a target .* at least 60"):
        study(thrice(rows), np.tile(target, 3), FEW, PLANTED)


def test_an_interval_is_as_wide_as_its_prompts_are_few() -> None:
    rng = np.random.default_rng(0)
    guess, target, tokens = rng.normal(size=(3, 60))
    once = Judge(target, tokens).partial(guess)
    copies = Judge(
        np.tile(target, 3), np.tile(tokens, 3), prompts=np.tile(np.arange(60), 3)
    ).partial(np.tile(guess, 3))
    assert copies.interval == pytest.approx(once.interval, abs=0.02)


def test_permuted_targets_of_a_prompt_stay_together() -> None:
    prompts = np.array([0, 1, 2, 0, 1, 2, 3, 4, 5])
    target = np.array([1.0, 2, 3, 10, 20, 30, 4, 5, 6])
    columns = _permuted(target, prompts, None, FEW)
    assert (np.sort(columns, axis=0) == np.sort(target)[:, None]).all()
    assert (columns[3:6] == 10 * columns[:3]).all()
    assert (columns[:3] != target[:3, None]).any() and (columns[6:] != target[6:, None]).any()


def test_no_fit_sees_a_prompt_that_it_predicts() -> None:
    zeros = np.zeros(5)
    design = Design(zeros, zeros, zeros[:, None], prompt=np.array([0, 1, 2, 0, 1]))
    assert design.apart(np.array([0])).tolist() == [1, 2, 4]
    assert replace(design, prompt=None).apart(np.array([0])).tolist() == [1, 2, 3, 4]


def test_pairs_of_copies_are_one_pair_and_held_out_together() -> None:
    rows, _ = planted_rows(90)
    several = replace(thrice(rows), ids=[str(i) for i in range(270)])
    entries = [(str(i), str(i + 1), "left") for i in range(60)]
    copies = [(str(i + 90), str(i + 91), "right") for i in range(60)]
    verdicts = pd.DataFrame(entries + copies, columns=["left", "right", "choice"])
    pairs = decided_pairs(several, verdicts)
    assert len(pairs) == 60 and pairs.harder[0] == 91, "the latest of the same two prompts"
    shares = _apart(pairs, np.array([0]), numbered(several.keys))
    assert shares.tolist() == list(range(2, 60))


def with_copies(path: Path) -> Run:
    """A run in which every prompt of the first shard stands in the second one too."""
    run = readings_run(path)
    first, second = run.score_parts()
    prompts = pq.read_table(first)["prompt"]
    table = pq.read_table(second)
    at = table.schema.get_field_index("prompt")
    written = pa.array([text.upper() for text in prompts.to_pylist()])
    pq.write_table(table.set_column(at, "prompt", written), second)
    return run


def test_copies_in_the_shards_have_one_fold(tmp_path: Path) -> None:
    run = with_copies(tmp_path / "run")
    rows = load_rows(run, "default")
    assert rows.keys[:80] == rows.keys[80:] and len(set(rows.keys)) == 80
    record = calibrate(run, FEW, show=False)
    assert record.folds_by == "prompt"
    kept = pq.read_table(run.calibration_dir("default") / "predictions.parquet").to_pandas()
    assert (kept["fold"][:80].to_numpy() == kept["fold"][80:].to_numpy()).all()
    assert np.allclose(calibrated_scores(run, "default", record), scores_of(run, CALIBRATED))


def test_a_calibration_of_before_keeps_its_folds_and_its_mark(tmp_path: Path) -> None:
    run = readings_run(tmp_path / "run")
    record = calibrate(run, FEW, show=False)
    content = record.to_json()
    del content["folds_by"]
    old = CalibrationRecord.model_validate(content)
    assert old.folds_by == "id" and fits_hash(old) != fits_hash(record)
    legacy = json.dumps([4, 0, [fit.to_json() for fit in old.fits]], sort_keys=True)
    assert fits_hash(old) == hashlib.sha256(legacy.encode()).hexdigest()
    ids = run.scores("default", ["id"])["id"].tolist()
    values = calibrated_scores(run, "default", old)
    for fold in range(4):  # ranks within the folds that the ids give
        own = np.sort(values[folds_by_hash(ids, 4, 0) == fold])
        assert np.allclose(own, (np.arange(len(own)) + 0.5) / len(own))


def test_rows_of_a_fold_without_a_target_are_scored_too(tmp_path: Path) -> None:
    run = readings_run(tmp_path / "run")
    rows = load_rows(run, "default")
    unlabelled = {
        i for i, f in zip(rows.ids, folds_by_hash(rows.keys, 4, 0), strict=True) if f == 2
    }
    for part in run.score_parts():
        table = pq.read_table(part)
        texts = [
            "{}" if sample in unlabelled else text
            for sample, text in zip(
                *(table[c].to_pylist() for c in ("id", "original")), strict=True
            )
        ]
        at = table.schema.get_field_index("original")
        pq.write_table(table.set_column(at, "original", pa.array(texts)), part)
    record = calibrate(run, FEW, show=False)
    assert record.target.rows == 160 - len(unlabelled)
    assert [fit.fold for fit in record.fits] == [0, 1, 2, 3]
    assert record.fits[2].weights == record.whole.weights
    assert np.isfinite(scores_of(run, CALIBRATED)).all()


def test_rows_without_a_prompt_go_by_their_ids() -> None:
    assert fold_keys(["a", "b"], np.array([0, 255], np.uint64)) == ["a", "00000000000000ff"]
