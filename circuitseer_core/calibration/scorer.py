"""The scorer ``calibrated``: a calibration's prediction of every row, as a rank.

1. A row's fold is a hash of its prompt, and the fit that had no part of that fold predicts it. So
   no row is scored by a fit that saw it or a copy of it, and nothing but prompt and readings is
   needed. Calibrations of before went by the id, and still do.
2. Predictions are ranked within their fold, mid-ranks over the fold's rows: above 0, below 1, so
   that soft sampling is defined. Fits of different folds have scales of their own.

The column is added to every shard (runs/shard_columns.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.aliases import Floats, Head, Ints
from circuitseer_core.calibration.folds import fold_keys, folds_by_hash, length_basis, share_ranks
from circuitseer_core.calibration.rows import fixed_lists, readable
from circuitseer_core.errors import UserError
from circuitseer_core.runs.calibration_records import CalibrationRecord, LinearFit
from circuitseer_core.runs.columns import CALIBRATED, head_column
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import AppliedCalibration, ScoringRecord
from circuitseer_core.runs.shard_columns import put_columns
from circuitseer_core.runs.texts import pool_prompts


def fits_hash(record: CalibrationRecord) -> str:
    """SHA-256 over all that a row's score depends on besides its readings."""
    kept = [fit.to_json() for fit in record.fits]
    parts = [record.settings.folds, record.settings.seed, kept]
    if record.folds_by != "id":  # the mark of calibrations of before stays what it was
        parts.append(record.folds_by)
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def apply_calibration(
    run: Run, name: str, scores: str, on_rows: Callable[[int], None] = lambda n: None
) -> ScoringRecord:
    """Give a scoring the column ``calibrated``; one that it had is replaced.

    Raises:
        UserError: no such calibration or scoring, another model or text, or rows without the
            readings that the calibration needs.
    """
    record, scoring = run.calibration(name), readable(run, scores)
    _refuse(record, scoring, name, scores)
    values = calibrated_scores(run, scores, record)
    changed = scoring.model_copy(deep=True)
    changed.calibration = AppliedCalibration(name=name, sha256=fits_hash(record))
    changed.scorers = [*(other for other in scoring.scorers if other != CALIBRATED), CALIBRATED]
    put_columns(run, scores, {CALIBRATED: values}, changed, on_rows)
    return changed


def applied_record(run: Run, scores: str) -> CalibrationRecord:
    """The calibration that a scoring's column comes from, its comparison left out.

    Raises:
        UserError: none was applied, or it was fitted anew since.
    """
    applied = run.scoring(scores).calibration
    if applied is None:
        raise UserError(f"scoring {scores!r} has no calibration")
    record = run.calibration(applied.name)
    if fits_hash(record) != applied.sha256:
        raise UserError(
            f"calibration {applied.name!r} was fitted anew since scoring {scores!r} got it: apply "
            f"it (calibrate --name {applied.name} --apply {scores}) and draw again"
        )
    kept = {k: v for k, v in record.to_json().items() if k not in ("estimates", "gains", "heads")}
    return CalibrationRecord.model_validate(kept)


def differing_rows(run: Run, scores: str, record: CalibrationRecord) -> int:
    """Rows of a scoring whose column is not what these weights give.

    Another machine may order two sums otherwise that differ in the last digit, and so swap ranks:
    a difference of two ranks of a fold is let pass.
    """
    stored = run.scores(scores, [CALIBRATED])[CALIBRATED].to_numpy(dtype=np.float64)
    again = calibrated_scores(run, scores, record)
    step = 2.5 * record.settings.folds / max(1, len(stored))
    return int((~np.isclose(stored, again, rtol=0, atol=step, equal_nan=True)).sum())


def covers(run: Run, scores: str, record: CalibrationRecord) -> bool:
    """Whether every row of a scoring has the readings that a calibration needs."""
    scoring = run.scoring(scores)
    whole = scoring.feature_share >= 1.0
    return whole and set(record.heads_needed) <= set(scoring.feature_heads)


def calibrated_scores(run: Run, scores: str, record: CalibrationRecord) -> Floats:
    """(N,) the scorer of every row, in data order: between 0 and 1."""
    scoring = readable(run, scores)
    families = sorted({family for fit in record.fits for family, _, _ in fit.columns})
    columns = ["n_tokens", *(head_column(family) for family in families)]
    all_folds = _folds(run, scores, record)
    predicted, folds, start = [], [], 0
    for part in run.whole_score_parts(scores):
        table = pq.read_table(part, columns=columns)
        own = all_folds[start : start + table.num_rows]
        start += table.num_rows
        predicted.append(_predicted(table, own, record.fits, scoring.feature_heads))
        folds.append(own)
    return share_ranks(np.concatenate(predicted), np.concatenate(folds))


def _folds(run: Run, scores: str, record: CalibrationRecord) -> Ints:
    """(N,) every row's fold. Raises UserError where folds go by prompts and none is at hand."""
    keys = run.scores(scores, ["id"])["id"].astype(str).tolist()
    if record.folds_by == "prompt":
        prompts = pool_prompts(run, scores)
        if prompts is None:
            raise UserError(f"scoring {scores!r} has no prompts, by which rows have their folds")
        keys = fold_keys(keys, prompts)
    return folds_by_hash(keys, record.settings.folds, record.settings.seed)


def _predicted(
    table: pa.Table, folds: Ints, fits: Sequence[LinearFit], heads: Sequence[Head]
) -> Floats:
    """(n,) raw predictions of one shard."""
    basis = length_basis(table["n_tokens"].to_numpy().astype(np.float64))
    place = {head: column for column, head in enumerate(heads)}
    readings: dict[str, Floats] = {}
    values = np.full(len(folds), np.nan)
    for fit in fits:
        at = np.flatnonzero(folds == fit.fold)
        total = -(basis[at] * np.array(fit.length)).sum(1)
        by_family: dict[str, list[int]] = {}
        for number, (family, _, _) in enumerate(fit.columns):
            by_family.setdefault(family, []).append(number)
        for family, numbers in by_family.items():
            if family not in readings:
                readings[family] = fixed_lists(table[head_column(family)]).astype(np.float64)
            columns = np.array([place[fit.columns[i][1], fit.columns[i][2]] for i in numbers])
            weights = np.array([fit.weights[i] for i in numbers])
            total += (readings[family][np.ix_(at, columns)] * weights).sum(1)
        values[at] = total
    return values


def _refuse(record: CalibrationRecord, scoring: ScoringRecord, name: str, scores: str) -> None:
    """Raise UserError where a calibration says nothing of a scoring, or not of all its rows."""
    then = record.model.weights_hash if record.model else None
    now = scoring.model.weights_hash if scoring.model else None
    if then != now:
        raise UserError(f"calibration {name!r} is of another model than scoring {scores!r}")
    if record.text != scoring.text:
        raise UserError(
            f"calibration {name!r} reads the {record.text}, scoring {scores!r} the {scoring.text}"
        )
    missing = set(record.heads_needed) - set(scoring.feature_heads)
    if missing or scoring.feature_share < 1.0:
        raise UserError(
            f"scoring {scores!r} lacks head readings on some rows: score under another --name "
            f"with --calibration {name}"
        )
