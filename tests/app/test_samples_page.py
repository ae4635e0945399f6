"""The Samples page in every state a run can be in, and what its widgets do to the rows shown."""

from __future__ import annotations

import errno
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from circuitseer_core import limits
from circuitseer_core.browse.filters import Filter
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.runs import ownership
from circuitseer_core.runs import texts as run_texts
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection import review
from circuitseer_core.selection.agreement import agreement
from circuitseer_core.wording import count, percent
from tests.support.opened import (
    broken_shard,
    into_view,
    open_page,
    settled,
    synthetic,
    texts,
    without_texts,
)
from tests.support.synthetic import Shape
from ui.samples.detail import first_share
from ui.widgets.markdown import together


@pytest.fixture
def run(runs_home: Path) -> Run:
    return synthetic(runs_home, shape=Shape(rows=300, sources=3))


def test_without_any_run_it_says_what_to_do(
    runs_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ui.shell.DEMO_RUN", tmp_path / "no-demo")
    page = open_page("samples")
    assert "No run yet" in texts(page)


def test_a_run_without_scores(runs_home: Path) -> None:
    synthetic(runs_home, "half", Shape(detect_only=True))
    assert "No scores yet" in texts(open_page("samples", "half"))


def test_a_broken_run_is_one_line(run: Run) -> None:
    broken_shard(run)
    shown = texts(open_page("samples", "made"))
    assert "This run cannot be read" in shown and ".parquet cannot be read: " in shown
    (run.path / "run.json").write_text("{", encoding="utf-8")
    assert "This run cannot be read" in texts(open_page("samples", "made"))


def test_browse_opens_the_highest_score(run: Run) -> None:
    page = open_page("samples", "made")
    scores = run.scores(columns=["id", "variance"]).sort_values("variance", ascending=False)
    shown = texts(page)
    assert "300 samples" in shown and f"**{scores['variance'].iloc[0]:.4g}**" in shown
    assert "percentile 100.0 · rank 1 of 300" in shown


def test_the_url_names_sample_and_scorer(run: Run) -> None:
    frame = run.scores(columns=["id", "focus"]).sort_values("focus", ascending=False)
    page = open_page("samples", "made", sample=frame["id"].iloc[9], scorer="focus")
    assert "rank 10 of 300" in texts(page)
    assert page.selectbox(key="scorer").value == "focus"
    unknown = open_page("samples", "made", sample="nobody", scorer="nonsense")
    assert "no sample has the id 'nobody'" in texts(unknown)
    assert unknown.selectbox(key="scorer").value == "variance"


def test_filters_act_on_all_rows(run: Run) -> None:
    frame = run.scores(columns=["id", "source", "n_tokens", "variance"])
    page = open_page("samples", "made")
    page.multiselect(key="source").set_value(["source_01"])
    page.number_input(key="tokens_from").set_value(50)
    settled(page.run())
    kept = frame[(frame["source"] == "source_01") & (frame["n_tokens"] >= 50)]
    assert f"{len(kept)} of 300 match" in texts(page)
    page.text_input(key="q").set_value("no such words anywhere")
    assert "No sample matches" in texts(settled(page.run()))
    page.button(key="clear_none").click()
    assert "300 samples" in texts(settled(page.run()))


def test_columns_of_the_data_are_filters(run: Run) -> None:
    page = open_page("samples", "made")
    page.selectbox(key="facet").set_value("level").run()
    settled(page.multiselect(key="value").set_value(["3"]).run())
    original = pd.concat([pd.read_parquet(p, columns=["original"]) for p in run.score_parts()])
    count = int(original["original"].str.contains('"level": 3').sum())
    assert f"{count} of 300 match" in texts(page)


def test_going_to_a_rank_a_percentile_and_a_random_row(run: Run) -> None:
    page = open_page("samples", "made")
    settled(page.number_input(key="go_rank").set_value(40).run())
    assert "rank 40 of 300" in texts(page) and "4 / 25" in texts(page)
    settled(page.number_input(key="go_percentile").set_value(0.0).run())
    assert "rank 300 of 300" in texts(page) and "25 / 25" in texts(page)
    settled(page.button(key="go_random").click().run())
    assert page.query_params["sample"]
    order = run.scores(columns=["id", "variance"]).sort_values("variance", ascending=False)["id"]
    inside = [rank for rank, i in enumerate(order, 1) if i.startswith("source_01/")]
    page.multiselect(key="source").set_value(["source_01"]).run()
    settled(page.number_input(key="go_rank").set_value(inside[4]).run())
    assert f"rank {inside[4]} of 300" in texts(page)  # a rank is of all rows, filtered or not
    settled(page.number_input(key="go_rank").set_value(inside[7] + 1).run())
    assert f"rank {inside[8]} of 300" in texts(page)


def test_going_to_a_row_while_a_shard_is_damaged_is_one_line(run: Run) -> None:
    page = open_page("samples", "made")
    (part,) = run.score_parts()
    whole = part.read_bytes()
    for ask in (  # the store is asked before the page looks at the shards
        lambda: page.number_input(key="go_rank").set_value(3),
        lambda: page.number_input(key="go_percentile").set_value(7.0),
        lambda: page.button(key="go_random").click(),
    ):
        broken_shard(run)
        settled(ask().run())
        assert "the scores cannot be read" in page.error[0].value
        part.write_bytes(whole)
        assert not settled(page.run()).error


def test_places_from_the_lowest_leave_out_rows_without_a_score(run: Run) -> None:
    part = run.score_parts()[0]
    frame = pd.read_parquet(part)
    frame.loc[:59, "variance"] = None
    frame.to_parquet(part, index=False)
    page = open_page("samples", "made", order="Lowest first")
    settled(page.number_input(key="go_rank").set_value(240).run())
    assert "rank 240 of 240" in texts(page) and "1 / 25" in texts(page)
    settled(page.number_input(key="go_percentile").set_value(100.0).run())
    assert "rank 1 of 240" in texts(page) and "20 / 25" in texts(page)


def test_another_run_begins_at_its_own_first_page_and_pair(run: Run, runs_home: Path) -> None:
    synthetic(runs_home, "other", Shape(rows=300))
    page = open_page("samples", "made")
    settled(page.button(key="next").click().run())
    assert "2 / 25" in texts(page)
    into_view(page, "other")
    assert "1 / 25" in texts(settled(page))
    for name in ("other", "made"):
        into_view(page, name)
        page.segmented_control(key="view").set_value("Blind review").run()
        settled(page.button(key="review_start").click().run())
        settled(page.button(key="verdict_left").click().run())
    settled(page.button(key="review_go_back").click().run())
    assert "Pair 1 of" in progress(page)
    into_view(page, "other")
    page.segmented_control(key="view").set_value("Blind review").run()
    assert "Pair 2 of" in progress(settled(page)), "went back in the other run alone"


def test_what_the_disk_refuses_is_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "judgements.jsonl")

    monkeypatch.setattr(review, "append", full)
    page = open_page("samples", "made")
    settled(page.button(key="pin_open").click().run())
    assert "No space left" in page.error[0].value
    assert not settled(page.run()).error, "said once"


