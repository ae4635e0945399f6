"""Fit head readings to a measure of difficulty, and say what that is worth.

1. Read the rows of a scoring that carry head readings, and their targets.
2. Fit and judge out of fold, beside everything that might do as well (compare.py, pairs.py).
3. Write ``RUN/calibrations/NAME``: calibration.json and predictions.parquet.
4. Where every row of the scoring has readings, give it the scorer ``calibrated`` (scorer.py).

This goes beyond arXiv 2510.18470 and is never the default.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Floats
from circuitseer_core.calibration.compare import study
from circuitseer_core.calibration.folds import share_ranks
from circuitseer_core.calibration.kept import refuse_other, refuse_other_target
from circuitseer_core.calibration.names import HEADS, PLUS, WORDS
from circuitseer_core.calibration.pairs import decided_pairs, pair_study
from circuitseer_core.calibration.report import pair_verdict, verdict
from circuitseer_core.calibration.rows import Rows, load_rows
from circuitseer_core.calibration.scorer import apply_calibration, covers
from circuitseer_core.calibration.settings import VERDICTS, CalibrateSettings
from circuitseer_core.calibration.sources import each_alone, each_by_others, usable_sources
from circuitseer_core.calibration.targets import read_target
from circuitseer_core.calibration.weights import every_fold, fold_fits, head_shares, whole_fit
from circuitseer_core.correlation import spearman
from circuitseer_core.errors import UserError
from circuitseer_core.files import replace_folder, write_parquet
from circuitseer_core.runs.calibration_records import (
    CALIBRATION_FORMAT,
    CalibrationOptions,
    CalibrationRecord,
    LinearFit,
    TargetRecord,
)
from circuitseer_core.runs.commands import as_typed, step
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.progress import Progress, announce
from circuitseer_core.runs.settings_file import write_settings
from circuitseer_core.runs.stage import versions
from circuitseer_core.selection.review import load as load_review


def calibrate(
    run: Run, settings: CalibrateSettings, *, show: bool = True, replace: bool = True
) -> CalibrationRecord:
    """Fit, judge and write one calibration; one of the same name is replaced.

    Args:
        show: progress bars.
        replace: whether one of the same name may give way to another fit (other settings, or other
            values of the target).

    Raises:
        UserError: no target was named, the scoring has no head readings, the target cannot be
            read, too few rows have one, or it would replace another fit.
    """
    if settings.target is None:
        raise UserError("say what to fit: --target COLUMN, count:TEXT or verdicts")
    if not replace:
        refuse_other(run, settings)
    began = time.monotonic()
    announce(run, "calibrate", "Reading scores and head readings")
    rows = load_rows(run, settings.scores)
    fitted = _fit_verdicts if settings.target == VERDICTS else _fit_numbers
    with Progress(run, "calibrate", 1, unit="fits", show=show, phase="Fitting") as progress:
        record, predictions = fitted(run, rows, settings, progress)
    if not replace:
        refuse_other_target(run, settings.name, record.target)
    record.name, record.created = settings.name, now()
    record.command = as_typed(step("calibrate", run.path, settings))
    record.versions = versions()
    record.seconds = round(time.monotonic() - began, 2)
    _write(run, record, predictions)
    folder = run.calibration_dir(settings.name)
    write_settings(folder, "calibrate", run.path, settings)
    if covers(run, settings.scores, record):
        apply_calibration(run, settings.name, settings.scores)
    return record


def _fit_numbers(
    run: Run, rows: Rows, settings: CalibrateSettings, progress: Progress
) -> tuple[CalibrationRecord, pd.DataFrame]:
    """A target that is a number a row."""
    target = read_target(rows, settings)
    known = np.flatnonzero(np.isfinite(target.values))
    rows, values = rows.take(known), target.values[known]
    target = replace(target, values=values)
    progress.resize(_folds_to_fit(rows, values, settings))
    scoring = run.scoring(settings.scores)
    fitted = study(rows, values, settings, scoring.heads, progress.advance)
    if len(set(rows.source)) > 1:
        for extra in (each_alone, each_by_others):
            estimates, gains = extra(rows, values, settings, progress.advance)
            fitted.estimates.extend(estimates)
            fitted.gains.extend(gains)
    fits = fold_fits(fitted.pooled, np.unique(fitted.folds).tolist(), rows.heads, settings)
    whole = whole_fit(fitted.blocks[0], fitted.design, rows.heads, settings)
    progress.advance()
    record = _record(run, settings, target.record(rows, _known(spearman(values, rows.tokens))))
    record.estimates, record.gains, record.chance = fitted.estimates, fitted.gains, fitted.chance
    record.whole, record.heads = whole, head_shares(whole, fits)
    record.fits = every_fold(fits, whole, settings.folds)
    record.verdict = verdict(record)
    predictions = pd.DataFrame(
        {
            "id": rows.ids,
            "source": rows.source.astype(str),
            "n_tokens": rows.tokens.astype(np.int64),
            "target": values,
            "fold": fitted.folds,
            **{name: share_ranks(p, fitted.folds) for name, p in _kept(fitted.pooled.blocks)},
        }
    )
    return record, predictions


def _fit_verdicts(
    run: Run, rows: Rows, settings: CalibrateSettings, progress: Progress
) -> tuple[CalibrationRecord, pd.DataFrame]:
    """The blind review's pairs."""
    pairs = decided_pairs(rows, load_review(run.path).finished_verdicts())
    fitted = pair_study(rows, pairs, settings)
    progress.advance()
    named = [[rows.ids[h], rows.ids[e]] for h, e in zip(pairs.harder, pairs.easier, strict=True)]
    digest = hashlib.sha256(json.dumps(named).encode()).hexdigest()
    target = TargetRecord(name=VERDICTS, kind=VERDICTS, rows=len(rows), sha256=digest)
    target.pairs = len(pairs)
    record = _record(run, settings, target)
    record.estimates, record.gains = fitted.estimates, fitted.gains
    record.whole, record.fits = fitted.whole, fitted.fits
    record.heads = head_shares(fitted.whole, fitted.fits)
    record.verdict = pair_verdict(record)
    harder, easier = zip(*named, strict=True)
    predictions = pd.DataFrame({"harder": harder, "easier": easier, HEADS: fitted.decided})
    return record, predictions


