"""Do different domains need the same heads?

Every head is ablated on samples of each domain (one DATA spec a domain: math, logic, code, general
instructions, ...), and the maps are compared pair by pair (head_maps.py):

1. Spearman over heads, and the share of the top heads, with intervals over samples.
2. Is that share more than chance? The hypergeometric distribution, corrected by Holm.
3. Do the domains differ at all? Samples are dealt at random into two groups of the same sizes; if
   the maps of real domains agree less than such do, the domains need different heads. Corrected
   by Holm among the pairs.
4. What contrast changes: a head's specificity to a domain is its relative importance there (mean
   dL / mean clean loss) less the mean of its relative importances in the other domains. The share
   of the top heads by importance that stay on top by specificity, and what pairs of domains then
   share.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.data.fields import Fields
from circuitseer_core.detection.set_overlap import shared_tops
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
    relabelled_chance,
    top_size,
)
from circuitseer_core.experiments.held_out import Words, beside_probe, left_out_words, run_model
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, percent, signed

if TYPE_CHECKING:
    from circuitseer_core.model.reference import ReferenceModel

NAME = "domains"


class Options(MapOptions):
    """Options of ``validate domains``."""

    data: Words = Field((), description="DATA, one a domain, separated by commas: name=path,…")
    limit: int = Field(12, ge=4, description="samples a domain at most, by hash")


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module.

    Raises:
        UserError: no detection yet, fewer than two domains, or one with fewer than four samples.
    """
    chosen = Options.of(**options)
    heads, everyone = best_heads(run, chosen.field), len(run.heads())
    specs = _domains(chosen)

    reference = run_model(
        run, chosen.dtype, chosen.device, data=specs, asked=Fields.of(chosen),
        max_tokens=chosen.max_tokens,
    )  # fmt: skip
    jobs, left_out = zip(*(_job(run, reference, spec, chosen) for spec in specs), strict=True)
    names = [job.name for job in jobs]
    if len(set(names)) < len(names):
        raise UserError(f"domains need different names, not {', '.join(names)}: name=path")
    maps = measure_maps(run, reference, NAME, jobs, heads)
    wanted = top_size(chosen.share, everyone, len(heads))
    numbers = compare(maps, wanted, boots=chosen.boots, seed=chosen.seed)
    numbers |= {"all_heads": everyone, "left_out": sum(left_out)}
    title = "Do different domains need the same heads?"
    pairs = pd.DataFrame(numbers["pairs"])
    pairs.insert(0, "pair", [f"{line['one']} – {line['other']}" for line in numbers["pairs"]])
    return ExperimentResult(NAME, title, verdict(numbers), numbers, pairs, outcome(numbers), PLOTS)


def estimated_seconds(run: Run, **options: Any) -> float:
    """About what it takes on this machine. Raises UserError for fewer than two domains."""
    chosen = Options.of(**options)
    samples = len(_domains(chosen)) * chosen.limit
    return maps_seconds(run, samples, chosen.field, chosen.max_tokens)


def _domains(options: Options) -> tuple[str, ...]:
    if len(options.data) < 2:
        raise UserError("give at least two domains: data=math=one.jsonl,code=other.jsonl")
    return options.data


def _job(run: Run, reference: ReferenceModel, spec: str, options: Options) -> tuple[MapJob, int]:
    """A domain's samples, without the probe's, which chose the field; and how many those were."""
    from circuitseer_core.data.specs import open_spec
    from circuitseer_core.detection.ablation import AblationMode

    samples, left_out = beside_probe(
        run,
        reference,
        [spec],
        limit=options.limit,
        seed=options.seed,
        max_tokens=options.max_tokens,
        asked=Fields.of(options),
    )
    if len(samples) < 4:
        raise UserError(f"{spec}: only {count(len(samples), 'sample')} can serve, four are needed")
    return MapJob(open_spec(spec)[0].source or spec, samples, AblationMode()), left_out


def compare(maps: list[HeadMap], wanted: int, *, boots: int, seed: int) -> dict[str, Any]:
    """All pairs of domains, each domain's own halves, and what specificity changes."""
    pairs = list(combinations(range(len(maps)), 2))
    agreements = [
        agreement(maps[a].delta, maps[b].delta, wanted, paired=False, boots=boots, seed=seed)
        for a, b in pairs
    ]
    differ = [relabelled_chance(maps[a].delta, maps[b].delta, seed=seed) for a, b in pairs]
    special = specificities(maps)
    lines = []
    for (a, b), each, same, other in zip(
        pairs, agreements, holm([f.p for f in agreements]), holm(differ), strict=True
    ):
        tops = float(shared_tops(special[a][None], special[b][None], wanted)[0])
        lines.append(
            {"one": maps[a].name, "other": maps[b].name}
            | each.to_json()
            | {"p_holm": float(same), "above_chance": bool(same < FALSE_FINDING)}
            | {"p_differ_holm": float(other), "differ": bool(other < FALSE_FINDING)}
            | {"overlap_by_specificity": tops}
        )
    domains = {}
    for each_map, specificity in zip(maps, special, strict=True):
        halves = halves_agree(each_map.delta, wanted, seed)
        stay = shared_tops(each_map.importance[None], specificity[None], wanted)[0]
        domains[each_map.name] = {
            "samples": len(each_map.delta),
            "clean": float(each_map.clean.mean()),
            "halves_spearman": halves[0],
            "halves_overlap": halves[1],
            "stay_by_specificity": float(stay),
            "top": [list(head) for head in each_map.top(wanted)],
        }
    return {
        "count": wanted,
        "heads": len(maps[0].heads),
        "domains": domains,
        "pairs": lines,
    }


