"""Failure signatures of detection: is there an effect, is the set stable, was the probe apt?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from circuitseer_core import limits
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.detection.set_overlap import HeadEstimates, SetOverlap, expected_overlap
from circuitseer_core.distributions import t95
from circuitseer_core.errors import UserError
from circuitseer_core.runs.records import DetectRecord
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.wording import count, listing, percent, percent_beside, plain


def effect_against_noise(facts: Evidence) -> Signature | None:
    """ΔL small everywhere: the strongest head, and the chosen ones, against rounding and sampling.

    A mean over n samples, each of whose ΔL is off by ``floor``, moves by 2·floor/√n by rounding,
    and by t·s/√n from one probe to another. Without any effect 2.5 % of all heads would pass that,
    half as many as are chosen, so the strongest has to pass as the best of all heads. The number is
    the strongest ΔL over its rounding; None where rounding was not measured.
    """
    heads, detection = facts.heads, facts.detection
    floor = detection.noise_floor
    if heads is None or not facts.chosen or (floor is None and not detection.noise_unmeasured):
        return None
    at = pd.MultiIndex.from_frame(heads[["layer", "head"]])
    picked = heads[at.isin(facts.chosen)]
    if picked.empty:
        return None
    n = picked["n"].to_numpy(dtype=float)
    rounding = 2 * (floor or 0.0) / np.sqrt(n)
    # Of one sample there is no spread: rounding is then all that is known.
    sampling = np.nan_to_num(t95(n) * picked["stderr"].to_numpy(dtype=float))
    effect = picked["importance"].to_numpy(dtype=float)
    clear = effect > np.maximum(rounding, sampling)
    above = int(clear.sum())
    best = int(np.argmax(effect))
    ratio = float(effect[best] / rounding[best]) if rounding[best] > 0 else float("inf")
    strongest = f"Ablating the strongest head raises the loss by {plain(effect[best])} nats"
    noise = _rounding_sentence(detection, float(rounding[best]))
    of_all = float(np.nan_to_num(t95(n[best], len(heads)))) * float(picked["stderr"].iloc[best])
    above_what = "" if floor is None else "above the noise and "
    stand = (
        f"{_standing(above, len(picked))} {above_what}above zero by more than the 95 % sampling "
        "error"
    )
    number = ratio if np.isfinite(ratio) else None
    by_chance = bool(effect[best] <= of_all) or not clear[best]
    if effect[best] <= of_all:
        stand += f"; the best of {count(len(heads), 'head')} may reach so much by that error alone"
    if by_chance or ratio < limits.NOISE_MULTIPLE or above < len(picked) / 2:
        text = (
            f"{strongest}; {noise}, and {stand}. Such a map may be mostly noise: measure in "
            "float32, on more probe samples, or on data that the model finds harder."
        )
        return Signature("head-effect", "warn", "Few heads stand out", text, number, "heads")
    text = f"{strongest}; {noise}. {stand[0].upper()}{stand[1:]}."
    title = "Heads stand above sampling error" if floor is None else "Heads stand above the noise"
    return Signature("head-effect", "good", title, text, number, "heads")


def _rounding_sentence(detection: DetectRecord, rounding: float) -> str:
    """What is known of the rounding of a mean, and how."""
    if detection.noise_floor is None:
        return f"what rounding does was not measured ({detection.noise_unmeasured})"
    sentence = f"rounding noise alone can do {plain(rounding)} nats"
    if not detection.noise_pairs:
        return sentence if rounding else "repeated clean runs gave the same loss to the last digit"
    wide = {"fp32": "float32", "fp64": "float64"}.get(detection.noise_against or "", "more digits")
    return (
        f"{sentence} to such a mean ({count(detection.noise_pairs, 'loss change')} of one sample, "
        f"measured again in {wide}, moved by {plain(detection.noise_floor)} nats in root mean "
        f"square; their median is {plain(detection.noise_effect or 0.0)})"
    )


def _standing(above: int, chosen: int) -> str:
    """ "8 of the 14 chosen heads stand", "the one chosen head does not stand"."""
    if chosen == 1:
        return f"the one chosen head {'stands' if above else 'does not stand'}"
    return f"{above} of the {chosen:,} chosen heads {'stands' if above == 1 else 'stand'}"


def set_stability(facts: Evidence) -> Signature | None:
    """Top set unstable: its expected overlap with that of an independent probe."""
    if facts.heads is None or len(facts.chosen) < 1:
        return None
    rank_by = facts.settings.rank_by
    try:
        by_rank = select_heads(facts.heads, str(len(facts.chosen)), rank_by)
    except (UserError, KeyError):
        return None
    if set(by_rank) != set(facts.chosen):
        return None  # a list written by hand has no chance to be drawn again
    try:
        again = expected_overlap(HeadEstimates.of_run(facts.run, rank_by), len(by_rank))
    except (UserError, KeyError, ValueError, OSError):
        return None
    if again is None:
        return None
    text = overlap_sentence(again)
    if not limits.stable(again.expected):
        text += f" Below {percent(limits.STABLE)} the set depends on the probe: take more samples."
        title = "The chosen heads are not stable"
        return Signature("head-stability", "warn", title, text, again.expected, "heads")
    title = "The chosen heads are stable"
    return Signature("head-stability", "good", title, text, again.expected, "heads")


def overlap_sentence(again: SetOverlap) -> str:
    """What an independent probe would share with the chosen set, with interval and chance."""
    expected = percent_beside(again.expected, limits.STABLE)
    what = f"{expected} of the {again.count} chosen heads"
    if again.count == 1:
        what = f"the one chosen head with probability {expected}"
    text = (
        f"An independent probe of {count(again.samples, 'sample')} would be expected to choose "
        f"{what} too (95 % interval for one such probe {percent(again.low)} to "
        f"{percent(again.high)}, chance {percent(again.chance)}), estimated from disjoint parts of "
        "this one."
    )
    if again.raced:
        text += (
            f" That is within the {again.field} heads of the race's last field, which this very "
            "probe had narrowed down."
        )
    return text


def short_probe(detection: DetectRecord) -> str | None:
    """One sentence where the probe came out smaller than asked for, with the commonest reasons."""
    samples, asked = detection.n_probe, detection.settings and detection.settings.probe_size
    if not samples or not asked or samples >= asked:
        return None
    text = f"The heads were measured on {count(samples, 'probe sample')} of {asked:,} asked for"
    reasons = [f"{number:,} {reason}" for reason, number in detection.probe_left_out.items()]
    return f"{text}: {listing(reasons[:2])}." if reasons else f"{text}: the data has no more."


def probe_size(facts: Evidence) -> Signature | None:
    """Few probe samples: fewer than asked for, or too few for intervals and stability to hold."""
    detection = facts.run.detection
    if facts.heads is None or not detection.n_probe:
        return None
    samples = detection.n_probe
    short = short_probe(detection)
    text = short or f"The heads were measured on {count(samples, 'probe sample')}."
    if samples < limits.FEW_SAMPLES:
        text += (
            f" Below {limits.FEW_SAMPLES} samples one odd sample can put a head into the set, and "
            "the intervals are wide."
        )
    if short or samples < limits.FEW_SAMPLES:
        return Signature("probe-size", "warn", "The probe is small", text, samples, "heads")
    return Signature("probe-size", "good", "The probe is large enough", text, samples, "heads")


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
        f"By id, {shared:,} of the {count(len(ids), 'probe sample')} "
        f"{'is' if shared == 1 else 'are'} also among the scored rows{share}. Such scores come "
        "from heads that were chosen on these very samples; exclude them from the selection if "
        "that matters to you."
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