def test_pins_drops_and_tags_reach_the_run_folder(run: Run) -> None:
    page = open_page("samples", "made")
    top = run.scores(columns=["id", "variance"]).sort_values("variance")["id"].iloc[-1]
    settled(page.button(key="pin_open").click().run())
    assert review.load(run.path).pins == {top}
    settled(page.button(key="drop_open").click().run())
    assert (review.load(run.path).pins, review.load(run.path).drops) == (set(), {top})
    settled(page.button(key="drop_open").click().run())
    assert review.load(run.path).drops == set()
    review.append(run.path, {"kind": "tag", "id": top, "tag": "odd"})
    page = open_page("samples", "made", marked="tagged")
    assert "1 of 300 match" in texts(page) and top in page.multiselect(key=f"tag_open_{top}").key


def test_side_by_side_matches_source_and_length(run: Run) -> None:
    page = open_page("samples", "made", view="Side by side")
    first_pair = [m.value for m in page.markdown if "score ·" in m.value]
    assert first_pair[0].startswith("Higher score") and first_pair[1].startswith("Lower score")
    settled(page.number_input(key="pair").set_value(2).run())
    again = [m.value for m in page.markdown if "score ·" in m.value]
    assert again != first_pair


def test_side_by_side_says_why_a_sample_has_no_partner(run: Run) -> None:
    part = run.score_parts()[0]
    frame = pd.read_parquet(part)
    frame.loc[0, "variance"] = None
    frame.to_parquet(part, index=False)
    bare, other = str(frame["id"][0]), str(frame["id"][1])
    for sample, asked, why in (
        ("nobody/1", {}, "no sample has the id"),
        (bare, {}, "This sample has no variance"),
        (other, {"q": "nothing has this"}, "that match the filters"),
    ):
        page = open_page("samples", "made", view="Side by side", sample=sample, **asked)
        assert why in texts(page)


