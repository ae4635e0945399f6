"""Does it matter what takes a head's place?

Stage 1 replaces a head's attention by undifferentiated attention. Zeroing its output, putting its
mean output there, or scaling its logits by epsilon are other ways to take a head away. Here every
head is ablated in each way on the same samples, and each way's map is held against that of uniform:
Spearman over heads, and the share of the top heads (head_maps.py). Shares are tested against chance
and corrected for the number of ways (Holm).

Where two ways agree no better than chance, which heads are "the" reasoning heads is a matter of
method; where they agree as two halves of the samples do under one way, the method does not matter
as far as these samples can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.data.fields import Fields
from circuitseer_core.detection.settings import ABLATIONS
from circuitseer_core.distributions import holm
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.comparisons import FALSE_FINDING, HOLM, found_only_if
from circuitseer_core.experiments.experiment import ExperimentResult
from circuitseer_core.experiments.head_maps import (
    HeadMap,
    MapJob,
    MapOptions,
    agreement,
    best_heads,
    halves_agree,
    maps_seconds,
    measure_maps,
    top_size,
)
from circuitseer_core.experiments.held_out import (
    Words,
    beside_probe,
    held_out,
    left_out_words,
    probe_data,
    run_model,
)
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, percent, signed

if TYPE_CHECKING:
    from circuitseer_core.detection.ablation import AblationMode
    from circuitseer_core.model.encoding import Encoded
    from circuitseer_core.model.reference import ReferenceModel

NAME = "ablation-method"
FIRST = "uniform"


class Options(MapOptions):
    """Options of ``validate ablation-method``."""

    data: Words = Field((), description="DATA, separated by commas; none: held-out probe data")
    methods: Words = Field(
        ("scaled:0.01", "scaled:0.1", "scaled:0.5", "zero", "mean"),
        description="ways to compare with uniform: zero, mean, scaled:EPSILON",
    )


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module.

    Raises:
        UserError: no detection yet, an unknown method, no usable sample, or no model.
    """
    chosen = Options.of(**options)
    heads, everyone = best_heads(run, chosen.field), len(run.heads())
    for method in chosen.methods:
        _parsed(method)
    if not set(chosen.methods) - {FIRST}:
        raise UserError(f"option methods: name one to compare with {FIRST}")
    reference = run_model(
        run,
        chosen.dtype,
        chosen.device,
        data=chosen.data,
        asked=Fields.of(chosen),
        own=() if chosen.data else probe_data(run),
        max_tokens=chosen.max_tokens,
    )
    samples, left_out = _samples(run, reference, chosen)
    methods = list(dict.fromkeys([FIRST, *chosen.methods]))
    jobs = [MapJob(m, samples, ablation_mode(m, reference, samples)) for m in methods]
    maps = measure_maps(run, reference, NAME, jobs, heads)
    wanted = top_size(chosen.share, everyone, len(heads))
    numbers = compare(maps, wanted, boots=chosen.boots, seed=chosen.seed)
    numbers |= {"samples": len(samples), "heads": len(heads), "all_heads": everyone}
    numbers["left_out"] = left_out
    title = "Does it matter what takes a head's place?"
    return ExperimentResult(
        NAME, title, verdict(numbers), numbers, map_table(maps), outcome(numbers), (PLOT,)
    )


def estimated_seconds(run: Run, **options: Any) -> float:
    """About what it takes on this machine."""
    chosen = Options.of(**options)
    samples = (1 + len(chosen.methods)) * chosen.limit
    return maps_seconds(run, samples, chosen.field, chosen.max_tokens)


def _samples(run: Run, reference: ReferenceModel, options: Options) -> tuple[list[Encoded], int]:
    """Samples that had no part in the choice of the field; with how many of the data had one."""
    left_out = 0
    how: dict[str, Any] = {
        "limit": options.limit,
        "seed": options.seed,
        "max_tokens": options.max_tokens,
    }
    if options.data:
        asked = Fields.of(options)
        samples, left_out = beside_probe(run, reference, options.data, asked=asked, **how)
    else:
        samples = held_out(run, reference, **how)
    if len(samples) < 2:
        raise UserError("one sample says nothing of how rankings agree: give more data")
    return samples, left_out


def _parsed(method: str) -> tuple[str, float]:
    """Mode and epsilon of ``zero``, ``mean``, ``uniform`` or ``scaled:0.1``."""
    mode, _, epsilon = method.partition(":")
    try:
        value = float(epsilon) if mode == "scaled" else 0.0
    except ValueError:
        value = -1.0
    if mode not in ABLATIONS or value < 0 or (mode != method) != (mode == "scaled"):
        raise UserError(f"option methods: {method!r} is none of zero, mean, scaled:EPSILON")
    return mode, value


