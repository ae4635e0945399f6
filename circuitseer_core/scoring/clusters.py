"""``cluster``: a scoring's prompts in groups of a kind, so that a draw can keep all kinds.

1. The mean final hidden state of every prompt (mean_states.py), from the run's own model.
2. Each of its d numbers standardised over the rows, then the row scaled to length 1: the states of
   a language model share a few directions of large numbers that would decide every distance.
3. Mini-batch k-means (scikit-learn) on at most 100,000 rows, chosen by hash; every row goes to its
   nearest centre. Clusters are numbered from the largest.
4. The words that tell a cluster: by their share of its prompts' words times ln(1 + A / f), with f
   how often a word occurs in all clusters and A the mean number of words of a cluster (a tf-idf of
   clusters).

This is beyond arXiv 2510.18470 and never part of a score: ``select --stratify equal --stratify-by
circuitseer_cluster`` shares the budget over the clusters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from circuitseer_core.aliases import Ints
from circuitseer_core.checksums import write_table
from circuitseer_core.errors import UserError
from circuitseer_core.files import atomic_path
from circuitseer_core.hashing import uniforms
from circuitseer_core.model.encoding import default_max_length
from circuitseer_core.model.loading import load_run_model, pickle_allowed
from circuitseer_core.model.memory import freed_memory_kept
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.cluster_records import (
    CLUSTERS_FORMAT,
    NO_PROMPT,
    RECORD_FILE,
    ROWS_FILE,
    Cluster,
    ClusterRecord,
    codes_hash,
)
from circuitseer_core.runs.clusters import cluster_folder, refuse_change
from circuitseer_core.runs.commands import as_typed, step
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.progress import Progress, announce
from circuitseer_core.runs.settings_file import write_settings
from circuitseer_core.runs.texts import pool_prompts, scored_texts
from circuitseer_core.scoring.cluster_settings import ClusterSettings
from circuitseer_core.scoring.mean_states import read_states, shard_states, states_mark

if TYPE_CHECKING:
    from sklearn.cluster import MiniBatchKMeans

Mask = NDArray[np.bool_]
States = NDArray[np.float16]
Singles = NDArray[np.float32]

FIT_ROWS = 100_000
"""Most rows that centres are fitted to: they are held in memory as float32."""
WORDS = 3
_LEAST = 1e-6


def cluster(
    run: Run,
    settings: ClusterSettings,
    *,
    reference: ReferenceModel | None = None,
    show: bool = True,
    replace: bool = True,
) -> ClusterRecord:
    """Cluster a scoring's prompts; other clusters that it had are replaced.

    States that an earlier try has left are taken as they are.

    Args:
        reference: the run's model, already loaded, for use from Python.
        show: progress bars.
        replace: whether clusters that shared the budget of a draw may give way to others; the draw
            could then no longer be derived again.

    Raises:
        UserError: the scoring is not finished, its prompts are not at hand, there are fewer of them
            than clusters, another model than the run's, or a draw needs the clusters there are.
    """
    if not replace:
        refuse_change(run, settings.scores, clusters=settings.clusters, seed=settings.seed)
    scoring = run.scoring(settings.scores)
    if scoring.state != "done":
        raise UserError(f"scoring {settings.scores!r} is not finished: run score again")
    parts = run.whole_score_parts(settings.scores)
    sizes = [pq.read_metadata(part).num_rows for part in parts]
    ids = run.scores(settings.scores, ["id"])["id"].astype(str).tolist()
    fitted = _fit_rows(ids, settings.seed)
    _refuse_few(run, settings, fitted)
    announce(run, "cluster", "Loading the model")
    with pickle_allowed(settings.allow_pickle):
        reference = reference or load_run_model(
            run.model,
            settings.dtype,
            settings.device,
            check=lambda positions, _: default_max_length(positions, settings.max_length),
        )
    most = default_max_length(reference.max_positions, settings.max_length)
    dtype = str(reference.dtype).removeprefix("torch.")
    if not replace:
        refuse_change(run, settings.scores, max_length=most, dtype=dtype)
    with Progress(
        run, "cluster", sum(sizes), unit="prompts", show=show, phase="Reading prompts"
    ) as progress:
        files = _states(run, settings.scores, reference, sizes, most, dtype, progress)
    announce(run, "cluster", "Finding clusters")
    codes, width = assign(files, fitted, settings.clusters, settings.seed)
    record = _record(run, settings, codes, fitted, width=width, max_length=most, dtype=dtype)
    if not replace:
        refuse_change(run, settings.scores, sha256=record.sha256)
    folder = _write(run, settings.scores, ids, codes, record)
    write_settings(folder, "cluster", run.path, settings)
    return record


def _record(
    run: Run,
    settings: ClusterSettings,
    codes: Ints,
    fitted: Mask,
    *,
    width: int,
    max_length: int,
    dtype: str,
) -> ClusterRecord:
    """clusters.json for (N,) codes of which ``fitted`` made the centres."""
    prompts = (prompt or "" for _, prompt, _ in scored_texts(run, settings.scores))
    return ClusterRecord(
        clusters=_described(codes, prompts, fitted, settings.clusters),
        rows=len(codes),
        fitted_rows=int((fitted & (codes != NO_PROMPT)).sum()),
        seed=settings.seed,
        max_length=max_length,
        dtype=dtype,
        width=width,
        model=run.model,
        sha256=codes_hash(codes),
        created=now(),
        command=as_typed(step("cluster", run.path, settings, always=("clusters",))),
    )


def _refuse_few(run: Run, settings: ClusterSettings, fitted: Mask) -> None:
    """Raise UserError where the prompts are not at hand, or fewer than clusters."""
    hashes = pool_prompts(run, settings.scores)
    if hashes is None:
        raise UserError(f"{run.path} holds numbers without texts: its prompts are not at hand")
    prompts = int((hashes[fitted] != 0).sum())
    if prompts < settings.clusters:
        raise _too_few(prompts, settings.clusters)


def _too_few(prompts: int, clusters: int) -> UserError:
    return UserError(f"{prompts:,} prompts cannot make {clusters} clusters: ask for fewer")


def _states(
    run: Run,
    scores: str,
    reference: ReferenceModel,
    sizes: Sequence[int],
    max_length: int,
    dtype: str,
    progress: Progress,
) -> list[Path]:
    """The states of every row, a file a shard of ``sizes`` rows."""
    facts: dict[str, object] = {
        "model": [run.model.weights_hash, run.model.tokenizer_hash],
        "max_length": max_length,
        "dtype": dtype,
    }
    with freed_memory_kept(reference.device.type):
        return shard_states(
            reference, scored_texts(run, scores), sizes, cluster_folder(run, scores),
            states_mark(facts), max_length=max_length, on_rows=progress.advance,
            on_kept=progress.skip,
        )  # fmt: skip


def assign(files: Sequence[Path], fitted: Mask, clusters: int, seed: int) -> tuple[Ints, int]:
    """(N,) the cluster of every row, numbered from the largest, −1 without a state; and d.

    Args:
        files: the shards' states, in data order.
        fitted: (N,) rows that centres are fitted to.

    Raises:
        UserError: fewer of these rows than clusters.
    """
    from sklearn.cluster import MiniBatchKMeans

    sample = np.concatenate(
        [states[rows & np.isfinite(states).all(axis=1)] for states, rows in _shards(files, fitted)]
    ).astype(np.float32)
    if len(sample) < clusters:
        raise _too_few(len(sample), clusters)
    mean, spread = sample.mean(axis=0), sample.std(axis=0)
    spread[spread < _LEAST] = 1.0
    prepared = _prepared(sample, mean, spread)
    model = MiniBatchKMeans(clusters, random_state=seed, n_init=3, batch_size=4096).fit(prepared)
    codes = np.concatenate(
        [_predicted(model, states, mean, spread) for states, _ in _shards(files, fitted)]
    )
    order = np.argsort(-np.bincount(codes[codes >= 0], minlength=clusters), kind="stable")
    places = np.empty(clusters, dtype=np.int64)
    places[order] = np.arange(clusters)
    return np.where(codes >= 0, places[codes], NO_PROMPT), sample.shape[1]


def _predicted(model: MiniBatchKMeans, states: States, mean: Singles, spread: Singles) -> Ints:
    """(n,) nearest centres; −1 without a state."""
    known = np.isfinite(states).all(axis=1)
    codes = np.full(len(states), NO_PROMPT, dtype=np.int64)
    if known.any():
        codes[known] = model.predict(_prepared(states[known].astype(np.float32), mean, spread))
    return codes


def _prepared(states: Singles, mean: Singles, spread: Singles) -> Singles:
    """Standardised, then of length 1."""
    scaled = (states - mean) / spread
    length = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.maximum(length, _LEAST), dtype=np.float32)


def _shards(files: Sequence[Path], rows: Mask) -> Iterator[tuple[States, Mask]]:
    """Each shard's states with its part of ``rows``."""
    start = 0
    for file in files:
        states = read_states(file)
        yield states, rows[start : start + len(states)]
        start += len(states)


