"""The numbers of the evidence pages are those of the files beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from circuitseer_core.experiments.set_effects import _wider
from circuitseer_core.wording import percent, plain, signed

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = DOCS / "evidence"
SCORERS = ("variance", "focus", "divergence")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def kept(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return read


def spread(values: Any, digits: int = 2) -> str:
    estimate, low, high = (signed(value, digits) for value in values)
    return f"{estimate} ({low} to {high})"


def shares(values: Any) -> str:
    estimate, low, high = map(percent, values)
    return f"{estimate} ({low} to {high})"


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("complexity-variance", "| `variance`, worked steps | 1,380 |"),
        ("complexity-focus", "| `focus`, worked steps | 1,380 |"),
        ("complexity-divergence", "| `divergence`, worked steps | 1,380 |"),
        ("complexity-variance-response", "| `variance`, response tokens | 2,861 |"),
        ("complexity-bundled", "| `variance`, level (bundled run) | 1,098 |"),
        *((f"complexity-20-{scorer}", f"| `{scorer}` |") for scorer in SCORERS),
    ],
)
def test_complexity(name: str, begins: str) -> None:
    numbers = kept(f"data/{name}")["numbers"]
    keys = ("spearman", "beyond_length", "beyond_surface", "beyond_random_heads")
    cells = " | ".join(spread(numbers[key]) for key in keys)
    draws = f"{numbers['draws_reaching']} of {numbers['draws']}"
    assert f"{begins} {cells}; {draws} |" in page("evidence/data.md")
    parts = ("length", "surface", "length and surface", "random heads", "everything")
    made_of = " | ".join(shares(numbers["made_of"][part]) for part in parts)
    assert f"| {made_of} |" in page("evidence/data.md")


@pytest.mark.parametrize("target", ["worked steps", "response tokens"])
@pytest.mark.parametrize("scorer", ["variance", "ifd", "perplexity"])
def test_beside_perplexity_and_ifd(scorer: str, target: str) -> None:
    table = pd.read_csv(FOLDER / "data" / "complexity-rated.csv")
    of = table[(table["scorer"] == scorer) & (table["target"] == target)].set_index("measure")
    measures = ("Spearman", "at fixed length", "at fixed length and surface")
    cells = [spread(of.loc[m, ["estimate", "low", "high"]]) for m in measures]
    assert f"| `{scorer}`, {target} | {' | '.join(cells)} |" in page("evidence/data.md")


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("untrained", "SmolLM2 / untrained"),
        ("prompt-response", "bundled run: prompt / response"),
        ("small-trained", "SmolLM2 / small, trained"),
        ("small-before", "SmolLM2 / small, before training"),
    ],
)
def test_transfer(name: str, pair: str, scorer: str) -> None:
    of = kept(f"data/transfer-{name}-{scorer}")["numbers"]
    gap = spread([100 * value for value in of["beyond_floor"]], 1)
    soft, floor = (percent(value, 1) for value in (of["overlap_soft"][0], of["floor"]))
    top, longest = (100 * of[f"overlap_{which}"] for which in ("top", "longest"))
    interval = ""
    if "overlap_top_interval" in of:  # of before there was one
        low, high = (100 * value for value in of["overlap_top_interval"])
        interval = f"{low:.1f} to {high:.1f} %; "
    assert (
        f"| {pair}, `{scorer}` | {of['rows']:,} | {spread(of['spearman'])} | "
        f"{spread(of['at_length'])} | {soft}, floor {floor} | {gap} | "
        f"{top:.1f} % ({interval}longest {longest:.1f} %) |"
    ) in page("evidence/data.md")


@pytest.mark.parametrize("state", ["before", "trained"])
def test_length_in_the_small_model(state: str) -> None:
    table = pd.read_csv(FOLDER / "data" / f"length-small-{state}.csv").query("source == 'all'")
    of = table.set_index("scorer").loc["variance"]
    assert spread(of[["length", "length_low", "length_high"]]) in page("evidence/data.md")
    if state == "trained":
        assert f"whose random heads have {signed(of['control_length'])}" in page("evidence/data.md")


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("name", ["selection", "selection-20"])
def test_go_or_no_go(name: str, scorer: str) -> None:
    record = kept(f"data/{name}-{scorer}")
    rivals = record.get("distinct", record)
    cells = []
    for rival in (rivals["length"], rivals["heads"]):
        gap = spread([100 * rival[key] for key in ("gap", "low", "high")], 1)
        cells += [f"{percent(rival['own'], 1)} / {percent(rival['other'], 1)}", gap]
    assert f"| `{scorer}` | {' | '.join(cells)} |" in page("evidence/data.md")


@pytest.mark.parametrize("name", ["random-heads-20", "random-heads-bundled"])
def test_random_heads(name: str) -> None:
    for scorer, of in kept(f"data/{name}")["numbers"]["scorers"].items():
        apart = of["apart"]
        p = "< 0.001" if apart["p_holm"] < 0.001 else plain(apart["p_holm"])
        assert (
            f"| `{scorer}` | {spread([of['spearman'], *of['spearman_interval']])} | "
            f"{signed(of['spearman_among_controls'])} | {plain(of['p_other_than_random'])} | "
            f"{spread([apart[key] for key in ('gap', 'low', 'high')], 3)}; {p} |"
        ) in page("evidence/data.md")


@pytest.mark.parametrize("keep", [False, True])
def test_heads(keep: bool) -> None:
    table = pd.read_parquet(FOLDER / "heads.parquet")
    table = table[table["keep"] == keep]
    for share in ("0.01", "0.02", "0.05", "0.1"):
        cells = []
        for source in ("svamp", "instructions"):
            of = table[(table["source"] == source) & (table["share"] == share)]
            own, random = of[of["heads"] == "reasoning"].iloc[0], of[of["heads"] == "same layers"]
            ends = (own["rise"] + _wider(8) * (own[key] - own["rise"]) for key in
                    ("rise_low", "rise_high"))  # fmt: skip
            low, high = (signed(end).removeprefix("+") for end in ends)
            least, most = (signed(end) for end in (random["rise"].min(), random["rise"].max()))
            cells += [f"{signed(own['rise'])} ({low} to {high})", f"{least} to {most}"]
        assert f"| {' | '.join(cells)} |" in page("evidence/heads.md")


@pytest.mark.parametrize(
    ("study", "arm", "columns"),
    [
        *(("small", a, "all gsm8k") for a in ("soft", "top-k", "bottom-k", "longest")),
        *(("small", a, "all gsm8k") for a in ("length-matched", "random-heads")),
        *(("smollm2", a, "") for a in ("soft", "top-k", "calibrated", "length-matched")),
        ("smollm2", "other-scoring", ""),
        ("tenth", "soft", ""),
    ],
)
def test_training(study: str, arm: str, columns: str) -> None:
    table = (
        pd.read_csv(FOLDER / "training-intervals.csv")
        .set_index(["study", "arm", "source"])
        .sort_index()
    )
    table = table.loc[f"training-{study}", arm]
    sources = columns.split() or ["all", "gsm8k", "svamp", "aqua", "instructions"]
    cells = [spread(table.loc[s, ["difference", "low", "high"]], 3) for s in sources]
    p = "1.0" if table.loc["all", "p_holm"] == 1 else plain(table.loc["all", "p_holm"])
    cells[0] += f" | {p}" if columns else f", p = {p}"
    assert f"| {' | '.join(cells)} |" in page("evidence.md")


@pytest.mark.parametrize(
    ("name", "label"),
    [("scaled:0.1", "logits × 0.1"), ("scaled:0.5", "logits × 0.5"),
     ("mean", "its mean output"), ("zero", "zero")],
)  # fmt: skip
def test_what_takes_a_heads_place(name: str, label: str) -> None:
    of = kept("ablation-method")["numbers"]["methods"][name]
    low, high = (of[f"spearman_{end}"] for end in ("low", "high"))
    shared = f"{100 * of['overlap_low']:.0f} to {percent(of['overlap_high'])}"
    row = f"| {label} | {signed(of['spearman'])} ({low:.2f} to {high:.2f}) | "
    assert f"{row}{of['shared']} ({shared}) |" in page("evidence/heads.md")
    assert of["found"] == (name == "scaled:0.1")


@pytest.mark.parametrize("number", range(6))
def test_pairs_of_domains(number: int) -> None:
    pair = kept("domains")["numbers"]["pairs"][number]
    shared = f"{100 * pair['overlap_low']:.0f} to {percent(pair['overlap_high'])}"
    interval = [pair[key] for key in ("spearman", "spearman_low", "spearman_high")]
    p, differ = (float(f"{pair[key]:.2g}") for key in ("p_holm", "p_differ_holm"))
    assert (
        f"| {pair['one']}, {pair['other']} | {spread(interval)} | {pair['shared']} ({shared}) | "
        f"{p:g} | {differ:g} |"
    ) in page("evidence/heads.md")


@pytest.mark.parametrize("scorer", ["variance", "raw_variance", "focus", "divergence"])
def test_the_rival_score(scorer: str) -> None:
    of = kept("masked-loss")["numbers"]["scores"][scorer]

    def cell(estimate: str, low: str, high: str) -> str:
        ends = (signed(of[low]), signed(of[high]))
        return f"{signed(of[estimate])} ({' to '.join(e.removeprefix('+') for e in ends)})"

    at_length = cell("at_length", "at_length_low", "at_length_high")
    row = f"| `{scorer}` | {cell('spearman', 'low', 'high')} | {at_length} | "
    assert f"{row}{percent(of['top_shared'])} |" in page("evidence/heads.md")


def test_the_rival_score_beside_random_heads_and_length() -> None:
    text = page("evidence/heads.md")
    of = kept("masked-loss")["numbers"]["controls"]
    low, high = (plain(end) for end in of["spearman_interval"])
    assert f"it has {signed(of['spearman'])} ({float(low):.2f} to {float(high):.2f}, over 3" in text
    gap, low, high = (signed(of[key]) for key in ("gap", "gap_low", "gap_high"))
    assert f"difference of {gap} has {low} to {high} beside one more random set" in text
    scorers = kept("random-heads")["numbers"]["scorers"]
    assert [name for name, one in scorers.items() if one["apart"]["found"]] == ["divergence"]
    apart = scorers["divergence"]["apart"]
    assert f"by {apart['gap']:.3f} ({apart['low']:.3f} to {apart['high']:.3f}; Holm" in text
    lengths = pd.read_parquet(FOLDER / "length.parquet").query("source == 'all'")
    for line in lengths.set_index("scorer").drop("raw_variance").itertuples():
        assert f"{signed(line.length)} ({line.length_low:.2f} to {line.length_high:.2f})" in text


def test_heads_by_the_size_of_a_probe() -> None:
    text = page("evidence/data.md")
    for name in ("probe-smollm2", "probe-bundled"):
        numbers = kept(f"data/{name}")["numbers"]
        rules = [f"{100 * gap[0]:+.0f} points ({100 * gap[1]:+.0f} to {100 * gap[2]:+.0f})"
                 for gap in numbers["gaps"].values()]  # fmt: skip
        assert " | ".join(rules).replace("-", "−") in text
        estimate, low, high = map(percent, numbers["expected"])
        assert f"{estimate} ({low} to {high}), chance {percent(numbers['chance'])}" in text
    again = kept("data/probe-rescored")["numbers"]["rescored"]
    for rule, label in (("random", "random"), ("high loss", "by high loss"),
                        ("stratified", "stratified by source")):  # fmt: skip
        of = again["by_name"][rule]
        low, high = map(percent, of["overlap_soft_interval"])
        fall = ""
        if rule in again["falls"]:
            ends = [signed(100 * value, 0) for value in again["falls"][rule]]
            fall = f"{ends[0]} points ({ends[1]} to {ends[2]}) "
        row = f"| {label} | {percent(of['overlap_soft'])} ({low} to {high}) | {fall}|"
        assert row in text
    (pair,) = kept("data/probes")["numbers"]["pairs"]
    assert f"Spearman of the maps {signed(pair['spearman'])}" in text
    assert f"{percent(pair['overlap'])} of {pair['heads']} heads in common" in text


@pytest.mark.parametrize(
    ("name", "what", "source"),
    [
        *(("calibration-champ", f"{scorer}{of}", "all") for of in ("", " (random heads)")
          for scorer in ("variance", "raw_variance", "focus", "divergence")),
        *(("calibration-rivals", what, "all") for what in ("heads", "random heads")),
        *(("calibration-pool", what, s) for s in ("gsm8k", "svamp", "aqua") for what in ("heads",)),
    ],
)  # fmt: skip
def test_calibrations(name: str, what: str, source: str) -> None:
    table = pd.read_csv(FOLDER / f"{name}.csv", dtype=str)
    rows = table[(table["what"] == what) & (table["source"] == source)]
    cells = [f"{row.value} ({row.low} to {row.high})" for row in rows.itertuples()]
    assert cells and any(one in page("evidence/calibration.md") for one in cells)


OF_TWO = "p after Holm for two arms"
TOLD = ("all", "gsm8k", "svamp", "aqua", "instructions")


def study(name: str, arm: str, measure: str = "loss") -> pd.DataFrame:
    """An arm of a kept study by source."""
    table = pd.read_csv(FOLDER / f"training-{name}.csv").set_index(["measure", "arm", "source"])
    of: pd.DataFrame = table.sort_index().loc[measure, arm]
    return of


def beside(name: str, arm: str) -> str:
    """Its differences as a row of the page has them."""
    of = study(name, arm)
    cells = [spread(of.loc[source, ["difference", "low", "high"]], 3) for source in TOLD]
    cells[0] += f", p = {plain(of.loc['all', 'p_holm'])}"
    return " | ".join(cells)


@pytest.mark.parametrize(
    ("name", "arm", "line"),
    [
        ("full", "soft", "soft tenth less uniform tenth"),
        ("beside-full", "soft", "soft tenth less the whole pool"),
        ("rated", "ifd", "IFD less uniform"),
        ("rated", "perplexity", "perplexity less uniform"),
        ("tenth-matched", "length-matched", f"length-matched less uniform, {OF_TWO}"),
        ("tenth-beside-soft", "length-matched", f"length-matched less soft, {OF_TWO}"),
    ],
)  # fmt: skip
def test_held_out_loss_beside_another_arm(name: str, arm: str, line: str) -> None:
    assert f"| {line} | {beside(name, arm)} |" in page("evidence.md")


def test_a_tenth_against_all_in_the_readme() -> None:
    estimate, low, high = study("beside-full", "soft").loc["all", ["difference", "low", "high"]]
    assert f"+{estimate:.3f} nats ({low:.3f} to {high:.3f})" in page("../README.md")


@pytest.mark.parametrize(("arm", "label"), [("ifd", "IFD"), ("perplexity", "perplexity")])
def test_right_answers_after_training(arm: str, label: str) -> None:
    of, text = study("rated", arm, "accuracy"), page("evidence.md")
    right = " | ".join(percent(of.loc[source, "mean"], 1) for source in TOLD)
    assert f"| {label} | {right} |".replace(" 0 %", " 0.0 %") in text
    points = 100 * of.loc["all", ["difference", "low", "high"]]
    assert f"{label} less uniform {spread(points, 1)}" in text