def test_blind_review_ends_in_a_number(run: Run) -> None:
    page = open_page("samples", "made", view="Blind review")
    assert "Does the score see" in texts(page) and "Agreement" not in texts(page)
    page.number_input(key="review_pairs").set_value(5)
    page.button_group(key="review_bands").set_value(["short", "middle"])
    settled(page.button(key="review_start").click().run())
    batch = review.load(run.path).open_batch()
    assert batch is not None and len(batch.pairs) == 5 and batch.scorer == "variance"
    assert {pair.band for pair in batch.pairs} <= {"short", "middle"}
    pressed = ["left", "left", "tie", "skip", "right"]
    for number, choice in enumerate(pressed):
        shown = texts(page)
        assert f"Pair {number + 1} of 5" in progress(page)
        assert "Agreement" not in shown and "**" not in shown  # no score, no feedback
        settled(page.button(key=f"verdict_{choice}").click().run())
    state = review.load(run.path)
    assert state.finished_verdicts()["choice"].tolist() == pressed and state.open_batch() is None
    agreed = agreement(state.finished_verdicts())
    low, high = agreed.interval
    wanted = f"In **{percent(agreed.rate)}** of {count(agreed.decided, 'decided pair')}"
    assert "Ties: 1; skipped: 1." in texts(page)
    words = f"95 % interval {percent(low)} to {percent(high)} (Wilson)"
    assert together(wanted) in texts(page) and together(words) in texts(page)
    settled(page.button(key="review_start").click().run())
    second = review.load(run.path).open_batch()
    assert second is not None
    seen = {i for pair in batch.pairs for i in (pair.left, pair.right)}
    assert not seen & {i for pair in second.pairs for i in (pair.left, pair.right)}


def test_a_batch_goes_back_is_taken_up_again_and_ended(run: Run) -> None:
    page = open_page("samples", "made", view="Blind review")
    settled(page.button(key="review_start").click().run())
    first = [t.value for t in page.text]
    settled(page.button(key="verdict_left").click().run())
    assert [t.value for t in page.text] != first
    settled(page.button(key="review_go_back").click().run())
    assert [t.value for t in page.text] == first and "Pair 1 of 20; 1 judged" in progress(page)
    settled(page.button(key="verdict_right").click().run())
    again = open_page("samples", "made", view="Blind review", scorer="focus")  # another session
    assert "Pair 2 of 20" in progress(again)
    settled(again.button(key="review_end").click().run())
    state = review.load(run.path)
    assert state.finished_verdicts()["choice"].tolist() == ["right"] and state.open_batch() is None
    assert "Ended after 1 of 20 pairs." in texts(again)


def test_forty_verdicts_are_offered_for_a_fit_and_fewer_are_not(run: Run) -> None:
    ids = run.scores(columns=["id"])["id"].tolist()
    pairs = list(zip(ids[:80:2], ids[1:80:2], strict=True))
    for left, right in pairs[:39]:
        entry = {"kind": "verdict", "left": left, "right": right, "choice": "left"}
        review.append(run.path, entry)
    assert "can be fitted" not in texts(open_page("samples", "made", view="Blind review"))
    review.append(run.path, entry | {"left": pairs[39][0], "right": pairs[39][1]})
    page = open_page("samples", "made", view="Blind review")
    assert "40 pairs are decided: the heads can be fitted" in texts(page)
    assert "Fit to the verdicts" in [link.proto.label for link in page.get("page_link")]


def progress(page: AppTest) -> str:
    return " ".join(str(p.proto.text) for p in page.get("progress"))