def specificities(maps: list[HeadMap]) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """(H,) a domain: relative importance less the mean of it in the other domains."""
    relative = np.stack([each.importance / each.clean.mean() for each in maps])
    rest = (relative.sum(axis=0) - relative) / (len(maps) - 1)
    return list(relative - rest)


def outcome(numbers: dict[str, Any]) -> Outcome:
    """Found where all pairs share top heads beyond chance; by the pair of least Spearman."""
    worst = min(numbers["pairs"], key=lambda line: line["spearman"])
    judged = Outcome.judge(
        f"least Spearman of two domains' maps ({worst['one']} and {worst['other']})",
        worst["spearman"],
        worst["spearman_low"],
        worst["spearman_high"],
        relevant=limits.MAPS,
        comparisons=len(numbers["pairs"]),
        correction=HOLM if len(numbers["pairs"]) > 1 else None,
    )
    return found_only_if(judged, all(line["above_chance"] for line in numbers["pairs"]))


PLOTS = (
    Plot(
        kind="intervals",
        caption="Spearman over heads of two domains' maps, with 95 % intervals over samples.",
        label="pair",
        x="spearman",
        low="spearman_low",
        high="spearman_high",
        x_title="Spearman of the maps",
        references={"no agreement": 0.0},
    ),
    Plot(
        kind="intervals",
        caption="Share of the top heads that two domains have in common.",
        label="pair",
        x="overlap",
        low="overlap_low",
        high="overlap_high",
        x_title="shared top heads",
        shares=True,
    ),
)


def verdict(numbers: dict[str, Any]) -> str:
    """The answer in sentences."""
    domains, lines = numbers["domains"], numbers["pairs"]
    sizes = ", ".join(f"{name} ({d['samples']})" for name, d in domains.items())
    of = f" of {numbers['all_heads']:,}" if numbers["all_heads"] > numbers["heads"] else ""
    text = f"Over {numbers['heads']:,}{of} heads and the domains {sizes} (samples):"
    for line in lines:
        text += (
            f" {line['one']} and {line['other']}: Spearman {signed(line['spearman'])} "
            f"({signed(line['spearman_low'])} to {signed(line['spearman_high'])}), "
            f"{line['shared']} of {line['count']} top heads shared ({percent(line['overlap_low'])} "
            f"to {percent(line['overlap_high'])});"
        )
    halves = ", ".join(f"{n} {percent(d['halves_overlap'])}" for n, d in domains.items())
    text = text.removesuffix(";") + (
        f". By chance two sets share {percent(numbers['count'] / numbers['heads'])}; two halves of "
        f"one domain share: {halves}."
    )
    return text + _answer(lines, domains) + left_out_words(numbers)


def _answer(lines: list[dict[str, Any]], domains: dict[str, Any]) -> str:
    """What of this is beyond chance, after Holm's correction for the number of pairs."""

    def named(which: list[dict[str, Any]]) -> str:
        return ", ".join(f"{line['one']}–{line['other']}" for line in which)

    alike = [line for line in lines if line["above_chance"]]
    apart = [line for line in lines if line["differ"]]
    text = f" With Holm's correction for {count(len(lines), 'pair')}: "
    if alike:
        text += f"the top heads are shared beyond chance by {named(alike)}; "
    else:
        text += "that any two domains share top heads beyond chance is not shown; "
    if apart:
        text += f"different heads are needed by {named(apart)}"
    else:
        text += "that any two need different heads is not shown"
    stay = ", ".join(f"{n} {percent(d['stay_by_specificity'])}" for n, d in domains.items())
    before, after = (
        float(np.mean([line[key] for line in lines]))
        for key in ("overlap", "overlap_by_specificity")
    )
    return (
        f"{text}. Ranked by specificity (contrast with the other domains) these shares of the top "
        f"heads stay: {stay}; pairs of domains then share {percent(after)} of them on average, "
        f"where they shared {percent(before)}."
    )
