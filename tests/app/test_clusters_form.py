"""Runs, Clusters: the form, the job it starts, and what is there afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import circuitseer_core as cs
from circuitseer_core.checksums import write_table
from circuitseer_core.runs import jobs
from circuitseer_core.runs.cluster_records import (
    CLUSTER,
    RECORD_FILE,
    ROWS_FILE,
    Cluster,
    ClusterRecord,
    codes_hash,
)
from circuitseer_core.runs.clusters import cluster_folder
from circuitseer_core.runs.folder import Run
from tests.support.opened import open_page, settled, synthetic, table, texts
from tests.support.synthetic import Shape


def give_clusters(run: Run) -> None:
    """Every third row in the second cluster, as ``cluster`` would write it."""
    ids = run.scores(columns=["id"])["id"].tolist()
    codes = [int(place % 3 == 0) for place in range(len(ids))]
    folder = cluster_folder(run, "default")
    folder.mkdir(parents=True)
    write_table(folder / ROWS_FILE, pa.table({"id": ids, "cluster": codes}))
    sizes = [codes.count(0), codes.count(1)]
    words = [["find", "coins"], []]
    ClusterRecord(
        clusters=[Cluster(rows=n, words=w) for n, w in zip(sizes, words, strict=True)],
        rows=len(ids), fitted_rows=len(ids), seed=0, max_length=64, dtype="fp32", width=8,
        model=run.model, sha256=codes_hash(np.array(codes)), command="cluster",
        created="2026-01-05T09:00:00+00:00",
    ).write(folder / RECORD_FILE)  # fmt: skip


@pytest.fixture
def run(runs_home: Path) -> Run:
    return synthetic(runs_home, shape=Shape(rows=60))


def test_settings_reach_the_job(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[list[str]]] = []
    monkeypatch.setattr(jobs, "start", lambda path, steps: started.append(steps))
    page = open_page("runs", "made", runs_view="Clusters")
    page.number_input(key="cluster_count").set_value(7).run()
    page.button(key="cluster").click()
    settled(page.run())
    assert started == [[["cluster", "--run", str(run.path), "--scores", "default",
                         "--clusters", "7"]]]  # fmt: skip


def test_clusters_that_a_draw_needs_are_made_anew_only_when_asked_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[list[str]]] = []
    monkeypatch.setattr(jobs, "start", lambda path, steps: started.append(steps))
    give_clusters(run)
    cs.select(run, count=6, stratify="equal", stratify_by=CLUSTER, save="even")
    page = open_page("runs", "made", runs_view="Clusters")
    assert "cluster" not in [button.key for button in page.button]
    assert "shared the budget of “even”" in texts(page)
    page.button(key="cluster_anew").click()
    settled(page.run())
    assert started[0][0][-1] == "--replace"


def test_clusters_are_listed_and_a_draw_can_share_its_budget_over_them(run: Run) -> None:
    export = open_page("export", "made", stratify="equal for every stratum")
    assert CLUSTER not in export.selectbox(key="stratify_by").options
    assert "Group prompts by kind" in [link.proto.label for link in export.get("page_link")]
    give_clusters(run)
    page = open_page("runs", "made", runs_view="Clusters")
    assert table(page, "words")["words"].tolist() == ["find, coins", "–"]
    assert table(page, "words")["rows"].tolist() == [40, 20]
    assert page.button(key="cluster").label == "Make them anew"
    assert "2 clusters of 60 prompts" in texts(page)
    export = open_page(
        "export", "made", stratify="equal for every stratum", stratify_by=CLUSTER,
        before_after="Strata",
    )  # fmt: skip
    assert export.selectbox(key="stratify_by").value == CLUSTER
    export.session_state["draw_command"] = True
    assert f"--stratify-by {CLUSTER}" in settled(export.run()).code[0].value


def test_a_damaged_record_is_one_line(run: Run) -> None:
    give_clusters(run)
    (cluster_folder(run, "default") / RECORD_FILE).write_text("{", encoding="utf-8")
    page = open_page("runs", "made", runs_view="Clusters")
    assert "clusters.json" in page.error[0].value.replace("\\", "")
    assert "cluster" not in [button.key for button in page.button]


def test_where_nothing_is_scored_there_are_no_prompts(runs_home: Path) -> None:
    synthetic(runs_home, shape=Shape(detect_only=True))
    page = open_page("runs", "made", runs_view="Clusters")
    assert "nothing has been scored here yet" in texts(page)
    assert "cluster" not in [button.key for button in page.button]