def ablation_mode(method: str, reference: ReferenceModel, samples: list[Encoded]) -> AblationMode:
    """What takes a head's place under a method's name; means are those over ``samples``."""
    from circuitseer_core.detection.ablation import AblationMode, mean_outputs

    mode, epsilon = _parsed(method)
    means = mean_outputs(reference, samples) if mode == "mean" else None
    return AblationMode(mode, epsilon, means)


def compare(maps: list[HeadMap], wanted: int, *, boots: int, seed: int) -> dict[str, Any]:
    """Every map after the first against the first, on the same samples: the verdict's numbers."""
    first, *others = maps
    agreements = [
        agreement(first.delta, other.delta, wanted, paired=True, boots=boots, seed=seed)
        for other in others
    ]
    adjusted = holm([each.p for each in agreements])
    halves = halves_agree(first.delta, wanted, seed)
    return {
        "count": wanted,
        "halves_spearman": halves[0],
        "halves_overlap": halves[1],
        "methods": {
            other.name: each.to_json() | {"p_holm": float(p), "found": bool(p < FALSE_FINDING)}
            for other, each, p in zip(others, agreements, adjusted, strict=True)
        },
    }


def map_table(maps: list[HeadMap]) -> pd.DataFrame:
    """map, layer, head, importance, stderr, n, uniform: a row a map and head, best first.

    ``uniform`` is the head's importance in the first map.
    """
    frames = []
    for each in maps:
        n = len(each.delta)
        layer, head = np.array(each.heads).T
        error = each.delta.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.nan
        columns = {"layer": layer, "head": head, "importance": each.importance, "stderr": error}
        frame = pd.DataFrame({"map": each.name, **columns, "n": n, FIRST: maps[0].importance})
        frames.append(frame.sort_values("importance", ascending=False, kind="stable"))
    return pd.concat(frames, ignore_index=True)


def outcome(numbers: dict[str, Any]) -> Outcome:
    """Found where every way's top heads are uniform's beyond chance; by the least Spearman."""
    methods = numbers["methods"]
    name = min(methods, key=lambda m: methods[m]["spearman"])
    worst = methods[name]
    judged = Outcome.judge(
        f"least Spearman of a map with that of uniform ({name})",
        worst["spearman"],
        worst["spearman_low"],
        worst["spearman_high"],
        relevant=limits.MAPS,
        comparisons=len(methods),
        correction=HOLM if len(methods) > 1 else None,
    )
    return found_only_if(judged, all(each["found"] for each in methods.values()))


PLOT = Plot(
    kind="points",
    caption="Mean loss change of every head: by each way of ablating it, against uniform.",
    x=FIRST,
    y="importance",
    group="map",
    x_title="importance by uniform (nats)",
    y_title="importance (nats)",
)


def verdict(numbers: dict[str, Any]) -> str:
    """The answer in sentences."""
    parts = []
    for name, each in numbers["methods"].items():
        line = (
            f"{name}: Spearman {signed(each['spearman'])} ({signed(each['spearman_low'])} to "
            f"{signed(each['spearman_high'])}), {each['shared']} of {each['count']} top heads "
            f"shared ({percent(each['overlap_low'])} to {percent(each['overlap_high'])}"
            f"{'' if each['found'] else '; more than chance is not shown'})"
        )
        parts.append(line)
    text = (
        f"On {count(numbers['samples'], 'sample')} and {count(numbers['heads'], 'head')} of "
        f"{numbers['all_heads']:,}, against uniform: {'; '.join(parts)}. By chance two sets share "
        f"{percent(numbers['count'] / numbers['heads'])}"
    )
    if np.isfinite(numbers["halves_overlap"]):
        text += (
            f"; uniform on two halves of these samples shares {percent(numbers['halves_overlap'])} "
            f"(Spearman {signed(numbers['halves_spearman'])})"
        )
    return text + "." + _answer(numbers["methods"]) + left_out_words(numbers)


def _answer(methods: dict[str, Any]) -> str:
    """Which ways agree with uniform beyond chance, after Holm's correction for their number."""
    agree = [name for name, each in methods.items() if each["found"]]
    others = [name for name in methods if name not in agree]
    if not agree:
        return " That any of these ways finds the heads that uniform finds is not shown."
    text = f" The top heads of uniform and of {', '.join(agree)} agree beyond chance"
    if others:
        text += f"; for {', '.join(others)} that is not shown"
    return f"{text} (Holm's correction for {count(len(methods), 'comparison')})."
