"""Failure signatures of detection: is there an effect, is the set stable, was the probe apt?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from circuitseer_core import limits
from circuitseer_core.aliases import Floats, Head
from circuitseer_core.detection.head_stability import bootstrap_membership
from circuitseer_core.detection.heads import finalists, select_heads
from circuitseer_core.errors import UserError
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.wording import count, listing, percent, plain

EXACT_CELLS = 250_000
EXACT_PARTS = 150
"""Above these many stored values or files, stability is estimated from the standard errors."""
_BOOTSTRAPS = 400
_DRAWS = 200


def effect_against_noise(facts: Evidence) -> Signature | None:
    """ΔL small everywhere: the strongest head, and the chosen ones, against the noise floor.

    A mean over n samples whose clean loss repeats within ``floor`` moves by 2·floor/√n by noise.
    """
    heads, floor = facts.heads, facts.noise_floor
    if heads is None or floor is None or not facts.chosen:
        return None
    at = pd.MultiIndex.from_frame(heads[["layer", "head"]])
    picked = heads[at.isin(facts.chosen)]
    if picked.empty:
        return None
    limit = 2 * floor / np.sqrt(picked["n"].to_numpy(dtype=float))
    effect = picked["importance"].to_numpy(dtype=float)
    above = int((effect > limit).sum())
    best = int(np.argmax(effect))
    ratio = float(effect[best] / limit[best]) if limit[best] > 0 else float("inf")
    strongest = f"Removing the strongest head raises the loss by {plain(effect[best])} nats"
    noise = f"rounding noise alone can do {plain(float(limit[best]))} nats"
    if limit[best] == 0:
        noise = "repeated clean runs gave the same loss to the last digit"
    stand = f"{above} of the {count(len(picked), 'chosen head')} {_stands(above)} above the noise"
    number = ratio if np.isfinite(ratio) else None
    if effect[best] <= 0 or ratio < limits.NOISE_MULTIPLE or above < len(picked) / 2:
        text = (
            f"{strongest}; {noise}, and {stand}. Such a map is mostly noise: measure in float32, "
            "on more probe samples, or on data that the model finds harder."
        )
        return Signature("head-effect", "warn", "No head stands out", text, number, "heads")
    text = f"{strongest}; {noise}. {stand[0].upper()}{stand[1:]}."
    return Signature("head-effect", "good", "Heads stand above the noise", text, number, "heads")


def _stands(number: int) -> str:
    return "stands" if number == 1 else "stand"


def set_stability(facts: Evidence) -> Signature | None:
    """Top set unstable under bootstrap: its expected overlap with that of a new probe."""
    if facts.heads is None or len(facts.chosen) < 1:
        return None
    rank_by = facts.settings.rank_by
    try:
        by_rank = select_heads(facts.heads, str(len(facts.chosen)), rank_by)
    except (UserError, KeyError):
        return None
    if set(by_rank) != set(facts.chosen):
        return None  # a list written by hand has no chance to be drawn again
    overlap, how = _expected_overlap(facts, by_rank, rank_by)
    if overlap is None:
        return None
    k = len(by_rank)
    text = (
        f"If the probe were drawn anew, {percent(overlap)} of the {k} chosen heads would be "
        f"expected to be chosen again ({how})."
    )
    if k == 1:
        text = (
            "If the probe were drawn anew, the one chosen head would be chosen again with "
            f"probability {percent(overlap)} ({how})."
        )
    if not limits.stable(overlap):
        text += f" Below {percent(limits.STABLE)} the set depends on the probe: take more samples."
        title = "The chosen heads are not stable"
        return Signature("head-stability", "warn", title, text, overlap, "heads")
    title = "The chosen heads are stable"
    return Signature("head-stability", "good", title, text, overlap, "heads")


def _expected_overlap(
    facts: Evidence, chosen: list[Head], rank_by: str
) -> tuple[float | None, str]:
    heads = facts.heads
    assert heads is not None
    field = finalists(heads)
    if rank_by == "importance" and _small_enough(facts, heads):
        try:
            table = bootstrap_membership(
                facts.run.importance(), n_boot=_BOOTSTRAPS, candidates=field, count=len(chosen)
            )
        except (UserError, KeyError, ValueError):
            return None, ""
        at = pd.MultiIndex.from_frame(table[["layer", "head"]])
        kept = table.loc[at.isin(chosen), "probability"]
        samples = int(heads["n"].max())
        how = f"{count(_BOOTSTRAPS, 'bootstrap')} of {count(samples, 'probe sample')}"
        return (float(kept.sum() / len(chosen)), how) if len(kept) else (None, "")
    error = "stderr" if rank_by == "importance" else "specificity_stderr"
    rows = heads[~heads["raced_out"]] if "raced_out" in heads else heads
    mean, stderr = (rows[c].to_numpy(dtype=float) for c in (rank_by, error))
    if len(rows) < len(chosen) or not np.isfinite(stderr).any():
        return None, ""
    overlap = normal_overlap(mean, np.nan_to_num(stderr), len(chosen))
    return overlap, "estimated from the heads' standard errors, as if heads varied independently"


def normal_overlap(mean: Floats, stderr: Floats, top: int, draws: int = _DRAWS) -> float:
    """Expected share of the ``top`` heads that stay so when every mean moves by its standard error.

    Heads are moved independently; in truth hard samples move many heads together, so that the
    order is a little more stable than this says.
    """
    rng = np.random.default_rng(0)
    best = np.zeros(len(mean), dtype=bool)
    best[np.argpartition(-mean, top - 1)[:top]] = True
    kept = 0
    for _ in range(draws):
        moved = mean + stderr * rng.standard_normal(len(mean))
        kept += int(best[np.argpartition(-moved, top - 1)[:top]].sum())
    return kept / (draws * top)


def _small_enough(facts: Evidence, heads: pd.DataFrame) -> bool:
    if int(heads["n"].sum()) > EXACT_CELLS:
        return False
    return sum(1 for _ in facts.run.importance_dir.glob("part-*.parquet")) <= EXACT_PARTS


def probe_against_pool(facts: Evidence) -> Signature | None:
    """Probe sources far from those of the pool it was chosen from (hard samples cluster)."""
    if facts.probe is None or facts.pool is None or not len(facts.probe) or not len(facts.pool):
        return None
    if facts.pool["source"].nunique() < 2 or len(facts.pool) <= len(facts.probe):
        return None  # one source, or a probe that is the whole pool
    furthest = _furthest(_shares(facts.probe["source"]), _shares(facts.pool["source"]))
    gap = furthest[0]
    text = _distance("the probe and of the pool it was chosen from", furthest, "the pool")
    if gap > limits.FAR:
        text += " The heads are those of its main source; draw the probe stratified by source."
        return Signature("probe-pool", "warn", "The probe is one-sided", text, gap, "heads")
    return Signature("probe-pool", "good", "The probe resembles its pool", text, gap, "heads")


def probe_against_data(facts: Evidence) -> Signature | None:
    """Probe sources far from those of the scored data."""
    scored = facts.scored
    if facts.probe is None or not len(facts.probe) or scored is None or not scored.names:
        return None
    counts = np.bincount(scored.source[scored.source >= 0], minlength=len(scored.names))
    data = pd.Series(counts / max(1, counts.sum()), index=scored.names)
    probe = _shares(facts.probe["source"])
    strange = [str(n) for n in probe.index if n not in data.index]
    if len(strange) == len(probe):
        text = (
            f"The probe came from {listing(strange)}, the scored data from "
            f"{listing(scored.names)}: no name in common, so that their mix cannot be compared. "
            "Heads found on one kind of question need not be those that matter for another."
        )
        title = "Probe and scored data have different sources"
        return Signature("probe-data", "info", title, text, 1.0, "sources")
    furthest = _furthest(probe, data)
    gap = furthest[0]
    text = _distance("the probe and of the scored data", furthest, "the scored rows")
    if gap > limits.FAR:
        title = "The probe is unlike the scored data"
        return Signature("probe-data", "warn", title, text, gap, "sources")
    title = "The probe resembles the scored data"
    return Signature("probe-data", "good", title, text, gap, "sources")


def probe_overlap(facts: Evidence) -> Signature | None:
    """Probe samples that are also scored, counted by id."""
    if facts.probe is None or not len(facts.probe):
        return None
    ids = [str(i) for i in facts.probe["id"]]
    shared = facts.count_scored_ids(ids)
    if shared is None:
        return None
    if shared == 0:
        text = f"None of the {count(len(ids), 'probe sample')} is among the scored rows (by id)."
        title = "Probe and scored data are apart"
        return Signature("probe-overlap", "good", title, text, 0.0, "samples")
    rows = len(facts.scored) if facts.scored is not None else 0
    share = f" ({percent(shared / rows)} of them)" if rows else ""
    text = (
        f"By id, {shared:,} of the {count(len(ids), 'probe sample')} are also among the scored "
        f"rows{share}. Their scores come from heads that were chosen on them; exclude them from "
        "the selection if that matters to you."
    )
    title = "Probe samples are among the scored data"
    return Signature("probe-overlap", "warn", title, text, float(shared), "samples")


def _distance(between: str, furthest: tuple[float, str, float, float], of: str) -> str:
    """A sentence about a total variation distance; ``furthest`` is what ``_furthest`` gives."""
    gap, name, share, other_share = furthest
    if gap < 0.005:
        return f"The sources of {between} have the same mix."
    return (
        f"The sources of {between} are {percent(gap)} apart (0: same mix, 100: none in common); "
        f"the largest gap is {name}: {percent(share)} of the probe, {percent(other_share)} of {of}."
    )


def _shares(sources: pd.Series) -> pd.Series:
    return sources.astype(str).value_counts(normalize=True)


def _furthest(one: pd.Series, other: pd.Series) -> tuple[float, str, float, float]:
    """Total variation distance, and the source of the largest gap with its two shares."""
    names = one.index.union(other.index)
    a, b = one.reindex(names, fill_value=0.0), other.reindex(names, fill_value=0.0)
    gap = (a - b).abs()
    name = str(gap.idxmax())
    return float(gap.sum() / 2), name, float(a[name]), float(b[name])
