"""The Export page: the dial, the budget, what is kept, and what is handed out."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from circuitseer_core.export.write import export, export_bytes
from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection import review
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.opened import broken_shard, open_page, settled, synthetic, table, texts
from tests.support.synthetic import Shape


@pytest.fixture
def run(runs_home: Path) -> Run:
    return synthetic(runs_home, shape=Shape(rows=400, sources=4))


def metric(page: AppTest, label: str) -> str:
    return next(str(m.value) for m in page.metric if m.label == label)


def test_the_dial_changes_the_draw(run: Run) -> None:
    page = open_page("export", "made")
    soft = metric(page, "In top-k")
    settled(page.button(key="dial_top-k").click().run())
    assert (metric(page, "In top-k"), metric(page, "Seed overlap")) == ("100 %", "100 %")
    settled(page.button(key="dial_uniform").click().run())
    assert metric(page, "Effective size") == "100 %" and metric(page, "In top-k") != soft
    page.toggle(key="by_ess").set_value(True).run()
    settled(page.slider(key="target_ess").set_value(30).run())
    assert metric(page, "Effective size") == "30 %"


def test_budgets_seeds_strata_and_length_control(run: Run) -> None:
    page = open_page("export", "made")
    assert metric(page, "Rows") == "40"
    page.segmented_control(key="budget").set_value("Rows").run()
    settled(page.number_input(key="budget_count").set_value(77).run())
    assert metric(page, "Rows") == "77"
    page.segmented_control(key="budget").set_value("Tokens").run()
    settled(page.number_input(key="budget_tokens").set_value(2000).run())
    assert int(metric(page, "Tokens").replace(",", "")) <= 2000
    page.toggle(key="length_control").set_value(True)
    page.selectbox(key="stratify").set_value("equal")
    page.number_input(key="seed").set_value(5)
    settled(page.run())


def test_the_first_rows_and_the_command_are_those_of_the_draw(run: Run) -> None:
    page = open_page("export", "made")
    page.number_input(key="seed").set_value(3)
    page.session_state["draw_command"] = True  # the folded block, opened
    settled(page.run())
    select_run(run, SelectionSettings.of(seed=3))
    rows = table(page, "rank")
    assert rows["id"].tolist() == run.selection_ids("default")["id"].tolist()[:8]
    assert "--seed 3" in page.code[0].value


def test_keeping_runs_a_job_and_shows_it(run: Run) -> None:
    page = open_page("export", "made")
    page.text_input(key="selection_name").set_value("mine").run()
    page.button(key="keep").click()
    settled(page.run())
    until = time.monotonic() + 60
    while jobs.status(run.path).live and time.monotonic() < until:
        time.sleep(0.2)
    assert jobs.status(run.path).state == "done", jobs.log_tail(run.path)
    settled(page.run())
    assert "Kept as shown: mine" in texts(page)
    assert table(page, "shared").set_index("name").loc["mine", "shared"] == 1.0
    assert export_bytes(run, "mine") == export(run, "mine", run.path / "o.jsonl").path.read_bytes()


def test_kept_selections_compare_and_reopen(run: Run) -> None:
    select_run(run, SelectionSettings.of(name="top", temperature=0, count=50, scorer="focus"))
    select_run(run, SelectionSettings.of(name="soft"))
    page = open_page("export", "made")
    kept = table(page, "shared").set_index("name")
    assert kept.loc["soft", "shared"] == 1.0 > kept.loc["top", "shared"]
    page.selectbox(key="reopen").set_value("top").run()
    settled(page.button(key="use_settings").click().run())
    assert (metric(page, "Rows"), metric(page, "In top-k")) == ("50", "100 %")
    kept = table(page, "shared").set_index("name")
    assert kept.loc["top", "shared"] == 1.0


def test_drops_and_pins_count(run: Run) -> None:
    page = open_page("export", "made")
    first = table(page, "rank")["id"].tolist()
    for sample in first[:3]:
        review.append(run.path, {"kind": "drop", "id": sample})
    settled(page.run())
    assert not set(first[:3]) & set(table(page, "rank")["id"])
    page.toggle(key="by_eye").set_value(False)
    settled(page.run())
    assert table(page, "rank")["id"].tolist() == first


def test_what_cannot_be_drawn_is_one_line(run: Run) -> None:
    page = open_page("export", "made")
    page.segmented_control(key="budget").set_value("Tokens").run()
    settled(page.number_input(key="budget_tokens").set_value(1).run())
    assert "smaller than the first sample drawn" in texts(page)
    broken_shard(run)
    assert "This run cannot be read" in texts(open_page("export", "made"))


def test_writing_into_a_folder(run: Run, tmp_path: Path) -> None:
    select_run(run, SelectionSettings.of(name="soft"))
    page = open_page("export", "made")
    out = tmp_path / "out" / "soft.jsonl"
    page.text_input(key="out_soft_jsonl").set_value(str(out)).run()
    settled(page.button(key="write").click().run())
    assert out.read_bytes() == export_bytes(run, "soft")
    assert "40 rows in" in texts(page) and (out.parent / "soft.jsonl.manifest.json").is_file()
    page.text_input(key="out_soft_jsonl").set_value("/proc/no/such.jsonl").run()
    settled(page.button(key="write").click().run())
    assert "cannot write" in texts(page)


def test_torch_stays_out(run: Run) -> None:
    held = {name for name in sys.modules if name.split(".")[0] == "torch"}
    open_page("export", "made")
    assert {name for name in sys.modules if name.split(".")[0] == "torch"} == held


def test_sources_length_and_score_before_and_after_take_turns(run: Run) -> None:
    page = open_page("export", "made")
    axes = {"Sources": "share of rows", "Length": "tokens", "Score": "variance"}
    for name, title in axes.items():
        settled(page.segmented_control(key="before_after").set_value(name).run())
        figures = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
        assert len(figures) == 2  # who is drawn, and one of the three
        assert figures[1]["layout"]["xaxis"]["title"]["text"] == title


def test_what_a_kept_selection_shares_stands_beside_what_noise_alone_shares(run: Run) -> None:
    select_run(run, SelectionSettings.of(name="same"))
    select_run(run, SelectionSettings.of(name="apart", seed=7))
    select_run(run, SelectionSettings.of(name="length", scorer="length", temperature=0.0))
    table = open_page("export", "made").dataframe[-1].value.set_index("name")
    assert table.loc["same", "shared"] == 1.0 == table.loc["same", "beyond"]
    assert 1 > table.loc["same", "shuffled"] > table.loc["apart", "shuffled"]
    assert table.loc["apart", "shuffled"] == pytest.approx(0.2, abs=0.1)  # 40 of 200 rows
    assert (table["beyond"] <= table["shared"]).all() and table["equal"].notna().all()
