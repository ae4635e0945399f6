"""The Heads page in Streamlit's test runner."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from circuitseer_core.detection.heads import select_heads
from circuitseer_core.detection.set_overlap import HeadEstimates, expected_overlap
from circuitseer_core.signatures.head_checks import overlap_sentence
from circuitseer_core.wording import percent
from tests.support.opened import open_page, settled, synthetic, table, texts
from tests.support.synthetic import Shape
from ui.widgets.markdown import prose, together


def metric(app: AppTest, label: str) -> str:
    return next(m.value for m in app.metric if m.label == label)


def test_the_set_is_the_one_that_core_selects(runs_home: Path) -> None:
    run = synthetic(runs_home)
    app = open_page("heads", "made")
    kept = select_heads(run.heads(), "0.05")
    assert metric(app, "Heads kept") == f"{len(kept)} / 48"
    shown = table(app, "importance")
    assert set(zip(shown["layer"], shown["head"], strict=True)) >= set(kept)
    assert shown["kept"].sum() == len(kept)
    assert shown["rank"].tolist() == list(range(1, 49))


@pytest.mark.parametrize(
    ("rule", "control", "value", "want"),
    [("Share", "share", 25.0, "12 / 48"), ("Count", "count", 9, "9 / 48")],
)
def test_the_rule_is_live(
    runs_home: Path, rule: str, control: str, value: float, want: str
) -> None:
    synthetic(runs_home)
    app = open_page("heads", "made", rule=rule)
    widget = app.slider(key=control) if rule == "Share" else app.number_input(key=control)
    widget.set_value(value).run()
    assert metric(settled(app), "Heads kept") == want


@pytest.mark.parametrize(("label", "rule"), [("Lower bound", "lcb"), ("Few false", "bh")])
def test_heads_beyond_their_error_and_how_many_would_pass_by_chance(
    runs_home: Path, label: str, rule: str
) -> None:
    run = synthetic(runs_home)
    app = open_page("heads", "made", rule=label)
    assert metric(app, "Heads kept") == f"{len(select_heads(run.heads(), rule))} / 48"
    by_chance = "about 1.2 heads would pass the lower bound" in texts(app)
    assert by_chance == (rule == "lcb"), "2.5 % of 48"


def test_a_head_in_the_link_is_the_one_in_view(runs_home: Path) -> None:
    run = synthetic(runs_home)
    app = open_page("heads", "made", layer="3", head="5")
    row = run.heads().query("layer == 3 and head == 5").iloc[0]
    assert app.number_input(key="layer").value == 3
    assert metric(app, "Rank") == str(row["rank"])


@pytest.mark.parametrize(("layer", "head"), [("77", "0"), ("x", "1"), ("-1", "2")])
def test_a_head_that_does_not_exist_falls_back_to_the_first(
    runs_home: Path, layer: str, head: str
) -> None:
    run = synthetic(runs_home)
    app = open_page("heads", "made", layer=layer, head=head)
    best = run.heads().nsmallest(1, "rank").iloc[0]
    assert app.number_input(key="layer").value == best["layer"]


def test_another_run_with_fewer_layers_is_no_trap(runs_home: Path) -> None:
    synthetic(runs_home, "tall", Shape(layers=12, heads=16, detect_only=True))
    synthetic(runs_home, "flat", Shape(layers=2, heads=2, detect_only=True))
    app = open_page("heads", "tall", layer="11", head="15")
    app.session_state["run_key"] = "flat"
    app.query_params["run"] = "flat"
    assert settled(app.run()).number_input(key="layer").value < 2


def test_racing_limits_the_rule_to_the_final_field(runs_home: Path) -> None:
    run = synthetic(runs_home, shape=Shape(racing=True, detect_only=True))
    app = open_page("heads", "made", rule="Count")
    full = int((~run.heads()["raced_out"]).sum())
    assert app.number_input(key="count").max == full
    raced = run.heads().query("raced_out").iloc[0]
    app = open_page("heads", "made", layer=str(raced["layer"]), head=str(raced["head"]))
    assert metric(app, "Rank") == "–"
    assert "Raced out" in texts(app)


def test_stale_scores_are_named(runs_home: Path) -> None:
    synthetic(runs_home)
    app = open_page("heads", "made", rule="Count")
    app.number_input(key="count").set_value(11).run()
    assert "were computed with another set" in texts(settled(app))


def test_specificity_is_offered_with_a_contrast_set_only(runs_home: Path) -> None:
    synthetic(runs_home, "plain", Shape(detect_only=True))
    synthetic(runs_home, "contrast", Shape(detect_only=True, contrast=True))
    ranks = [b.key for b in open_page("heads", "plain").button_group]
    assert "rank_by" not in ranks
    assert "rank_by" in [b.key for b in open_page("heads", "contrast").button_group]


def test_views_speak_of_the_kept_heads_though_they_are_not_the_first_by_importance(
    runs_home: Path,
) -> None:
    run = synthetic(runs_home, shape=Shape(detect_only=True, contrast=True))
    table = run.heads()
    kept = set(select_heads(table, "5", "specificity"))
    assert kept != set(select_heads(table, "5")), "else this tests nothing"
    ours = [cell in kept for cell in zip(table["layer"], table["head"], strict=True)]
    positive = table["importance"].clip(lower=0)
    share = percent(positive[ours].sum() / positive.sum())
    asked = {"rule": "Count", "count": "5", "rank_by": "Specificity"}
    shown = texts(open_page("heads", "made", heads_view="Sparsity", **asked))
    assert together(f"5 kept heads carry {share} of all positive ΔL") in shown
    again = expected_overlap(HeadEstimates.of_run(run, "specificity"), 5)
    assert again is not None
    page = open_page("heads", "made", heads_view="Stability", **asked)
    assert prose(overlap_sentence(again)) in texts(page)
    assert "in the set. Dotted: the cut, in order of specificity" in texts(page)
    assert "In the set" in [m.label for m in page.metric]


def test_a_set_beyond_the_error_is_not_called_the_top_one(runs_home: Path) -> None:
    run = synthetic(runs_home, shape=Shape(detect_only=True))
    table = run.heads()
    wide = table["rank"] == 1  # the best head, measured badly
    table.loc[wide, "stderr"] = 100.0
    table.to_parquet(run.heads_path, index=False)
    kept = len(select_heads(table, "lcb"))
    page = open_page("heads", "made", heads_view="Stability", rule="Lower bound")
    best = f"the {kept} heads of highest importance"
    assert f"The heads kept are not {best}" in texts(page) and f"among {best}" in texts(page)
    assert f"In the top {kept}" in [m.label for m in page.metric]


@pytest.mark.parametrize(
    "view", ["Table", "Sparsity", "Layers", "Stability", "Sources", "Sinks", "Compare"]
)
def test_every_view(runs_home: Path, view: str) -> None:
    synthetic(runs_home, "other", Shape(detect_only=True))
    synthetic(runs_home)
    app = open_page("heads", "made", heads_view=view)
    if view == "Stability":
        assert "An independent probe of" in texts(app)
    if view == "Compare":
        assert metric(app, "Spearman of all heads") == "+1.00"


def test_the_share_on_the_first_token_where_it_was_measured(runs_home: Path) -> None:
    run = synthetic(runs_home)
    app = open_page("heads", "made", heads_view="Sinks")
    assert "Not measured yet" in texts(app)
    heads = run.heads()[["layer", "head"]]
    shares = heads.assign(sink_share=0.25 + 0.5 * (heads["layer"] == 1))
    (run.path / "experiments").mkdir()
    shares.to_parquet(run.path / "experiments" / "sinks.parquet")
    app = open_page("heads", "made", layer="1", head="0")
    shown = table(app, "importance")
    assert (shown["sink_share"] == 25 + 50 * (shown["layer"] == 1)).all()
    assert together("It leaves 75 % of its attention on the first token.") in texts(app)
    assert "On average the kept heads leave" in texts(
        open_page("heads", "made", heads_view="Sinks")
    )
    (run.path / "experiments" / "sinks.parquet").write_bytes(b"damaged")
    assert "importance" in table(open_page("heads", "made"), "importance")
