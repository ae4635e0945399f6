"""Scores under other heads, and joint ablation, with a tiny model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.figures.style import LIGHT
from circuitseer_core.report.experiment_figures import drawn
from circuitseer_core.runs.columns import DRAWS
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import percent
from tests.support.crafted_run import add_scores
from tests.support.measured_run import measured_run
from tests.support.records import edit_run


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the tests here; those that change it take a copy."""
    return measured_run(tmp_path_factory.mktemp("measured")).path


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
        result = EXPERIMENTS["joint-ablation"].run(run, set="probe")
        importance = heads["importance"].to_numpy()
        assert importance[0] > 1e-2  # the model is made so that ablation matters
        assert result.numbers["joint"] == pytest.approx(importance[0], abs=1e-5)
        assert result.numbers["controls"] == pytest.approx([importance[1]], abs=1e-5)
        assert result.numbers["sum_of_singles"] == pytest.approx(importance[0])
        assert result.numbers["clean"] == pytest.approx(run.probe()["base_loss"].mean(), abs=1e-5)

    def test_changed_weights_are_refused(self, measured: Path, tmp_path: Path) -> None:
        """By whatever loads the run's model; ``score`` has its own test."""
        from safetensors.torch import load_file, save_file

        from circuitseer_core.detection.ablate_settings import AblateSettings
        from circuitseer_core.detection.joint import ablate_sets

        run = Run.open(shutil.copytree(measured, tmp_path / "run"))
        model = shutil.copytree(run.model.id, tmp_path / "model")
        edit_run(run, model=run.model.to_json() | {"id": str(model)})
        weights = load_file(model / "model.safetensors")
        name = next(iter(weights))
        save_file(
            weights | {name: weights[name] + 1}, model / "model.safetensors", {"format": "pt"}
        )
        data = tmp_path / "sums.jsonl"
        data.write_text(json.dumps({"question": "1 + 1?", "answer": "2"}), encoding="utf-8")
        with pytest.raises(UserError, match="has other weights now"):
            list(ablate_sets(run.path, ["0.0,"], AblateSettings(data=[str(data)], device="cpu")))
        for name, options in (("joint-ablation", {"set": "probe"}), ("sinks", {})):
            _score_settings(run)
            with pytest.raises(UserError, match="has other weights now"):
                EXPERIMENTS[name].run(run, **options)

    def test_held_out_samples_are_those_beside_the_probe(
        self, measured: Path, tmp_path: Path
    ) -> None:
        """Here every sample was a candidate; where there are others, candidates stay out too."""
        run = Run.open(shutil.copytree(measured, tmp_path / "run"))
        result = EXPERIMENTS["joint-ablation"].run(run)
        assert result.numbers["data"] == "held-out samples of the probe's data"
        assert result.numbers["samples"] == run.detection.probe_pool_seen - len(run.probe())
        run.pool().head(9).to_parquet(run.pool_path, index=False)
        result = EXPERIMENTS["joint-ablation"].run(run)
        assert result.numbers["samples"] == run.detection.probe_pool_seen - 9
        edit_run(run, detect={"settings": {}})
        with pytest.raises(UserError, match="does not say what its probe came from"):
            EXPERIMENTS["joint-ablation"].run(run)

    @pytest.mark.parametrize("of", ["probe", "held-out", "data"])
    def test_longer_samples_leave_before_the_limit(
        self, measured: Path, tmp_path: Path, of: str
    ) -> None:
        run = Run.open(measured)
        lengths = sorted(run.probe()["n_tokens"])
        longest = int(lengths[-1] if of == "held-out" else lengths[len(lengths) // 2])
        options: dict[str, Any] = {"set": of, "limit": 2, "max_tokens": longest}
        if of == "data":
            short, long = "1 + 1?", "1 + 1 and so on " * 40
            rows = [{"question": f"{n} {short if n % 4 == 0 else long}"} for n in range(16)]
            lines = [json.dumps(row | {"answer": "2"}) for row in rows]
            (tmp_path / "d.jsonl").write_text("\n".join(lines), encoding="utf-8")
            options |= {"set": "held-out", "data": str(tmp_path / "d.jsonl"), "max_tokens": 60}
        result = EXPERIMENTS["joint-ablation"].run(run, **options)
        assert result.numbers["samples"] == 2
        with pytest.raises(UserError, match="longer than|no sample can serve|nothing beside"):
            EXPERIMENTS["joint-ablation"].run(run, **options | {"max_tokens": 2})

    def test_one_sample_of_other_data_is_enough(self, measured: Path, tmp_path: Path) -> None:
        data = tmp_path / "one.jsonl"
        data.write_text(json.dumps({"question": "1 + 1?", "answer": "2"}), encoding="utf-8")
        result = EXPERIMENTS["joint-ablation"].run(Run.open(measured), data=str(data))
        assert result.numbers["samples"] == 1 and result.numbers["gap_stderr"] is None

    def test_other_data_and_fresh_controls(self, measured: Path, tmp_path: Path) -> None:
        run = Run.open(measured)
        heads = run.heads().sort_values("rank")[["layer", "head"]].to_numpy().tolist()[:2]
        _score_settings(run, heads=heads)
        data = tmp_path / "more.jsonl"
        row = {"question": "What is 6 times 7?", "answer": "It is 42."}
        lines = [json.dumps(row | {"id": str(i)}) for i in range(5)]
        data.write_text("\n".join(lines), encoding="utf-8")
        result = EXPERIMENTS["joint-ablation"].run(run, data=str(data), limit=4)
        assert result.table["samples"].tolist() == [4] * (2 + DRAWS)
        assert result.table["heads"].tolist() == [0, *[2] * (1 + DRAWS)]

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

        run = Run.open(measured)
        reference, _ = load_model(run.record.model.id)
        texts = ["A short one.", "Another text, and a longer one: 12 + 30 = 42.", "x = 5, so 3x?"]
        encoded = encode_texts(reference.tokenizer, texts, 64)
        sets = [[(0, 0), (1, 2)], [(1, 1), (1, 2), (0, 3)]]
        got = scores_under(run, "try", reference, encoded, sets, "divergence")
        for text, row in zip(encoded, got, strict=True):
            length = np.array([len(text.ids)])
            profiles = observe(
                reference, pad([text.ids], reference.device), torch.tensor(length),
                HeadPlan(sets, reference.device),
            )  # fmt: skip
            wanted = attention_scores(
                profiles.observed.numpy(), profiles.flat.numpy(), length, np.array([text.special])
            )["divergence"]
            np.testing.assert_allclose(row, wanted[0], rtol=1e-5)

    def test_rescoring_with_the_same_heads_changes_nothing(self, measured: Path) -> None:
        from circuitseer_core.experiments.head_resampling import RescoringOptions, rescored

        run = _score_settings(Run.open(measured), heads=[[0, 0], [1, 2]])
        rescoring = RescoringOptions(rescore=20, fraction=0.25)
        chosen = [(0, 0), (1, 2)]
        same = rescored(run, "try", chosen, {"same": [chosen, chosen]}, rescoring)
        assert (same["rows"], same["spearman"], same["overlap_soft"], same["overlap_top"]) == (
            20, pytest.approx(1.0), 1.0, 1.0,
        )  # fmt: skip
        assert same["overlap_soft_beyond_floor"] == pytest.approx(1.0)
        other = rescored(run, "try", chosen, {"other": [[(0, 1), (1, 3)]]}, rescoring)
        assert other["spearman"] < 0.99
        assert other["by_name"]["other"]["overlap_soft_interval"] is None, "a single set"

    def test_rescoring_says_it_by_name(self, measured: Path) -> None:
        from circuitseer_core.experiments.head_resampling import RescoringOptions, rescored

        run = _score_settings(Run.open(measured), heads=[[0, 0], [1, 2]])
        chosen = [(0, 0), (1, 2)]
        sets = {"same": [chosen, chosen], "others": [[(0, 1), (1, 3)], [(0, 0), (1, 3)]]}
        options = RescoringOptions(rescore=20, fraction=0.25)
        again = rescored(run, "try", chosen, sets, options, against={"others": "same"})
        same, others = again["by_name"]["same"], again["by_name"]["others"]
        assert same["overlap_soft"] == 1.0 and same["overlap_soft_interval"] == [1.0, 1.0]
        assert again["sets"] == 4
        for measure in ("spearman", "overlap_soft", "overlap_top"):
            assert again[measure] == pytest.approx((same[measure] + others[measure]) / 2)
            low, high = others[f"{measure}_interval"]
            assert low <= others[measure] <= high
        assert others["spearman"] < 0.99
        assert again["falls"]["others"][0] == pytest.approx(1 - others["overlap_soft"])

    def test_probe_reports_the_rescoring_by_criterion(self, measured: Path) -> None:
        run = Run.open(measured)
        heads = run.heads().sort_values("rank")[["layer", "head"]].to_numpy().tolist()[:2]
        _score_settings(run, heads=heads)
        result = EXPERIMENTS["probe"].run(run, rescore=15, bootstraps=20, splits=4)
        again = result.numbers["rescored"]
        assert {"random", "high loss"} <= set(again["by_name"])
        kept = result.table[result.table["kind"] == "drawn"].set_index("name")
        for name, of in again["by_name"].items():
            assert of["sets"] == 20
            assert kept.loc[name, "overlap"] == of["overlap_soft"]
            assert kept.loc[name, "random"] == again["overlap_soft_floor"]["permuted"]
            low, high = map(percent, of["overlap_soft_interval"])
            share = percent(of["overlap_soft"])
            assert f"{name} ({of['samples']} samples) {share} ({low} to {high})" in result.verdict
        assert "parts of the very probe that chose these heads" in result.verdict
        assert all(drawn(plot, result.table, LIGHT) is not None for plot in result.plots)
        assert len(result.plots) == 3

    def test_stability_reports_the_rescoring(self, measured: Path) -> None:
        run = Run.open(measured)
        heads = run.heads().sort_values("rank")[["layer", "head"]].to_numpy().tolist()[:2]
        _score_settings(run, heads=heads)
        result = EXPERIMENTS["stability"].run(run, rescore="15", sets="4", bootstraps="50")
        assert result.numbers["rescored"]["rows"] == 15
        assert "Scoring 15 samples with 4 bootstrapped sets" in result.verdict
        again = result.numbers["rescored"]
        beyond = percent(again["overlap_soft_beyond_floor"])
        assert f"of what that leaves {beyond})" in result.verdict
        low, high = map(percent, again["by_name"]["bootstraps"]["overlap_soft_interval"])
        assert f"95 % intervals are {low} to {high} (soft)" in result.verdict
        assert "of the very probe that chose these heads" in result.verdict
