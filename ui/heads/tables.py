"""Head tables of a run, cached for all sessions of the app.

Keys carry times and sizes of the files behind each table, so a run that detects again is read anew.
The frames are shared: nobody may write into them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import streamlit as st

from circuitseer_core.aliases import Head
from circuitseer_core.checksums import is_damaged
from circuitseer_core.detection import head_stability
from circuitseer_core.detection.heads import finalists
from circuitseer_core.detection.importance_table import delta_matrix
from circuitseer_core.detection.set_overlap import HeadEstimates, SetOverlap, expected_overlap
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.experiments.sinks import NAME as SINKS
from circuitseer_core.runs.calibration_records import CalibrationRecord
from circuitseer_core.runs.experiments import experiments_folder
from circuitseer_core.runs.folder import MERGED, Run
from ui.widgets.scoring_choice import scoring_in_view

TELLS = "tells_difficulty"
"""The column of a calibration's weights."""


def heads(run: Run) -> pd.DataFrame:
    """heads.parquet of the run."""
    return _heads(str(run.path), _stamp(run))


def with_weights(run: Run, heads: pd.DataFrame, calibration: str | None) -> pd.DataFrame:
    """The heads, and in TELLS what a calibration weighs them by: the named one, else the first.

    The frame as it is where the run has no calibration that can be read.
    """
    known = run.calibrations()
    if not known:
        return heads
    try:
        record = run.calibration(calibration if calibration in known else known[0])
    except UserError:
        return heads
    weights = weight_frame(record)[["layer", "head", "weight"]]
    return heads.merge(weights.rename(columns={"weight": TELLS}), on=["layer", "head"], how="left")


def weight_frame(record: CalibrationRecord) -> pd.DataFrame:
    """layer, head, weight, folds of every head of the model; 0 without a weight."""
    counts = record.model.heads_per_layer if record.model else []
    known = {(h.layer, h.head): h for h in record.heads}
    rows = []
    for layer, heads in enumerate(counts):
        for head in range(heads):
            own = known.get((layer, head))
            weight, folds = (own.weight, own.folds) if own else (0.0, 0.0)
            rows.append({"layer": layer, "head": head, "weight": weight, "folds": folds})
    return pd.DataFrame(rows)


def head_deltas(run: Run, layer: int, head: int) -> pd.DataFrame:
    """Per-sample ΔL of one head on the probe: id, source, delta_loss."""
    return _head_deltas(str(run.path), _stamp(run), layer, head)


def membership(run: Run, n_kept: int, rank_by: str = "importance") -> pd.DataFrame:
    """Bootstrap probability of heads to be among the ``n_kept`` best: layer, head, probability.

    Only heads that stand a chance are drawn: those far below the cut never enter a resample, and
    leaving them out keeps a slider quick on models with thousands of heads.
    """
    if n_kept < 1:
        return pd.DataFrame({"layer": [], "head": [], "probability": []})
    return _membership(str(run.path), _stamp(run), n_kept, rank_by)


def overlap(run: Run, n_kept: int, rank_by: str = "importance") -> SetOverlap | None:
    """What an independent probe would share with the ``n_kept`` best heads; None: too little."""
    return _overlap(str(run.path), _stamp(run), n_kept, rank_by)


def sink_shares(run: Run) -> pd.DataFrame | None:
    """layer, head, sink_share as ``validate sinks`` found them; None where it was not run."""
    path = experiments_folder(run) / f"{SINKS}.parquet"
    return _sink_shares(str(path), _of(path)) if path.is_file() else None


def sink_share(run: Run, layer: int, head: int) -> float | None:
    """One head's; None where it is not known."""
    table = sink_shares(run)
    if table is None:
        return None
    share = table.loc[(table["layer"] == layer) & (table["head"] == head), "sink_share"]
    return float(share.iloc[0]) if len(share) else None


@st.cache_resource(max_entries=4, show_spinner=False)
def _sink_shares(path: str, stamp: _Stamp) -> pd.DataFrame | None:
    if is_damaged(Path(path)):
        return None
    try:
        return pd.read_parquet(path, columns=["layer", "head", "sink_share"])
    except (OSError, ValueError, KeyError):
        return None  # a damaged file costs its own column


def per_source(run: Run) -> pd.DataFrame:
    """Importance of every head by probe source."""
    return _per_source(str(run.path), _stamp(run))


def source_agreement(run: Run, n_kept: int) -> pd.DataFrame:
    """Spearman and overlap of the ``n_kept`` best heads of every pair of sources.

    Of the heads that were measured on the whole probe: a race's pilot estimates are left out.
    """
    return _source_agreement(str(run.path), _stamp(run), n_kept)


