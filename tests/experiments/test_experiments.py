"""Validation experiments: numbers against hand computation, and the model ones against stage 1."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS, parse_options, saved_results
from circuitseer_core.experiments.joint_ablation import loss_table, summary
from circuitseer_core.experiments.stability import Estimates
from circuitseer_core.hashing import to_gumbels
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.gumbel import draw_hashes
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support import synthetic
from tests.support.crafted_run import add_detection, add_scores, bare_run

RNG = np.random.default_rng


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return bare_run(tmp_path / "run")


class TestRegistry:
    def test_names_are_those_of_the_results(self, tmp_path: Path) -> None:
        run = Run.open(synthetic.make_run(tmp_path / "run"))
        for name in set(EXPERIMENTS) - {"joint-ablation"}:
            assert EXPERIMENTS[name].run(run).name == name == EXPERIMENTS[name].name

    def test_options_are_described_and_checked(self, run: Run) -> None:
        for experiment in EXPERIMENTS.values():
            assert all(len(text) > 10 for text in experiment.options().values())
        with pytest.raises(UserError, match=r"no option 'colour' here; there are: scores, count"):
            EXPERIMENTS["length"].run(run, colour="red")
        with pytest.raises(UserError, match="option fraction: Input should be less than or equal"):
            EXPERIMENTS["random-heads"].run(run, fraction="2")
        assert not (run.path / "experiments").exists()

    def test_options_as_text(self) -> None:
        assert parse_options(["fraction=0.2", "length-control = none", "count=a=b"]) == {
            "fraction": "0.2", "length_control": "none", "count": "a=b",
        }  # fmt: skip
        with pytest.raises(UserError, match="'fraction' is not NAME=VALUE"):
            parse_options(["fraction"])

    def test_results_are_kept(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2, 3], "n_tokens": [1, 2, 3]})
        result = EXPERIMENTS["length"].run(run)
        (entry,) = saved_results(run)
        assert entry["verdict"] == result.verdict
        assert entry["numbers"]["scorers"]["variance"]["length"] == pytest.approx(1.0)
        kept = pd.read_parquet(run.path / "experiments" / "length.parquet")
        pd.testing.assert_frame_equal(kept, result.table, check_dtype=False)
        (run.path / "experiments" / "broken.json").write_text("{", encoding="utf-8")
        assert len(saved_results(run)) == 1

    @pytest.mark.parametrize("name", list(EXPERIMENTS))
    def test_a_run_without_its_stage_says_which(self, run: Run, name: str) -> None:
        with pytest.raises(UserError, match="run (detect|score) --run"):
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
            "heavy = {'torch', 'transformers', 'datasets', 'streamlit', 'plotly', 'duckdb'}\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def spearman(one: Any, other: Any) -> float:
    return float(stats.spearmanr(one, other).statistic)


class TestLength:
    @pytest.fixture
    def frame(self) -> dict[str, Any]:
        rng = RNG(3)
        tokens = rng.integers(10, 90, 120)
        steps = rng.integers(0, 6, 120)
        score = tokens + 20 * steps + rng.normal(0, 5, 120)
        control = np.where(np.arange(120) < 60, tokens + rng.normal(0, 5, 120), np.nan)
        return {
            "variance": score, "control_variance_0": control, "n_tokens": tokens,
            "source": ["a"] * 70 + ["b"] * 50,
            "response": ["".join(f"<<{i}>>" for i in range(k)) for k in steps],
            "original": [json.dumps({"level": f"{k / 2}", "note": "x"}) for k in steps],
            "steps": steps,
        }  # fmt: skip

    def test_table_by_hand(self, run: Run, frame: dict[str, Any]) -> None:
        steps = frame.pop("steps")
        add_scores(run, frame)
        table = EXPERIMENTS["length"].run(run).table.set_index("source")
        assert list(table.index) == ["all", "a", "b"]
        assert table.loc["b", "length"] == pytest.approx(
            spearman(frame["variance"][70:], frame["n_tokens"][70:])
        )
        x, y, z = (stats.rankdata(v) for v in (frame["variance"], steps, frame["n_tokens"]))
        # The partial correlation is that of what is left after regressing both ranks on length.
        left = [v - np.polyval(np.polyfit(z, v, 1), z) for v in (x, y)]
        assert table.loc["all", "reference_at_length"] == pytest.approx(np.corrcoef(*left)[0, 1])
        assert table.loc["all", "reference"] == pytest.approx(spearman(x, y))
        assert table.loc["all", "control"] == pytest.approx(
            spearman(frame["variance"][:60], frame["control_variance_0"][:60])
        )
        assert table.loc["all", "control_length"] == pytest.approx(
            spearman(frame["control_variance_0"][:60], frame["n_tokens"][:60])
        )
        assert np.isnan(table.loc["b", "control_length"])  # no row of b carries a control

    def test_references(self, run: Run, frame: dict[str, Any]) -> None:
        steps = frame.pop("steps")
        frame["original"][7] = json.dumps({"level": True})
        frame["response"][9] = None
        add_scores(run, frame)
        length = EXPERIMENTS["length"]
        assert length.run(run).numbers["reference"] == "count of << in the response"
        by_column = length.run(run, column="level")
        known = np.arange(120) != 7
        assert by_column.table["reference"][0] == pytest.approx(
            spearman(frame["variance"][known], steps[known])
        )
        assert "column level" in by_column.verdict
        counted = length.run(run, count=">>").table["reference"][0]
        assert counted == pytest.approx(
            spearman(np.delete(frame["variance"], 9), np.delete(steps, 9))
        )

    def test_a_run_column_is_a_reference_too(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2, 3, 4], "n_response_tokens": [4, 3, 2, 1]})
        result = EXPERIMENTS["length"].run(run, column="n_response_tokens")
        assert result.table["reference"][0] == pytest.approx(-1.0)

    def test_unknown_column_names_those_there_are(self, run: Run, frame: dict[str, Any]) -> None:
        del frame["steps"]
        add_scores(run, frame)
        with pytest.raises(UserError, match="no column 'Level'; found: level, note"):
            EXPERIMENTS["length"].run(run, column="Level")
        with pytest.raises(UserError, match="holds no numbers"):
            EXPERIMENTS["length"].run(run, column="note")
        with pytest.raises(UserError, match="count or column"):
            EXPERIMENTS["length"].run(run, column="level", count="x")


class TestRandomHeads:
    def frame(self) -> dict[str, np.ndarray]:
        score = RNG(0).lognormal(0, 1, 400)
        return {
            "variance": score,
            "control_variance_0": score**2,  # the same order
            "control_variance_1": score[::-1].copy(),  # an unrelated order
        }

    def test_by_hand(self, run: Run) -> None:
        columns = self.frame()
        add_scores(run, columns)
        result = EXPERIMENTS["random-heads"].run(run, seed=5)
        table = result.table.set_index("control")
        assert table.loc[0, "spearman"] == pytest.approx(1.0)
        assert table.loc[0, "overlap_top"] == 1.0
        assert table.loc[1, "spearman"] == pytest.approx(
            spearman(columns["variance"], columns["control_variance_1"])
        )
        noise = to_gumbels(draw_hashes([f"gsm/{i}" for i in range(400)], 5))
        ours = set(np.argsort(-(np.log(columns["variance"]) + noise))[:40])
        theirs = set(np.argsort(-(np.log(columns["control_variance_1"]) + noise))[:40])
        assert table.loc[1, "overlap_soft"] == pytest.approx(len(ours & theirs) / 40)
        assert result.numbers["scorers"]["variance"]["spearman_among_controls"] == pytest.approx(
            spearman(columns["control_variance_0"], columns["control_variance_1"])
        )

    def test_the_soft_subset_is_the_one_that_select_draws(self, run: Run) -> None:
        from circuitseer_core.experiments.overlap import drawn

        columns = self.frame()
        add_scores(run, columns)
        select_run(run, SelectionSettings.of(seed=2, duplicates="keep"))
        noise = to_gumbels(draw_hashes([f"gsm/{i}" for i in range(400)], 2))
        rows = drawn(columns["variance"], noise, 1.0, 40)
        assert run.selection_ids("default")["id"].tolist() == [f"gsm/{i}" for i in rows]

    def test_heads_like_any_other_are_called_so(self, run: Run) -> None:
        columns = self.frame()
        add_scores(run, dict.fromkeys(columns, columns["variance"]))
        assert "no more than any random set" in EXPERIMENTS["random-heads"].run(run).verdict
        add_scores(run, columns | {"control_variance_0": columns["control_variance_1"] + 0.0})
        assert "no more than" not in EXPERIMENTS["random-heads"].run(run).verdict

    def test_without_controls(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2.0, 3.0]})
        with pytest.raises(UserError, match="no random-head controls"):
            EXPERIMENTS["random-heads"].run(run)


class TestTemperature:
    def test_ends_of_the_dial(self, run: Run) -> None:
        score = RNG(0).lognormal(0, 1, 300)
        add_scores(run, {"variance": score, "source": ["a", "b", "c"] * 100})
        table = EXPERIMENTS["temperature"].run(run).table.set_index("temperature")
        assert list(table["ess_share"]) == sorted(table["ess_share"])
        top = np.sort(score)[::-1][:30]
        assert table.loc[0.0, "lift"] == pytest.approx(top.mean() / score.mean() - 1)
        assert table.loc[0.0, ["overlap_top", "overlap_other_seed"]].tolist() == [1.0, 1.0]
        assert table.loc[1.0, "ess_share"] == pytest.approx(
            score.sum() ** 2 / (score**2).sum() / 300
        )
        assert table.loc[np.inf, "ess_share"] == pytest.approx(1.0)
        assert table.loc[np.inf, ["overlap_uniform", "overlap_other_seed"]].max() < 0.35
        # Ten uniform draws of 30 rows: their lift is chance, and its spread is that of a mean.
        chance = score.std() / score.mean() * np.sqrt((1 - 30 / 300) / 30)
        assert table.loc[np.inf, "lift_sd"] == pytest.approx(chance, rel=0.6)
        assert abs(table.loc[np.inf, "lift"]) < 3 * chance / np.sqrt(10)
        assert abs(table.loc[np.inf, "lift"]) < abs(table.loc[0.0, "lift"]) / 5

    def test_a_draw_is_the_selection_of_the_same_settings(self, run: Run) -> None:
        add_scores(run, {"variance": RNG(0).lognormal(0, 1, 300), "source": ["a", "b", "c"] * 100})
        written = select_run(run, SelectionSettings.of(temperature=0.5, fraction=0.2, seed=4))
        found = EXPERIMENTS["temperature"].run(
            run, temperatures="0.5", fraction=0.2, seed=4, seeds=1
        )
        (line,) = found.table.to_dict("records")
        diagnostics = written.diagnostics
        assert line["lift"] == pytest.approx(diagnostics.score.lift)
        assert np.isnan(line["lift_sd"])
        assert line["ess_share"] == pytest.approx(diagnostics.ess_share)
        assert line["overlap_top"] == pytest.approx(diagnostics.overlap.top_k)
        shift = sum(abs(s.share - s.pool_share) for s in diagnostics.sources) / 2
        assert line["source_shift"] == pytest.approx(shift)

    def test_options_from_a_command_line(self, run: Run) -> None:
        add_scores(run, {"focus": RNG(0).lognormal(0, 1, 100)})
        found = EXPERIMENTS["temperature"].run(run, temperatures="0, 1 inf", scorer="focus")
        assert found.table["temperature"].tolist() == [0.0, 1.0, np.inf]
        assert set(saved_results(run)[0]["numbers"]["by_temperature"]) == {"0", "1", "inf"}


class TestStability:
    def test_bootstrap_of_three_samples_is_the_enumeration(self, run: Run) -> None:
        # Head 0 wins unless sample 2, where head 1 is far ahead, is drawn at least twice: of the 27
        # equally likely draws of 3, those with it twice are 3·2 = 6 and thrice 1.
        delta = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.5]])
        add_detection(run, delta, heads_per_layer=2)
        add_scores(run, {"variance": [1.0, 2.0]}, heads=[[0, 0]])
        result = EXPERIMENTS["stability"].run(run, bootstraps=4000)
        assert result.numbers["expected_overlap"] == pytest.approx(20 / 27, abs=0.025)
        table = result.table.set_index(["layer", "head"])
        assert table.loc[(0, 1), "probability"] == pytest.approx(7 / 27, abs=0.025)
        assert result.numbers["halves"] is None

    def test_halves_by_hand(self, run: Run) -> None:
        # Samples 0 and 1 rank the heads 0 > 1 > 2, samples 2 and 3 the other way round.
        delta = np.array([[3.0, 2, 1], [3, 2, 1], [1, 2, 3], [1, 2, 3.1]])
        add_detection(run, delta, heads_per_layer=3)
        add_scores(run, {"variance": [1.0, 2.0]}, heads=[[0, 2]])
        estimates = Estimates(run, "importance")
        rng = RNG(0)
        halves = [estimates.halves(rng) for _ in range(300)]
        seen = {(round(one[0], 3), round(other[0], 3)) for one, other in halves}
        assert seen == {(3.0, 1.0), (1.0, 3.0), (2.0, 2.0)}  # the pairs of disjoint halves
        np.testing.assert_allclose(estimates.everything(), delta.mean(axis=0))
        for one, other in halves[:5]:
            np.testing.assert_allclose((one + other) / 2, delta.mean(axis=0))

    def test_specificity_is_resampled_as_the_ratio_it_is(self, run: Run) -> None:
        delta, contrast = RNG(0).normal(1, 0.2, (6, 8)), RNG(1).normal(0.5, 0.2, (5, 8))
        add_detection(run, delta, contrast=contrast)
        estimates = Estimates(run, "specificity")
        wanted = run.heads().set_index(["layer", "head"])["specificity"]
        got = pd.Series(estimates.everything(), index=pd.MultiIndex.from_tuples(estimates.heads))
        np.testing.assert_allclose(got.to_numpy(), wanted.reindex(got.index).to_numpy())
        heads = run.heads().nsmallest(1, "specificity_rank")[["layer", "head"]].to_numpy().tolist()
        add_scores(run, {"variance": [1.0, 2.0]}, heads=heads, rank_by="specificity")
        result = EXPERIMENTS["stability"].run(run, bootstraps=50)
        assert result.numbers["rank_by"] == "specificity" and "specificity" in result.table

    def test_racing_leaves_out_heads_of_part_of_the_probe(self, tmp_path: Path) -> None:
        run = Run.open(synthetic.make_run(tmp_path / "run", synthetic.Shape(racing=True)))
        finalists = int((~run.heads()["raced_out"]).sum())
        result = EXPERIMENTS["stability"].run(run, bootstraps=50)
        chosen = result.numbers["heads"]
        assert result.numbers["chance_overlap"] == pytest.approx(chosen / finalists)


class TestJointNumbers:
    LOSSES = np.array([[1.0, 2.0], [2.0, 4.0], [1.1, 2.1], [1.3, 2.1]])  # clean, set, 2 controls

    def test_summary_by_hand(self) -> None:
        found = summary(self.LOSSES, 0.9, 2)
        assert found["clean"] == 1.5 and found["joint"] == 1.5
        assert found["controls"] == pytest.approx([0.1, 0.2])
        assert found["gap"] == pytest.approx(1.35)  # 1 − 0.2 and 2 − 0.1
        assert found["gap_stderr"] == pytest.approx(1.1 / 2)  # half the difference of 0.8 and 1.9
        assert found["above_every_control"] == 1.0

    def test_table_by_hand(self) -> None:
        table = loss_table(self.LOSSES, [[(0, 0), (1, 1)], [(0, 1)], [(0, 2)]]).set_index("ablated")
        assert table["delta"].tolist() == pytest.approx([0, 1.5, 0.1, 0.2])
        assert table["heads"].tolist() == [0, 2, 1, 1]
        assert table.loc["reasoning heads", "stderr"] == pytest.approx(0.5)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, its importances by the real first stage, and a scoring's settings and texts."""
    pytest.importorskip("torch")
    from circuitseer_core.detection.detect import detect
    from circuitseer_core.detection.settings import DetectSettings
    from tests.support.tiny_models import save_tiny

    folder = tmp_path_factory.mktemp("measured")
    model = save_tiny(folder / "model", bos=True)
    rows = [{"question": f"What is {i} + {2 * i}?", "answer": f"{3 * i}"} for i in range(12)]
    data = folder / "sums.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = Run.create(folder / "run")
    settings = DetectSettings(model=str(model), probe=[str(data)], probe_size=8, stack_tokens=512)
    detect(run, settings, show=False)
    return run.path