def _fit_rows(ids: Sequence[str], seed: int) -> Mask:
    """(N,) which rows the centres are fitted to: all, or about FIT_ROWS of them by hash."""
    return np.asarray(uniforms(seed, "clusters", ids) < FIT_ROWS / max(1, len(ids)))


def _described(codes: Ints, prompts: Iterable[str], fitted: Mask, clusters: int) -> list[Cluster]:
    """Sizes and words of the clusters; words come from the rows that were fitted."""
    sizes = np.bincount(codes[codes >= 0], minlength=clusters)
    own: list[list[str]] = [[] for _ in range(clusters)]
    for prompt, code, taken in zip(prompts, codes.tolist(), fitted.tolist(), strict=True):
        if taken and code >= 0:
            own[code].append(prompt)
    words = telling_words(own)
    return [Cluster(rows=int(n), words=words[k]) for k, n in enumerate(sizes)]


def telling_words(texts: Sequence[Sequence[str]]) -> list[list[str]]:
    """For each cluster of texts up to three words that tell it from the others."""
    from sklearn.feature_extraction.text import CountVectorizer

    reader = CountVectorizer(
        stop_words="english", max_features=20_000, token_pattern=r"[^\W\d_]{3,}"
    )
    groups = np.repeat(np.arange(len(texts)), [len(group) for group in texts])
    try:
        seen = reader.fit_transform([text for group in texts for text in group])
    except ValueError:  # no word in any prompt
        return [[] for _ in texts]
    counts = np.stack(
        [np.asarray(seen[groups == k].sum(axis=0)).ravel() for k in range(len(texts))]
    ).astype(np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    weights = counts / np.maximum(totals, 1) * np.log1p(totals.mean() / counts.sum(axis=0))
    names = reader.get_feature_names_out()
    best = np.argsort(-weights, axis=1, kind="stable")[:, :WORDS]
    return [[str(names[w]) for w in row if weights[k, w] > 0] for k, row in enumerate(best)]


def _write(run: Run, scores: str, ids: Sequence[str], codes: Ints, record: ClusterRecord) -> Path:
    """Both files, the record last: it names its rows by their hash, so that a kill in between
    leaves clusters that are refused, with what to do. Returns their folder."""
    folder = cluster_folder(run, scores)
    table = pa.table({"id": pa.array(list(ids), pa.string()), "cluster": pa.array(codes)})
    with atomic_path(folder / ROWS_FILE) as temporary:
        write_table(temporary, table)
    record.format = CLUSTERS_FORMAT
    record.write(folder / RECORD_FILE)
    return folder