def _folds_to_fit(rows: Rows, values: Floats, settings: CalibrateSettings) -> int:
    """About how many folds there will be, the whole fit counted as one."""
    total = settings.repeats_for(len(rows)) * settings.folds + 1
    if len(set(rows.source)) > 1:
        for source in usable_sources(rows, values):
            own = int((rows.source == source).sum())
            total += settings.repeats_for(own) * settings.folds
        total += len(set(rows.source))
    return total


def _kept(blocks: Mapping[str, Floats]) -> list[tuple[str, Floats]]:
    """Predictions that are worth looking at row by row."""
    return [(name, blocks[name]) for name in (HEADS, WORDS, WORDS + PLUS) if name in blocks]


def _record(run: Run, settings: CalibrateSettings, target: TargetRecord) -> CalibrationRecord:
    """calibration.json before anything was measured."""
    scoring = run.scoring(settings.scores)
    return CalibrationRecord(
        format=CALIBRATION_FORMAT,
        name=settings.name,
        settings=CalibrationOptions(**settings.model_dump(mode="json")),
        target=target,
        model=scoring.model,
        text=scoring.text,
        reasoning_heads=scoring.heads,
        data=scoring.data,
        folds_by="prompt",
        whole=LinearFit(),
    )


def _write(run: Run, record: CalibrationRecord, predictions: pd.DataFrame) -> None:
    """Both files aside, then the folder in place."""
    aside = run.path / f".calibration-{record.name}.{os.getpid()}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        write_parquet(aside / "predictions.parquet", predictions)
        record.write(aside / "calibration.json")
        target = run.calibration_dir(record.name)
        target.parent.mkdir(exist_ok=True)
        replace_folder(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _known(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None
