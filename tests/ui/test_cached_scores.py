"""Scores that are kept for all sessions are told apart by the files behind them."""

from __future__ import annotations

import json
from pathlib import Path

from circuitseer_core.runs.clusters import cluster_folder
from circuitseer_core.runs.folder import Run
from tests.support.synthetic import Shape, make_run
from ui.cached_scores import open_store


def test_a_store_is_opened_anew_when_shards_or_clusters_change(tmp_path: Path) -> None:
    run = Run.open(make_run(tmp_path / "run", Shape(rows=40)))
    first = open_store(run)
    assert first is not None and open_store(run) is first
    record = cluster_folder(run, "default") / "clusters.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({}))
    clustered = open_store(run)
    assert clustered is not None and clustered.key != first.key
    record.write_text(json.dumps({"made": "anew"}))
    again = open_store(run)
    assert again is not None and again.key not in (first.key, clustered.key)
