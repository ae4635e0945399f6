"""The Export page: the dial, the budget, what is kept, and what is handed out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.data import specs
from circuitseer_core.errors import UserError
from circuitseer_core.export.formats import LABELS
from circuitseer_core.export.verify import verify
from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection import review
from circuitseer_core.selection.removals import removal_lines, stored_removals
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.exported import exported_bytes
from tests.support.opened import broken_shard, job_done, open_page, settled, synthetic, table, texts
from tests.support.synthetic import Shape
from ui.export import all_rows, lists, take_away


@pytest.fixture
def run(runs_home: Path) -> Run:
    return synthetic(runs_home, shape=Shape(rows=400, sources=4))


def metric(page: AppTest, label: str) -> str:
    return next(str(m.value) for m in page.metric if m.label == label)


def downloads(page: AppTest) -> list[str]:
    return [button.proto.label for button in page.get("download_button")]


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
    rows = table(page, "order")
    assert rows["id"].tolist() == run.selection_ids("default")["id"].tolist()[:8]
    assert "--seed 3" in page.code[0].value


def test_keeping_runs_a_job_and_shows_it(run: Run) -> None:
    link = {"format": LABELS["csv"], "keep_formulas": "true", "before_after": "Score"}
    page = open_page("export", "made", **link)
    assert page.toggle(key="keep_formulas").value is True
    assert page.session_state["before_after"] == "Score"
    page.text_input(key="selection_name").set_value("mine").run()
    page.button(key="keep").click()
    settled(page.run())
    job_done(run)
    assert not any("--replace" in step for step in jobs.status(run.path).steps)
    settled(page.run())
    assert "Kept as shown: mine" in texts(page)
    assert table(page, "shared").set_index("name").loc["mine", "shared"] == "100 %"
    assert "Download" in downloads(page)
    settled(page.number_input(key="seed").set_value(1).run())
    assert downloads(page) == ["Download all"], "another draw is in view: it is not handed out"
    assert "This one would replace it, for good" in texts(page) and "“mine-2” is free" in texts(
        page
    )
    assert page.button(key="keep").label == "Replace and download"
    before = run.selection_ids("mine")["id"].tolist()
    page.button(key="keep").click()
    settled(page.run())
    job_done(run)
    assert run.selection_ids("mine")["id"].tolist() != before
    page.text_input(key="selection_name").set_value("mine-2").run()
    assert settled(page).button(key="keep").label == "Draw, keep and download"


def test_kept_selections_compare_and_reopen(run: Run) -> None:
    select_run(run, SelectionSettings.of(name="top", temperature=0, count=50, scorer="focus"))
    select_run(run, SelectionSettings.of(name="soft"))
    page = open_page("export", "made")
    kept = table(page, "shared").set_index("name")
    assert kept.loc["soft", "shared"] == "100 %" != kept.loc["top", "shared"]
    page.selectbox(key="reopen").set_value("top").run()
    settled(page.button(key="use_settings").click().run())
    assert (metric(page, "Rows"), metric(page, "In top-k")) == ("50", "100 %")
    kept = table(page, "shared").set_index("name")
    assert kept.loc["top", "shared"] == "100 %"
    assert "Kept as shown: top" in texts(page)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.37, "fraction": 0.123},
        {"target_ess": 0.333, "length_control": "within-bins"},
        {"lowest": True, "count": 30, "stratify": "equal"},
        {"match_lengths": "first", "temperature": float("inf")},
        {"exclude": ("source_00/7", "{probe}"), "seed": 4, "max_per_source": 9},
    ],
    ids=["off the dial", "effective size", "lowest", "lengths", "lists"],
)
def test_any_kept_draw_comes_back_as_it_was(run: Run, options: dict[str, Any]) -> None:
    select_run(run, SelectionSettings.of(name="first"))
    named = tuple(e.format(probe=run.probe_path) for e in options.get("exclude", ()))
    select_run(run, SelectionSettings.of(name="odd", **options | {"exclude": named}))
    page = open_page("export", "made")
    page.selectbox(key="reopen").set_value("odd").run()
    settled(page.button(key="use_settings").click().run())
    assert "Kept as shown: odd" in texts(page)
    assert metric(page, "In lowest k" if options.get("lowest") else "In top-k")
    assert ("The lowest scores are drawn first." in texts(page)) == bool(options.get("lowest"))
    review.append(run.path, {"kind": "drop", "id": run.selection_ids("odd")["id"].iloc[0]})
    assert "Kept as shown" not in texts(settled(page.run())), "what is kept is no longer the draw"


def test_the_score_has_the_rank_that_samples_gives_it(run: Run) -> None:
    page = open_page("export", "made", temperature="τ = 0, top-k", scorer="length")
    rows = table(page, "order")
    store = ScoreStore(run)
    assert rows["rank"].tolist() == [store.rank(i, "length")[0] for i in rows["id"]]
    assert rows["rank"].iloc[0] == 1


def test_settings_come_from_the_link(run: Run) -> None:
    page = open_page(
        "export", "made", temperature="τ = 0.37", budget="Rows", budget_count="33",
        length_control="true", stratify="equal for every stratum", seed="5", without_probe="true",
        exclude="source_00/7", selection_name="linked",
    )  # fmt: skip
    page.session_state["draw_command"] = True
    command = settled(page.run()).code[0].value
    for words in ("--temperature 0.37", "--count 33", "--length-control within-bins",
                  "--stratify equal", "--seed 5", "--exclude source_00/7",
                  f"--exclude {run.probe_path}", "--name linked"):  # fmt: skip
        assert words in command


def test_an_uploaded_list_never_replaces_another(run: Run) -> None:
    one = lists.keep_upload(run, "../bench.txt", b"source_00/7")
    assert one.name == "bench.txt" and one.parent.parent == run.path / "lists"
    assert lists.keep_upload(run, "bench.txt", b"source_00/7") == one
    other = lists.keep_upload(run, "bench.txt", b"source_00/8")
    assert other != one and one.read_bytes() == b"source_00/7"
    page = open_page("export", "made", budget_percent="100", exclude=f"{one}\n{other}")
    assert (
        metric(page, "Rows")
        == f"{400 - run.scores()['id'].isin(['source_00/7', 'source_00/8']).sum()}"
    )


def test_a_push_lists_what_leaves_and_sends_just_that(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    select_run(run, SelectionSettings.of(name="soft"))
    sent: list[tuple[str, list[str], bytes]] = []

    def fake(repo: str, files: dict[str, Path]) -> str:
        sent.append((repo, list(files), files["soft.jsonl"].read_bytes()))
        return f"https://hub.example/{repo}"

    monkeypatch.setattr(take_away, "push_files", fake)
    page = open_page("export", "made", selection_name="soft")
    page.session_state["push_menu"] = True
    settled(page.run())
    listed = texts(page)
    assert "3 files to huggingface.co" in listed and "full texts of 40 samples" in listed
    assert page.button(key="push").disabled
    settled(page.text_input(key="push_repo").set_value("me/subset").run())
    settled(page.button(key="push").click().run())
    ((repo, names, data),) = sent
    assert repo == "me/subset" and data == exported_bytes(run, "soft")
    assert all(f"`{name}`" in listed for name in names) and len(names) == 3
    assert "Pushed to https://hub.example/me/subset" in texts(page)


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
    page = open_page("export", "made", selection_name="soft")
    page.session_state["write_menu"] = True
    settled(page.run())
    out = tmp_path / "out" / "soft.jsonl"
    page.text_input(key="out_soft_jsonl").set_value(str(out)).run()
    settled(page.button(key="write").click().run())
    assert out.read_bytes() == exported_bytes(run, "soft")
    assert "40 rows in" in texts(page) and (out.parent / "soft.jsonl.manifest.json").is_file()
    page.text_input(key="out_soft_jsonl").set_value("/proc/no/such.jsonl").run()
    settled(page.button(key="write").click().run())
    assert "cannot write" in texts(page)


def test_torch_stays_out(run: Run) -> None:
    before = {name for name in sys.modules if name.split(".")[0] == "torch"}
    open_page("export", "made")
    assert {name for name in sys.modules if name.split(".")[0] == "torch"} == before


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

    def share(name: str, column: str) -> float:
        text = table.loc[name, column].split(" / ")[0]
        return float(text.removesuffix(" %").replace("−", "-")) / 100

    assert share("same", "shared") == 1.0 == share("same", "beyond")
    assert 1 > share("same", "chance") > share("apart", "chance")
    assert share("apart", "chance") == pytest.approx(0.2, abs=0.1)  # 40 of 200 rows
    assert all(share(name, "beyond") <= share(name, "shared") for name in table.index)


def test_what_is_removed_before_the_draw_is_told(run: Run, tmp_path: Path) -> None:
    prompts = run.scores("default", ["id", "prompt"])
    bench = tmp_path / "bench.txt"
    bench.write_text("\n".join(prompts["prompt"][:5]), encoding="utf-8")
    page = open_page("export", "made")
    page.number_input(key="near_duplicates").set_value(0.9)
    page.text_area(key="decontaminate").set_value(str(bench))
    page.session_state["draw_command"] = True
    settled(page.run())
    select_run(run, SelectionSettings.of(near_duplicates=0.9, decontaminate=(str(bench),)))
    record = run.selection("default")
    assert record.counts.contaminated >= 5
    shown = table(page, "evidence")
    assert shown["id"].tolist() == stored_removals(run, record)["id"].tolist()
    for line in removal_lines(record.removals):
        assert line in texts(page)
    assert "--near-duplicates 0.9 --decontaminate" in page.code[0].value
    page.number_input(key="run_words").set_value(20)
    settled(page.run())
    assert "share 20 words in a row" in texts(page)


@pytest.mark.parametrize("field", ["exclude", "decontaminate"])
def test_a_link_fetches_nothing_until_it_is_asked_to(
    run: Run, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "https://host.example/x.json?y=1"
    fetched: list[str] = []

    def note(place: str, wanted: object) -> None:
        fetched.append(place)
        raise UserError("nothing is there")

    monkeypatch.setattr(specs, "fetched", note)
    page = open_page("export", "made", **{field: address})
    assert not fetched and address in [code.value for code in page.code]
    assert not page.get("plotly_chart")
    settled(page.button(key="fetch_lists").click().run())
    assert set(fetched) == {address} and "nothing is there" in texts(page)
    assert "fetch_lists" not in [button.key for button in page.button]


def test_another_column_shares_the_budget(run: Run) -> None:
    page = open_page("export", "made")
    settled(page.selectbox(key="stratify").set_value("equal").run())
    offered = page.selectbox(key="stratify_by").options
    assert offered[0] == "source" and len(offered) > 1
    settled(page.selectbox(key="stratify_by").set_value(offered[1]).run())
    settled(page.segmented_control(key="before_after").set_value("Strata").run())


def test_all_rows_go_into_a_file_that_verifies(run: Run, tmp_path: Path) -> None:
    page = open_page("export", "made")
    assert f"{len(run.scores())} rows of “default”" in texts(page)
    page.selectbox(key="all_format").set_value("csv").run()
    page.session_state["write_all_menu"] = True
    page.session_state["all_command"] = True
    settled(page.run())
    assert "--all --scores default" in page.code[-1].value
    out = tmp_path / "pool.csv"
    page.text_input(key="out_default.all_csv").set_value(str(out)).run()
    settled(page.button(key="write_all").click().run())
    assert f"400 rows in {out}" in texts(page)
    assert len(pd.read_csv(out)) == 400
    assert verify(out, run.path).ok


def test_a_pool_too_large_for_a_download_goes_into_a_file(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_rows, "MOST_ROWS", 399)
    page = open_page("export", "made")
    assert "Download all" not in downloads(page)
    assert "More than 399 rows are too many for a download" in texts(page)


def test_an_unfinished_scoring_is_not_handed_out(run: Run) -> None:
    settings = run.scores_dir() / "settings.json"
    record = json.loads(settings.read_text(encoding="utf-8")) | {"state": "partial"}
    settings.write_text(json.dumps(record), encoding="utf-8")
    page = open_page("export", "made")
    assert "is not finished" in texts(page) and "Download all" not in downloads(page)
