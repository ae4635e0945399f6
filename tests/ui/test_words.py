"""Times in words, and verdicts that are too long for one paragraph."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.detection.settings import ABLATIONS, ablated
from circuitseer_core.runs.option_lists import parted
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import duration
from ui.evidence.cards import LONG, _sentences, as_typed
from ui.export.views import _compact, score_drawn_by
from ui.heads.views import mean_sinks, sparsity_words
from ui.widgets.markdown import prose
from ui.words import in_column, places, size


def test_numbers_of_a_column_have_as_many_digits_as_their_neighbours() -> None:
    assert in_column(pd.Series([14.5, 7.0, float("nan"), 0.25, 1354.2])) == [
        "14.50", "7.000", "none", "0.2500", "1354",
    ]  # fmt: skip
    assert in_column(pd.Series([219.0, 1044.0, float("nan")])) == ["219", "1,044", "none"]


def test_a_table_has_as_many_places_as_its_largest_number_needs() -> None:
    values = [np.array(v) for v in ([5.0, 11.67], [0.0021, 0.0004], [38_462.0], [np.nan], [0.0])]
    assert [places(one) for one in values] == [2, 6, 0, 3, 3]


def test_numbers_stay_with_their_units() -> None:
    assert (
        prose("86 % of 3 rows, +0.2 nats at τ = 1")
        == "86\u00a0% of 3 rows, \\+0.2\u00a0nats at τ\u00a0\\=\u00a01"
    )


@pytest.mark.parametrize(
    ("ablation", "epsilon", "words"),
    [
        ("uniform", 0.0, "with one head's attention made uniform"),
        ("zero", 0.0, "with one head's output set to zero"),
        ("scaled", 0.1, "with one head's attention logits times 0.1"),
        ("scaled", 0.0, "with one head's attention logits scaled"),
        ("of a later version", 0.0, "when one head is ablated"),
        (None, 0.0, "when one head is ablated"),
    ],
)
def test_what_was_done_to_heads_is_named(ablation: str | None, epsilon: float, words: str) -> None:
    assert ablated(ablation, epsilon) == words
    assert all(ablated(name).startswith("with one head's") for name in ABLATIONS)


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (0, "0 kept heads carry 0 % of all positive ΔL; the highest of 4 carries half"),
        (1, "1 kept head carries 60 % of all"),
        (2, "2 kept heads carry 90 % of all"),
    ],
)
def test_how_much_the_kept_heads_carry(kept: int, words: str) -> None:
    heads = pd.DataFrame({"layer": 0, "head": range(4), "importance": [0.6, 0.3, 0.1, -2.0]})
    heads["raced_out"] = [False, False, True, True]
    shown = sparsity_words(heads, [(0, head) for head in range(kept)])
    assert shown.startswith(words) and "(2 raced-out heads by pilot estimates)" in shown
    nothing = sparsity_words(heads.assign(importance=-1.0), [(0, 0)])
    assert nothing.startswith("No head raises the loss")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (8.2, "8 s"), (59.6, "1 min"), (200, "3 min 20 s"), (900, "15 min"), (3600, "1 h 00 min"),
        (7500, "2 h 05 min"), (float("nan"), "an unknown time"),
    ],
)  # fmt: skip
def test_durations_have_no_empty_seconds(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_long_verdict_is_cut_where_sentences_end_and_nowhere_else() -> None:
    short = "Found: +0.30 (0.1 to 0.5). No more."
    assert _sentences(short) == [short]
    parts = [
        "On 1,354 rows with controls: variance: Spearman +0.95 (mean of 3 draws), p = 0.75.",
        "focus: Spearman +0.59; that the heads stand out may be chance.",
        "Of the rank variance are explained, held out: length 92 % (91 % to 93 %).",
        "So few draws say little of any set.",
    ]
    verdict = " ".join(parts * 3)
    assert len(verdict) > LONG
    assert _sentences(verdict) == parts * 3


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (812, "812 B"), (999, "999 B"), (14_000, "14 kB"), (999_400, "999 kB"),
     (999_600, "1 MB"), (3_200_000, "3.2 MB"), (999_700_000, "1 GB"), (5e12, "5000 GB")],
)  # fmt: skip
def test_sizes_have_no_powers_of_ten(count: float, words: str) -> None:
    assert size(int(count)) == words


def test_large_numbers_of_tokens_have_no_powers_of_ten() -> None:
    shown = [_compact(count) for count in (9_999, 10_000, 999_400, 999_600, 2_500_000_000)]
    assert shown == ["9,999", "10 k", "999 k", "1 M", "2.5 B"]


def test_the_axis_of_a_draw_says_what_stands_at_its_end() -> None:
    drawn_by = [
        score_drawn_by(SelectionSettings.of(length_control=control, lowest=lowest))
        for control, lowest in (("none", False), ("none", True), ("within-bins", True))
    ]
    assert drawn_by == [
        "the score", "the score, lowest at 100", "the score at its length, lowest at 100",
    ]  # fmt: skip


def test_options_that_python_gave_can_be_run_again() -> None:
    assert [as_typed(value) for value in (None, True, 60, "a.jsonl")] == [
        "", "True", "60", "a.jsonl",
    ]  # fmt: skip
    for files in (["a.jsonl", "b.jsonl"], ["a,b.jsonl"]):
        assert parted(as_typed(files)) == files


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ([], "On average the heads leave 40 % of"),
        ([(0, 0), (0, 1)], "On average the heads leave 40 % of"),
        ([(0, 1)], "On average the kept heads leave 60 % of"),
    ],
)
def test_shares_of_kept_heads_are_told_where_there_are_others(
    kept: list[tuple[int, int]], words: str
) -> None:
    heads = pd.DataFrame({"layer": 0, "head": range(2), "sink_share": [0.2, 0.6]})
    sentence = mean_sinks(heads, kept)
    assert sentence.startswith(words) and ("the others 20 %" in sentence) == (len(kept) == 1)