def _score_settings(run: Run, **settings: Any) -> Run:
    prompts = [f"Add {i} to {3 * i} and say how much it is." for i in range(30)]
    columns = {"variance": np.linspace(1, 2, 30), "prompt": prompts, "response": [None] * 30}
    columns["original"] = [json.dumps({"question": prompt}) for prompt in prompts]
    add_scores(run, columns, max_length=64, **settings)
    return run


class TestWithAModel:
    def test_joint_ablation_of_one_head_is_its_importance(self, measured: Path) -> None:
        run = Run.open(measured)
        heads = run.heads().sort_values("rank")
        (best, other) = heads[["layer", "head"]].to_numpy().tolist()[:2]
        _score_settings(run, heads=[best], control_heads=[[other]])
        result = EXPERIMENTS["joint-ablation"].run(run)
        importance = heads["importance"].to_numpy()
        assert importance[0] > 1e-2  # the model is made so that ablation matters
        assert result.numbers["joint"] == pytest.approx(importance[0], abs=1e-5)
        assert result.numbers["controls"] == pytest.approx([importance[1]], abs=1e-5)
        assert result.numbers["sum_of_singles"] == pytest.approx(importance[0])
        assert result.numbers["clean"] == pytest.approx(run.probe()["base_loss"].mean(), abs=1e-5)

    def test_other_data_and_fresh_controls(self, measured: Path, tmp_path: Path) -> None:
        run = Run.open(measured)
        heads = run.heads().sort_values("rank")[["layer", "head"]].to_numpy().tolist()[:2]
        _score_settings(run, heads=heads)
        data = tmp_path / "more.jsonl"
        row = {"question": "What is 6 times 7?", "answer": "It is 42."}
        lines = [json.dumps(row | {"id": str(i)}) for i in range(5)]
        data.write_text("\n".join(lines), encoding="utf-8")
        result = EXPERIMENTS["joint-ablation"].run(run, data=str(data), limit=4)
        assert result.table["samples"].tolist() == [4] * 5
        assert result.table["heads"].tolist() == [0, 2, 2, 2, 2]

    def test_no_contrast_set(self, measured: Path) -> None:
        with pytest.raises(UserError, match="no contrast set"):
            EXPERIMENTS["joint-ablation"].run(Run.open(measured), set="contrast")

    def test_scores_of_many_sets_are_those_of_each(self, measured: Path) -> None:
        import torch

        from circuitseer_core.experiments.head_resampling import scores_under
        from circuitseer_core.model.batches import pad
        from circuitseer_core.model.encoding import encode_texts
        from circuitseer_core.model.loading import load_model
        from circuitseer_core.scoring.profiles import HeadPlan, observe
        from circuitseer_core.scoring.scorers import attention_scores

        reference, _ = load_model(Run.open(measured).record.model.id)
        texts = ["A short one.", "Another text, and a longer one: 12 + 30 = 42.", "x = 5, so 3x?"]
        encoded = encode_texts(reference.tokenizer, texts, 64)
        sets = [[(0, 0), (1, 2)], [(1, 1), (1, 2), (0, 3)]]
        got = scores_under(reference, encoded, sets, "divergence")
        for text, row in zip(encoded, got, strict=True):
            length = np.array([len(text.ids)])
            found = observe(
                reference, pad([text.ids], reference.device), torch.tensor(length),
                HeadPlan(sets, reference.device),
            )  # fmt: skip
            wanted = attention_scores(
                found.observed.numpy(), found.flat.numpy(), length, np.array([text.special])
            )["divergence"]
            np.testing.assert_allclose(row, wanted[0], rtol=1e-5)

    def test_rescoring_with_the_same_heads_changes_nothing(self, measured: Path) -> None:
        from circuitseer_core.experiments.head_resampling import Rescoring, rescored

        run = _score_settings(Run.open(measured), heads=[[0, 0], [1, 2]])
        rescoring = Rescoring(rows=20, fraction=0.25)
        chosen = [(0, 0), (1, 2)]
        same = rescored(run, chosen, [chosen, chosen], rescoring)
        assert (same["rows"], same["spearman"], same["overlap_soft"], same["overlap_top"]) == (
            20, pytest.approx(1.0), 1.0, 1.0,
        )  # fmt: skip
        other = rescored(run, chosen, [[(0, 1), (1, 3)]], rescoring)
        assert other["spearman"] < 0.99

    def test_stability_reports_the_rescoring(self, measured: Path) -> None:
        run = Run.open(measured)
        heads = run.heads().sort_values("rank")[["layer", "head"]].to_numpy().tolist()[:2]
        _score_settings(run, heads=heads)
        result = EXPERIMENTS["stability"].run(run, rescore="15", sets="4", bootstraps="50")
        assert result.numbers["rescored"]["rows"] == 15
        assert "Scoring 15 samples with 4 bootstrapped sets" in result.verdict
