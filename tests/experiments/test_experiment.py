"""The registry of experiments: options, kept results, runs without the stage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS, parse_options, saved_results, saved_table
from circuitseer_core.experiments.experiment import ExperimentResult, default_words
from circuitseer_core.runs.experiment_records import ExperimentRecord
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.integrity import check_run
from circuitseer_core.runs.stage import occupied
from tests.support import synthetic
from tests.support.crafted_run import add_scores


class TestRegistry:
    def test_names_are_those_of_the_results(self, tmp_path: Path) -> None:
        run = Run.open(synthetic.make_run(tmp_path / "run"))
        for name, known in EXPERIMENTS.items():
            if name == "masked-loss":
                with pytest.raises(UserError, match="with --head-influence"):
                    known.run(run)
            elif not (known.needs_model or known.needs_other):
                assert known.run(run).name == name == known.name

    def test_options_are_described_and_checked(self, run: Run) -> None:
        for experiment in EXPERIMENTS.values():
            assert all(len(text) > 10 for text in experiment.options().values())
        before = sorted(os.listdir(run.path))
        with pytest.raises(UserError, match=r"no option 'colour' here; there are: name, scores"):
            EXPERIMENTS["length"].run(run, colour="red")
        with pytest.raises(UserError, match="option fraction: 2 is more than the whole"):
            EXPERIMENTS["random-heads"].run(run, fraction="2")
        assert sorted(os.listdir(run.path)) == before and "experiments" not in before

    def test_defaults_stand_as_they_would_be_typed(self) -> None:
        for experiment in EXPERIMENTS.values():
            options = experiment.options_class()
            for name, field in options.model_fields.items():
                words = default_words(field)
                if not field.is_required() and words != "none":
                    needed = {n: "x" for n, f in options.model_fields.items() if f.is_required()}
                    made = options.of(**needed | {name: words})
                    assert getattr(made, name) == field.default, (experiment.name, name)
        shares = EXPERIMENTS["heads"].options()["shares"]
        assert shares.endswith("(default: 0.01,0.02,0.05,0.1)")
        assert EXPERIMENTS["domains"].options()["data"].endswith("(default: none)")

    def test_amounts_and_formats_as_people_type_them(self) -> None:
        drawn = EXPERIMENTS["transfer"].options_class().of(fraction="10%", bootstraps="1k")
        assert (drawn.fraction, drawn.bootstraps) == (0.1, 1000)
        asked = {"field": "50%", "limit": "2k", "max_tokens": "1k", "dtype": "float32"}
        maps = EXPERIMENTS["ablation-method"].options_class().of(**asked)
        assert (maps.field, maps.limit, maps.max_tokens) == (0.5, 2000, 1000)
        assert maps.dtype == "fp32"

    def test_options_as_text(self) -> None:
        assert parse_options(["fraction=0.2", "length-control = none", "count=a=b"]) == {
            "fraction": "0.2", "length_control": "none", "count": "a=b",
        }  # fmt: skip
        with pytest.raises(UserError, match="'fraction' is not NAME=VALUE"):
            parse_options(["fraction"])
        with pytest.raises(UserError, match="option set-size is there twice"):
            parse_options(["set_size=1", "set-size=2"])

    def test_results_are_kept(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2, 3], "n_tokens": [1, 2, 3]})
        result = EXPERIMENTS["length"].run(run)
        (entry,) = saved_results(run)
        assert entry.verdict == result.verdict
        assert entry.numbers["scorers"]["variance"]["length"] == pytest.approx(1.0)
        kept = pd.read_parquet(run.path / "experiments" / "length.parquet")
        pd.testing.assert_frame_equal(kept, result.table, check_dtype=False)
        (run.path / "experiments" / "broken.json").write_text("{", encoding="utf-8")
        assert len(saved_results(run)) == 1

    def test_results_of_other_options_lie_side_by_side(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2, 3], "n_tokens": [1, 2, 3]})
        add_scores(run, {"variance": [3.0, 2, 1], "n_tokens": [1, 2, 3]}, name="pool")
        for options in ({}, {"scores": "pool"}, {"name": "length-mine"}, {"scores": "default"}):
            EXPERIMENTS["length"].run(run, **options)
        kept = saved_results(run)
        assert [entry.name for entry in kept] == ["length", "length-mine", "length-pool"]
        assert {entry.of for entry in kept} == {"length"}
        assert kept[2].numbers["scorers"]["variance"]["length"] == pytest.approx(-1.0)
        with pytest.raises(UserError, match="'training' does not begin with length-"):
            EXPERIMENTS["length"].run(run, name="training")

    def test_names_say_what_a_result_is_of(self, run: Run, tmp_path: Path) -> None:
        transfer, beside = EXPERIMENTS["transfer"], run.path.parent / "B"
        assert transfer.result_name(run, scorer="variance") == "transfer"
        assert transfer.result_name(run, other=str(beside), scorer="focus") == "transfer-focus-B"
        far = [transfer.result_name(run, other=str(tmp_path / x / "B")) for x in ("x", "y")]
        assert far[0] != far[1] and all(name.startswith("transfer-B.") for name in far)
        steps = EXPERIMENTS["complexity"].result_name(run, reference="worked steps")
        assert steps == "complexity-worked_steps"
        of_data = EXPERIMENTS["heads"].result_name(run, other="text=x.jsonl")
        assert of_data == "heads", "no run is compared"
        many = EXPERIMENTS["probes"].result_name(run, others=["r" * 50 + str(i) for i in range(9)])
        assert len(many) <= 120

    def test_a_run_that_another_process_has_is_left_alone(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2, 3], "n_tokens": [1, 2, 3]})
        with occupied(run), pytest.raises(UserError, match=rf"\(pid {os.getpid()}\) is at work"):
            EXPERIMENTS["length"].run(run)
        assert not saved_results(run)

    def test_a_kill_between_table_and_record_mixes_no_results(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def result(verdict: str, value: float) -> ExperimentResult:
            return ExperimentResult("length", "?", verdict, {}, pd.DataFrame({"x": [value]}))

        result("old", 1.0).save(run, {})
        (old,) = saved_results(run)
        assert saved_table(run, old)["x"].tolist() == [1.0] and check_run(run.path).ok
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(ExperimentRecord, "write", Mock(side_effect=KeyboardInterrupt))
            result("new", 2.0).save(run, {})
        assert saved_results(run) == [old] and saved_table(run, old).empty
        (damage,) = check_run(run.path).damaged
        assert damage.file == "experiments/length.parquet" and "validate" in damage.remedy
        result("new", 2.0).save(run, {})
        (new,) = saved_results(run)
        assert saved_table(run, new)["x"].tolist() == [2.0] and saved_table(run, old).empty

    def test_time_grows_with_the_rows_and_follows_the_last_run(self, run: Run) -> None:
        length = EXPERIMENTS["length"]
        assert length.estimated_seconds(run) == 10
        add_scores(run, {"variance": [1.0, 2, 3], "n_tokens": [1, 2, 3]})
        assert length.estimated_seconds(run) == pytest.approx(10 + 3e-4)
        assert length.estimated_seconds(run, scores="other") == 10
        length.run(run)
        assert length.estimated_seconds(run) == saved_results(run)[0].seconds
        assert EXPERIMENTS["training"].needs_model

    @pytest.mark.parametrize("name", list(EXPERIMENTS))
    def test_a_run_without_its_stage_says_which(self, run: Run, name: str) -> None:
        with pytest.raises(UserError, match="run (detect|score|arms) --run"):
            EXPERIMENTS[name].run(run)

    def test_torch_stays_out_unless_needed(self, tmp_path: Path) -> None:
        path = synthetic.make_run(tmp_path / "run", synthetic.Shape(rows=60))
        code = (
            "import sys\n"
            "from circuitseer_core.runs.folder import Run\n"
            "from circuitseer_core.signatures.catalogue import warnings\n"
            "from circuitseer_core.experiments import EXPERIMENTS\n"
            f"run = Run.open({str(path)!r})\nassert warnings(run)\n"
            "for name in ('length', 'stability', 'random-heads', 'temperature'):\n"
            "    EXPERIMENTS[name].run(run)\n"
            "EXPERIMENTS['training'].options()\n"
            "heavy = {'torch', 'transformers', 'datasets', 'streamlit', 'plotly', 'duckdb'}\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
