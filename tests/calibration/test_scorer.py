"""The scorer ``calibrated``: what it is, where it is refused, and that a subset verifies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.calibration.calibrate import calibrate
from circuitseer_core.calibration.folds import fold_keys, folds_by_hash
from circuitseer_core.calibration.scorer import (
    apply_calibration,
    calibrated_scores,
    covers,
    fits_hash,
)
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.data.prompts import prompt_hashes
from circuitseer_core.errors import UserError
from circuitseer_core.export.manifest import read_manifest
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import export
from circuitseer_core.runs import shard_columns
from circuitseer_core.runs.columns import CALIBRATED, HEAD_FAMILIES, head_column
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.stages import run_calibration, run_scoring
from tests.support.detected_run import detected_run, questions, write_rows
from tests.support.readings_run import HEADS, readings_run, scores_of

FEW = {"target": "level", "folds": 4, "repeats": 1, "permutations": 20}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = readings_run(tmp_path_factory.mktemp("calibrated") / "run")
    calibrate(run, CalibrateSettings(**FEW), show=False)
    return run.path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Run:
    shutil.copytree(made, tmp_path / "run")
    return Run.open(tmp_path / "run")


def slow(run: Run) -> np.ndarray:
    """Row by row, weight by weight."""
    record = run.calibration()
    ids, values, folds = [], [], []
    for part in run.score_parts():
        for row in pq.read_table(part).to_pylist():
            keys = fold_keys([row["id"]], prompt_hashes([row["prompt"]]))
            own = int(folds_by_hash(keys, record.settings.folds, record.settings.seed)[0])
            fit = next(fit for fit in record.fits if fit.fold == own)
            logs = np.log(row["n_tokens"])
            total = -(fit.length[0] + fit.length[1] * logs + fit.length[2] * logs**2)
            for (family, layer, head), weight in zip(fit.columns, fit.weights, strict=True):
                total += weight * row[head_column(family)][HEADS.index((layer, head))]
            ids.append(row["id"])
            values.append(total)
            folds.append(own)
    scores = np.empty(len(ids))
    for i in range(len(ids)):
        same = [values[k] for k in range(len(ids)) if folds[k] == folds[i]]
        below = sum(v < values[i] for v in same) + 0.5 * (sum(v == values[i] for v in same) - 1)
        scores[i] = (below + 0.5) / len(same)
    return scores


def test_it_is_every_row_by_the_fit_that_did_not_see_it(run: Run) -> None:
    scores = scores_of(run, CALIBRATED)
    assert np.allclose(scores, slow(run))
    assert scores.min() > 0 and scores.max() < 1
    assert run.scoring().scorers[-1] == CALIBRATED
    assert ScoreStore(run).scorers[-1] == CALIBRATED


def test_everything_else_in_the_shards_stays(made: Path, tmp_path: Path) -> None:
    before = readings_run(tmp_path / "run")
    for one, other in zip(before.score_parts(), Run.open(made).score_parts(), strict=True):
        table = pq.read_table(other)
        assert table.drop_columns([CALIBRATED]).equals(pq.read_table(one))
        assert set(HEAD_FAMILIES) <= {name.removeprefix("head_") for name in table.schema.names}


def test_select_export_and_verify(run: Run, tmp_path: Path) -> None:
    select_run(run, SelectionSettings.of(scorer=CALIBRATED, fraction=0.2))
    done = export(run, None, tmp_path / "out" / "a.jsonl")
    assert verify(done.path).ok, verify(done.path).messages
    manifest, _ = read_manifest(done.manifest)
    kept = manifest.calibration
    assert kept is not None and kept.fits == run.calibration().fits
    assert kept.target.sha256 and kept.settings.folds == 4
    card = done.card.read_text()
    assert "fitted to `level`" in card and "`calibrated`, from readings of single heads of" in card
    assert "chosen by readings of a language model's attention heads, fitted to a measure" in card
    assert "reasoning heads" not in card and "chosen by ablation" not in card


def test_another_score_needs_no_calibration_in_its_manifest(run: Run, tmp_path: Path) -> None:
    select_run(run, SelectionSettings.of(fraction=0.2))
    done = export(run, None, tmp_path / "a.jsonl")
    assert read_manifest(done.manifest)[0].calibration is None and verify(done.path).ok


def test_changed_scores_and_changed_weights_are_noticed(run: Run, tmp_path: Path) -> None:
    select_run(run, SelectionSettings.of(scorer=CALIBRATED, fraction=0.2))
    done = export(run, None, tmp_path / "a.jsonl")
    part = run.score_parts()[0]
    turned = scores_of(run, CALIBRATED)[: pq.read_metadata(part).num_rows][::-1].copy()
    shard_columns.add_columns([part], {CALIBRATED: turned})
    result = verify(done.path)
    assert "calibration" in result.kinds and "pool" in result.kinds
    path = run.calibration_dir("default") / "calibration.json"
    text = json.loads(path.read_text())
    text["fits"][0]["weights"][0] += 1
    path.write_text(json.dumps(text))
    with pytest.raises(UserError, match="fitted anew since"):
        export(run, None, tmp_path / "b.jsonl")


def test_an_interrupted_application_does_not_show(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = shard_columns._write, []

    def dies(part: Path, columns: dict[str, np.ndarray | None]) -> None:
        calls.append(part)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(part, columns)

    monkeypatch.setattr(shard_columns, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        apply_calibration(run, "default", "default")
    assert run.scoring().calibration is not None, "the one from before stands"
    select_run(run, SelectionSettings.of(scorer=CALIBRATED))
    monkeypatch.undo()
    apply_calibration(run, "default", "default")
    assert np.allclose(scores_of(run, CALIBRATED), slow(run))


def test_where_it_says_nothing_it_is_refused(run: Run, tmp_path: Path) -> None:
    part = readings_run(tmp_path / "part", share=0.9)
    (part.path / "calibrations").mkdir()
    shutil.copytree(run.calibration_dir("default"), part.calibration_dir("default"))
    assert not covers(part, "default", part.calibration())
    with pytest.raises(UserError, match="lacks head readings on some rows: score under another"):
        apply_calibration(part, "default", "default")
    for key, value, message in [
        ("text", "response", "reads the response, scoring 'default' the prompt"),
        ("model", {"id": "m", "weights_hash": "other"}, "is of another model"),
    ]:
        path = part.calibration_dir("default") / "calibration.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
        with pytest.raises(UserError, match=message):
            apply_calibration(part, "default", "default")
    with pytest.raises(UserError, match="no calibration named 'none'"):
        apply_calibration(part, "none", "default")


def test_the_mark_is_of_what_a_score_depends_on(run: Run) -> None:
    record = run.calibration()
    before = fits_hash(record)
    record.verdict = ["other words"]
    assert fits_hash(record) == before
    record.settings.seed += 1
    assert fits_hash(record) != before


def test_another_scoring_gets_it_in_one_pass(tmp_path: Path) -> None:
    """Readings, fit and scorer of a real (tiny) model, through the verbs of the library."""
    run = detected_run(tmp_path)
    rows = [row | {"level": number % 3} for number, row in enumerate(questions(90))]
    data = write_rows(tmp_path / "some.jsonl", rows)
    scoring = {"heads": "3", "device": "cpu", "data": [data]}
    run_scoring(run.path, ScoreSettings(**scoring, head_features=True), show=False)
    few = CalibrateSettings(**FEW | {"heads_at_most": 2}, name="levels")
    record = run_calibration(run.path, few, show=False)
    assert 0 < len(record.heads_needed) < 8
    other = write_rows(tmp_path / "other.jsonl", questions(40, seed=9))
    asked = ScoreSettings(**scoring | {"data": [other]}, name="new", calibration="levels")
    done = run_scoring(run.path, asked, show=False)
    assert done.scorers[-1] == CALIBRATED and done.feature_heads == record.heads_needed
    assert done.calibration is not None and done.calibration.sha256 == fits_hash(record)
    scores = scores_of(run, CALIBRATED, "new")
    assert np.isfinite(scores).all() and np.allclose(scores, calibrated_scores(run, "new", record))
    assert run_scoring(run.path, asked, show=False).calibration == done.calibration
