"""All signatures on any run."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures.catalogue import CHECKS, warnings
from circuitseer_core.signatures.evidence import Evidence
from tests.support import synthetic
from tests.support.crafted_run import add_detection, add_scores
from tests.support.signature_tests import signature_of, strong


class TestAnyRun:
    def test_an_empty_run_has_none(self, run: Run) -> None:
        assert warnings(run) == []

    def test_detection_alone(self, run: Run) -> None:
        add_detection(run, strong())
        assert {s.key for s in warnings(run)} == {"head-effect", "head-stability", "probe-size"}

    def test_scores_alone(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2.0, 3.0], "n_tokens": [3, 1, 2]})
        assert {s.key for s in warnings(run)} == {"length", "uniform-draw"}

    def test_every_check_on_a_whole_run(self, tmp_path: Path) -> None:
        path = synthetic.make_run(tmp_path / "whole", synthetic.Shape(contrast=True, racing=True))
        pool = pd.read_parquet(path / "pool.parquet")
        pd.concat([pool, pool.assign(id=pool["id"] + "b")]).to_parquet(path / "pool.parquet")
        signatures = warnings(Run.open(path))
        assert {s.key for s in signatures} == set(CHECKS)
        order = [s.severity for s in signatures]
        assert order == sorted(order, key=("warn", "info", "good").index)

    def test_broken_files_cost_their_own_checks_only(self, tmp_path: Path) -> None:
        run = Run.open(synthetic.make_run(tmp_path / "run"))
        before = {s.key for s in warnings(run)}
        for path in (run.heads_path, run.probe_path):
            path.write_bytes(b"not parquet")
        assert {s.key for s in warnings(run)} == before - {
            "head-effect", "head-stability", "probe-size", "probe-pool", "probe-data",
            "probe-overlap",
        }  # fmt: skip
        next(run.scores_dir().glob("part-*.parquet")).write_bytes(b"PAR1")
        (run.scores_dir() / "settings.json").write_text("{", encoding="utf-8")
        assert {s.key for s in warnings(run)} <= {
            "uniform-draw", "source-skew", "worse-than-random",
        }  # fmt: skip
        for selection in run.selections():
            (run.selection_dir(selection) / "selection.json").write_text("[]", encoding="utf-8")
        assert warnings(run) == []

    def test_another_scoring_and_scorer(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2, 3], "n_tokens": [1, 2, 3]})
        add_scores(run, {"focus": [1.0, 2, 3], "n_tokens": [3, 2, 1]}, name="answers")
        signature = signature_of(run, "length", scoring="answers", scorer="focus")
        assert signature is not None and signature.number == pytest.approx(-1.0)
        assert signature_of(run, "length", scorer="no-such-scorer") is None

    def test_sentences_stand_alone(self, tmp_path: Path) -> None:
        for signature in warnings(Run.open(synthetic.make_run(tmp_path / "run"))):
            assert signature.text[0].isupper() or signature.text.startswith("source_")
            assert signature.text.endswith(".") and "  " not in signature.text
            if "same mix" not in signature.text:
                assert re.search(r"\d", signature.text), "the number stands in the sentence"
            assert signature.page in {"heads", "samples", "sources", "export", "evidence"}

    def test_many_heads_are_judged_without_the_large_table(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shape = synthetic.Shape(
            rows=20_000, layers=80, heads=64, probe=50, profiles=0, median_tokens=8
        )
        run = Run.open(synthetic.make_run(tmp_path / "large", shape))
        monkeypatch.delattr(Run, "importance")  # as a frame it would take too long
        monkeypatch.setattr("circuitseer_core.correlation.RANKED_ROWS", 5_000)
        signatures = {s.key: s for s in warnings(run)}
        assert "of the 256 chosen heads" in signatures["head-stability"].text
        assert "of 20,000 rows" in signatures["length"].text

    def test_reads_only_what_a_check_needs(self, tmp_path: Path) -> None:
        facts = Evidence(Run.open(synthetic.make_run(tmp_path / "run")))
        CHECKS["head-effect"](facts)
        assert "scored" not in facts.__dict__