def test_ids_stand_in_where_texts_are_absent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without_texts(run)
    monkeypatch.setattr(run_texts, "demo_texts", dict)
    page = open_page("samples", "made")
    top = run.scores(columns=["id", "variance"]).sort_values("variance")["id"].iloc[-1]
    assert top in [t.value for t in page.text]
    assert "ids stand in for texts" in texts(page) and "pip install" in texts(page)
    blind = open_page("samples", "made", view="Blind review")
    assert "ids stand in for texts" in texts(blind) and "Does the score see" not in texts(blind)


def test_the_bundled_demo_is_not_written_to(
    run: Run, runs_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.judgements.DEMO_RUN", run.path)
    page = open_page("samples", "made", view="Blind review")
    assert "read-only" in texts(page)
    settled(page.button(key="copy_demo").click().run())
    assert (runs_home / "demo-copy" / "run.json").is_file()
    assert "Does the score see" in texts(page) and page.query_params["run"] == "demo-copy"


def test_a_run_from_elsewhere_is_not_written_to_until_it_is_adopted(run: Run) -> None:
    (run.path / ownership.MARK).unlink()
    before = sorted(run.path.rglob("*"))
    blind = open_page("samples", "made", view="Blind review")
    assert "not made on this machine" in texts(blind)
    assert "review_start" not in [b.key for b in blind.button]
    assert not open_page("export", "made").get("file_uploader")
    page = open_page("samples", "made")
    assert not [b.key for b in page.button if b.key.startswith(("pin_", "drop_"))]
    assert sorted(run.path.rglob("*")) == before
    settled(page.button(key="adopt_run").click().run())
    settled(page.button(key="pin_open").click().run())
    assert len(review.load(run.path).pins) == 1


def test_a_run_from_elsewhere_with_a_link_in_it_is_not_adopted(run: Run, tmp_path: Path) -> None:
    (run.path / ownership.MARK).unlink()
    (run.path / "review.jsonl").symlink_to(tmp_path / "elsewhere")
    page = open_page("samples", "made")
    settled(page.button(key="adopt_run").click().run())
    assert "is a link out of the run" in page.error[0].value
    assert not [b.key for b in page.button if b.key.startswith("pin_")]
    assert not (tmp_path / "elsewhere").exists()


def test_maths_is_rendered_only_when_asked(run: Run) -> None:
    page = open_page("samples", "made")
    plain = len(page.markdown)
    settled(page.toggle(key="maths").set_value(True).run())
    assert len(page.markdown) == plain + 1


def test_torch_stays_out(run: Run) -> None:
    import sys

    before = {name for name in sys.modules if name.split(".")[0] == "torch"}
    for view in ("Browse", "Side by side", "Blind review"):
        open_page("samples", "made", view=view)
    assert {name for name in sys.modules if name.split(".")[0] == "torch"} == before


def test_colours_and_the_split_say_what_the_score_is_made_of(runs_home: Path) -> None:
    run = synthetic(runs_home, shape=Shape(rows=60))
    page = open_page("samples", "made")
    assert page.segmented_control(key="token_colour").value == "Score"
    assert "of the score (the largest)" in texts(page)
    html = "".join(str(e.proto.body) for e in page.get("html"))
    store = ScoreStore(run)
    best = store.sample(str(store.at_rank(Filter(), "variance", 1)))
    share = first_share(best, "variance")
    assert share is not None and limits.mostly_sink(share)
    split = (f"first token {percent(share)}", percent(1 - share))
    assert all(together(part) in html for part in split)
    focus = open_page("samples", "made", scorer="focus")
    assert "first token" not in "".join(str(e.proto.body) for e in focus.get("html"))
    shown = texts(settled(focus.selectbox(key="scorer").set_value("length").run()))
    assert "This score has no parts by token: coloured by attention." in shown
    assert "left out of the colours: the first token" in shown


def test_high_and_low_stand_side_by_side_and_open(run: Run) -> None:
    page = open_page("samples", "made", view="High and low", scorer="focus", contrast_pairs="4")
    assert "4 pairs, row by row of one source" in texts(page)
    far = open_page("samples", "made", view="High and low", contrast_gap="99", q="nothing such")
    assert "ask for a smaller gap" in texts(far)
    settled(far.button(key="clear_contrast").click().run())