def first_sample(run: Run) -> str:
    """The id of the first sample of the scoring in view. Raises UserError where there is none."""
    parts = run.score_parts(scoring_in_view(run) or "default")
    if not parts:
        raise UserError(f"{run.path}: scoring has not finished its first part yet")
    path = parts[0]
    try:
        with pq.ParquetFile(path) as part:
            return str(next(part.iter_batches(1, columns=["id"]))["id"][0])
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error
    except (KeyError, IndexError, StopIteration) as error:
        raise UserError(f"{path} cannot be used: it has no column 'id', or no rows") from error


_Stamp = tuple[tuple[int, int], ...]


def _stamp(run: Run) -> _Stamp:
    """Times and sizes of the files that a detection leaves."""
    files = (run.heads_path, run.probe_path, run.importance_dir, run.importance_dir / MERGED)
    return tuple(pair for file in files for pair in _of(file))


def _of(file: Path) -> _Stamp:
    try:
        stat = file.stat()
    except OSError:
        return ((0, 0),)
    return ((stat.st_mtime_ns, stat.st_size),)


@st.cache_resource(max_entries=8, show_spinner=False)
def _heads(path: str, stamp: _Stamp) -> pd.DataFrame:
    return Run.open(path).heads()


@st.cache_resource(max_entries=4, show_spinner=False)
def _probe(path: str, stamp: _Stamp) -> pd.DataFrame:
    return Run.open(path).probe()


@st.cache_resource(max_entries=4, show_spinner=False)
def _matrix(path: str, stamp: _Stamp) -> tuple[pd.Index, dict[Head, int], np.ndarray]:
    """Probe ΔL as (samples, heads) float64, NaN where a head was raced out before a sample.

    Raises UserError where the measurements are not those that heads.parquet was made of.
    """
    run = Run.open(path)
    ids, cells, values = delta_matrix(run.importance_dir)
    named = _heads(path, stamp)[["layer", "head"]]
    if set(named.itertuples(index=False, name=None)) - set(cells):
        raise UserError(
            f"{run.importance_dir} lacks measurements of heads that heads.parquet names: "
            f"delete both, and detect --run {run.path} measures again"
        )
    return ids, {cell: i for i, cell in enumerate(cells)}, values


@st.cache_resource(max_entries=256, show_spinner=False)
def _head_deltas(path: str, stamp: _Stamp, layer: int, head: int) -> pd.DataFrame:
    ids, column, values = _matrix(path, stamp)
    probe = _probe(path, stamp)
    source = probe[probe["set"] == "probe"].set_index("id")["source"]
    frame = pd.DataFrame({"id": ids, "delta_loss": values[:, column[layer, head]]})
    return frame.assign(source=source.reindex(ids).to_numpy()).dropna(subset="delta_loss")


@st.cache_resource(max_entries=64, show_spinner=False)
def _membership(path: str, stamp: _Stamp, n_kept: int, rank_by: str) -> pd.DataFrame:
    if rank_by != "importance":
        estimates = _estimates(path, stamp, rank_by)
        chances = head_stability.bootstrap_membership(estimates, n_kept)
        return pd.DataFrame(estimates.heads, columns=["layer", "head"]).assign(probability=chances)
    _, column, values = _matrix(path, stamp)
    table = _heads(path, stamp)
    near = table[~table["raced_out"]].nsmallest(max(3 * n_kept, n_kept + 64), "rank")
    near = near[["layer", "head"]].sort_values(["layer", "head"], ignore_index=True)
    cells = near.itertuples(index=False, name=None)
    deltas = values[:, [column[cell] for cell in cells]]
    whole = ~np.isnan(deltas).any(axis=0)
    chances = head_stability.bootstrap_membership_of(deltas[:, whole], n_kept)
    return near[whole].assign(probability=chances)


@st.cache_resource(max_entries=4, show_spinner=False)
def _estimates(path: str, stamp: _Stamp, rank_by: str) -> HeadEstimates:
    return HeadEstimates.of_run(Run.open(path), rank_by)


@st.cache_resource(max_entries=64, show_spinner=False)
def _overlap(path: str, stamp: _Stamp, n_kept: int, rank_by: str) -> SetOverlap | None:
    return expected_overlap(_estimates(path, stamp, rank_by), n_kept)


@st.cache_resource(max_entries=4, show_spinner=False)
def _per_source(path: str, stamp: _Stamp) -> pd.DataFrame:
    ids, column, values = _matrix(path, stamp)
    probe = _probe(path, stamp)
    source = probe[probe["set"] == "probe"].set_index("id")["source"].reindex(ids)
    return head_stability.per_source_of(values, list(column), source.tolist())


@st.cache_resource(max_entries=4, show_spinner=False)
def _source_agreement(path: str, stamp: _Stamp, n_kept: int) -> pd.DataFrame:
    measured = finalists(_heads(path, stamp))
    return head_stability.source_agreement(_per_source(path, stamp), n_kept, measured)
