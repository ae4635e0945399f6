"""How far a set of heads depends on the probe: bootstrap membership, agreement of sources."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Floats, Head, Ints
from circuitseer_core.detection.set_overlap import HeadEstimates, top_of


def bootstrap_membership_of(
    deltas: Floats, count: int, n_boot: int = 1000, seed: int = 0
) -> Floats:
    """(H,) probability of each head to be among the ``count`` best of (samples, H) ``deltas``."""
    wanted = min(count, deltas.shape[1])
    rng = np.random.default_rng(seed)
    hits = np.zeros(deltas.shape[1])
    for _ in range(n_boot):
        weights = rng.multinomial(len(deltas), np.full(len(deltas), 1 / len(deltas)))
        means = weights @ deltas
        hits[np.argpartition(-means, wanted - 1)[:wanted]] += 1
    return hits / n_boot


def bootstrap_membership(
    estimates: HeadEstimates, count: int, n_boot: int = 1000, seed: int = 0
) -> Floats:
    """(H,) the same of any estimates, as of specificity: every set of samples is drawn anew."""
    sets = bootstrap_sets(estimates, count, n_boot, np.random.default_rng(seed))
    return np.bincount(np.concatenate(sets), minlength=len(estimates.heads)) / n_boot


def bootstrap_sets(
    estimates: HeadEstimates, count: int, n_boot: int, rng: np.random.Generator
) -> list[Ints]:
    """``n_boot`` times the ``count`` best heads, by place, of samples drawn with replacement."""
    return [top_of(estimates.bootstrap(rng), count) for _ in range(n_boot)]


def per_source(importance: pd.DataFrame, probe: pd.DataFrame) -> pd.DataFrame:
    """Importance of every head on each source of the probe: source, layer, head, importance, …"""
    rows = importance[importance["set"] == "probe"]
    sources = probe.loc[probe["set"] == "probe"].set_index("id")["source"]
    deltas = rows.pivot(index="id", columns=["layer", "head"], values="delta_loss")
    cells = [(int(layer), int(head)) for layer, head in deltas.columns]
    return per_source_of(deltas.to_numpy(), cells, sources.reindex(deltas.index).tolist())


def per_source_of(deltas: Floats, cells: Sequence[Head], sources: Sequence[str]) -> pd.DataFrame:
    """:func:`per_source` of a matrix at hand: ``deltas`` (samples, heads), NaN where unmeasured."""
    frames = []
    of = np.asarray(sources, dtype=object)
    layer, head = np.array(cells).T
    for name in sorted(set(sources)):
        part = deltas[of == name]
        n = np.isfinite(part).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.nansum(part, axis=0) / n
            spread = np.sqrt(np.nansum((part - mean) ** 2, axis=0) / (n - 1))
        stderr = np.where(n > 1, spread / np.sqrt(np.maximum(n, 1)), np.nan)
        columns = {"layer": layer, "head": head, "importance": mean, "n": n, "stderr": stderr}
        frames.append(pd.DataFrame(columns)[n > 0].assign(source=name))
    order = ["source", "layer", "head", "importance", "n", "stderr"]
    table = pd.concat(frames, ignore_index=True)[order]
    return table.sort_values(["source", "layer", "head"], ignore_index=True)


def source_agreement(
    by_source: pd.DataFrame, wanted: int, finalists: Collection[Head] | None = None
) -> pd.DataFrame:
    """Every pair of sources: source_a, source_b, spearman of maps, overlap of top sets.

    Args:
        by_source: as :func:`per_source` gives it.
        wanted: how many heads are in a set.
        finalists: the heads to compare, where the others are a race's pilot estimates; else all.

    Returns:
        also n_a and n_b, samples of either source; shared heads; chance, the overlap of two
        sets drawn blindly.
    """
    samples = by_source.groupby("source")["n"].max()
    if finalists is not None:
        cells = pd.MultiIndex.from_frame(by_source[["layer", "head"]])
        by_source = by_source[cells.isin(list(finalists))]
    maps = by_source.pivot(index=["layer", "head"], columns="source", values="importance").dropna()
    top = max(1, min(wanted, len(maps)))
    names = list(maps.columns)
    spearman = maps.rank().corr().to_numpy()  # scipy.stats would take 1 s to import
    order = np.argsort(-maps.to_numpy(), axis=0, kind="stable")[:top]
    best = np.zeros(maps.shape)
    np.put_along_axis(best, order, 1.0, axis=0)
    both = (best.T @ best).astype(int)
    rows = []
    for i, a in enumerate(names):
        for j, b in enumerate(names[i + 1 :], start=i + 1):
            shared = int(both[i, j])
            known = (int(samples[a]), int(samples[b]), float(spearman[i, j]))
            rows.append((a, b, *known, shared / top, shared, top / len(maps)))
    columns = ["source_a", "source_b", "n_a", "n_b", "spearman", "overlap", "shared", "chance"]
    return pd.DataFrame(rows, columns=columns)
