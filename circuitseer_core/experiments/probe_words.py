"""What ``probe`` says: verdict and plots, from its numbers."""

from __future__ import annotations

from typing import Any

from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.wording import count, percent, signed


def verdict(numbers: dict[str, Any], outcome: Outcome) -> str:
    """The answer in sentences."""
    parts = [_gap(name, gap) for name, gap in numbers["gaps"].items()]
    maps = [_map_gap(name, gap) for name, gap in numbers["map_gaps"].items()]
    head = {
        "found": "The set depends on how the probe is chosen.",
        "no evidence": "No evidence that the set depends on how the probe is chosen.",
        "inconclusive": "Whether the set depends on how the probe is chosen is open: the probe is "
        "too small for the intervals to tell.",
    }[outcome.state]
    text = (
        f"{head} From disjoint halves of the {count(numbers['samples'], 'stored sample')}, fall of "
        f"the share of the {count(numbers['heads'], 'head')} that two probes have in common "
        f"({_correction(len(parts))}): {'; '.join(parts)}. Fall of the rank correlation of their "
        f"maps, with intervals of the same kind: {'; '.join(maps)}."
    )
    if numbers["criterion"] == "loss":
        text += " The stored probe was chosen by high loss: random means random among the hard."
    if numbers["raced"]:
        text += (
            f" Only the {numbers['field']} heads of the race's last field take part, which this "
            "very probe had narrowed down."
        )
    if numbers["expected"] is not None:
        share, low, high = numbers["expected"]
        text += (
            f" An independent probe of the full size is expected to share {percent(share)} "
            f"({percent(low)} to {percent(high)} for one such probe; chance "
            f"{percent(numbers['chance'])})."
        )
    return text + _rescored(numbers["rescored"])


def _correction(comparisons: int) -> str:
    return "95 % intervals" + (
        f", corrected for {comparisons} comparisons" if comparisons > 1 else ""
    )


def _gap(name: str, gap: list[float]) -> str:
    estimate, low, high = (signed(100 * value, 0) for value in gap)
    return f"{name} {estimate} points ({low} to {high})"


def _map_gap(name: str, gap: list[float]) -> str:
    estimate, low, high = (signed(value) for value in gap)
    return f"{name} {estimate} ({low} to {high})"


def _rescored(again: dict[str, Any] | None) -> str:
    if again is None:
        return ""
    return (
        f" Scoring {count(again['rows'], 'sample')} anew with the heads of {again['sets']} partial "
        f"probes gives Spearman {signed(again['spearman'])} with the chosen heads' scores; soft "
        f"subsets of one seed share {percent(again['overlap_soft'])} (permuted scores "
        f"{percent(again['overlap_soft_floor']['permuted'])}; of what that leaves "
        f"{percent(again['overlap_soft_beyond_floor'])}), top ones "
        f"{percent(again['overlap_top'])}. What soft subsets share by the partial probe, with the "
        f"95 % interval for one more such part: {'; '.join(map(_kept, again['by_name'].items()))}."
        f"{_falls(again['falls'])} The partial probes are parts of the very probe that chose these "
        "heads, so they agree with them more than independent probes would."
    )


def _kept(named: tuple[str, dict[str, Any]]) -> str:
    name, of = named
    low, high = of["overlap_soft_interval"]
    return (
        f"{name} ({count(of['samples'], 'sample')}) {percent(of['overlap_soft'])} "
        f"({percent(low)} to {percent(high)})"
    )


def _falls(falls: dict[str, list[float]]) -> str:
    if not falls:
        return ""
    parts = "; ".join(_gap(name, gap) for name, gap in falls.items())
    return (
        " Less than random parts of as many samples, with the 95 % interval for one more such "
        f"pair, not corrected: {parts}."
    )


def plots(numbers: dict[str, Any]) -> tuple[Plot, ...]:
    """The gaps with their intervals, the curve of sizes and, scored anew, what the draw keeps."""
    gaps = (
        Plot(
            kind="intervals", label="name", x="gap", low="low", high="high", shares=True,
            where={"kind": "gap"}, x_title="fall of the share of common heads",
            references={"no effect": 0.0},
            caption="How much fewer heads a probe by another rule shares with a random one than "
            f"two random ones do (for a source: than two of it do); "
            f"{_correction(len(numbers['gaps']))}.",
        ),
        Plot(
            kind="lines", x="size", y="overlap", low="low", high="high", shares=True,
            where={"kind": "size"}, x_title="samples a probe", y_title="heads in common",
            references={"chance": numbers["chance"]},
            caption="Share of the chosen heads that two disjoint random probes have in common, by "
            "size; the band is the middle 90 % of random halves.",
        ),
    )  # fmt: skip
    again = numbers["rescored"]
    if again is None:
        return gaps
    floor = again["overlap_soft_floor"]["permuted"]
    return (
        *gaps,
        Plot(
            kind="intervals", label="name", x="overlap", low="low", high="high", shares=True,
            where={"kind": "drawn"}, x_title="rows of the soft draw in common",
            references={"permuted scores": floor},
            caption="Share of the soft draw that the heads of a partial probe keep, by the rule or "
            "source it was chosen by; the interval is for one more such probe.",
        ),
    )  # fmt: skip
