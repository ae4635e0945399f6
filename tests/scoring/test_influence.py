"""head_influence against its definition on whole forward passes under naive ablation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.model.encoding import Encoded, encode_texts
from circuitseer_core.runs.columns import control_columns
from circuitseer_core.scoring import control_heads
from circuitseer_core.scoring.influence import head_influence
from circuitseer_core.scoring.score import score
from circuitseer_core.scoring.settings import ScoreSettings, fingerprint
from tests.support.detected_run import detected_run, questions, write_rows
from tests.support.naive import naive_loss
from tests.support.tiny_models import tiny_model

SETS = [[(0, 1), (1, 2)], [(0, 0)]]
TEXTS = ["What is 12 + 30?", "Solve for x: 3x + 5 = 20.", "Tom has apples and buys more."]


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("budget", [10, 4000])
def test_it_is_its_definition(bos: bool, budget: int) -> None:
    reference = tiny_model("llama", bos=bos)
    texts = encode_texts(reference.tokenizer, TEXTS, 64)
    progress: list[int] = []
    influence = head_influence(
        reference, texts, SETS, token_budget=budget, on_batch=progress.append
    )
    assert sum(progress) == 3 and np.abs(influence - 1).min() > 1e-4
    for column, text in enumerate(texts):
        sample = Encoded("a", "x", text.ids, 1)
        clean = naive_loss(reference, sample, {})
        for row, heads in enumerate(SETS):
            by_layer = {layer: [h for at, h in heads if at == layer] for layer in (0, 1)}
            without = naive_loss(reference, sample, by_layer)
            assert influence[row, column] == pytest.approx(without / clean, rel=1e-4)


def test_a_text_that_memory_does_not_hold_has_none_and_the_others_do(
    breaking: Callable[..., None],
) -> None:
    reference = tiny_model("llama")
    texts = encode_texts(reference.tokenizer, [*TEXTS, TEXTS[0] * 8], 512)
    progress: list[int] = []
    calm = head_influence(reference, texts, SETS, token_budget=4000)
    longest = max(len(text.ids) for text in texts)

    def fail(ids: torch.Tensor) -> None:
        if ids.shape[1] == longest:
            raise torch.OutOfMemoryError("CUDA out of memory")

    breaking(fail)
    influence = head_influence(reference, texts, SETS, token_budget=4000, on_batch=progress.append)
    assert np.isnan(influence[:, 3]).all() and sum(progress) == 4
    np.testing.assert_allclose(influence[:, :3], calm[:, :3], rtol=1e-4)


class TestAsAScore:
    OPTIONS: ClassVar[dict[str, Any]] = {"heads": "2", "device": "cpu", "token_budget": 500}

    def test_it_becomes_a_column_and_the_others_stay(self, tmp_path: Path) -> None:
        run = detected_run(tmp_path)
        data = [write_rows(tmp_path / "questions.jsonl", questions(30))]
        score(run, ScoreSettings(data=data, **self.OPTIONS), progress=False)
        asked = ScoreSettings(data=data, **self.OPTIONS, name="all", head_influence=True)
        record = score(run, asked, progress=False)
        assert record.scorers[-1] == "head_influence"
        with_it, without = run.scores("all"), run.scores()
        assert set(with_it.columns) - set(without.columns) == {"head_influence"}
        assert with_it[without.columns].equals(without)
        assert with_it["head_influence"].notna().all() and with_it["head_influence"].nunique() > 20

    def test_random_heads_beside_it(self, tmp_path: Path) -> None:
        run = detected_run(tmp_path)
        data = [write_rows(tmp_path / "questions.jsonl", questions(30))]
        flags = {"head_influence": True, "head_influence_controls": True}
        record = score(run, ScoreSettings(data=data, **self.OPTIONS, **flags), progress=False)
        frame = run.scores()
        names = control_columns("head_influence", frame.columns)
        assert len(names) == 3 and frame[names].notna().all().all()
        assert record.control_heads[0] != record.heads
        assert (frame[names[0]] - frame["head_influence"]).abs().max() > 1e-3
        result = EXPERIMENTS["random-heads"].run(run)
        assert "head_influence" in result.numbers["scorers"]
        lengths = EXPERIMENTS["length"].run(run)
        assert "head_influence" in lengths.numbers["scorers"]

    def test_controls_stay_within_their_subsample(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control_heads, "LEAST_LIMIT", 1)
        run = detected_run(tmp_path)
        data = [write_rows(tmp_path / "questions.jsonl", questions(60))]
        flags = {"head_influence": True, "head_influence_controls": True, "controls": 50}
        score(run, ScoreSettings(data=data, **self.OPTIONS, **flags), progress=False)
        frame = run.scores()
        carrying = frame["control_variance_0"].notna()
        assert 0 < carrying.sum() < len(frame)
        assert (frame["control_head_influence_0"].notna() == carrying).all()
        assert frame["head_influence"].notna().all()

    def test_controls_need_it(self) -> None:
        with pytest.raises(ValueError, match="goes with --head-influence"):
            ScoreSettings(data=["demo"], head_influence_controls=True)

    def test_another_wish_under_the_same_name_is_refused(self, tmp_path: Path) -> None:
        run = detected_run(tmp_path)
        data = [write_rows(tmp_path / "questions.jsonl", questions(8))]
        record = score(run, ScoreSettings(data=data, **self.OPTIONS), progress=False)
        with pytest.raises(UserError, match=r"--head-influence\): choose another"):
            score(run, ScoreSettings(data=data, **self.OPTIONS, head_influence=True))
        # A scoring of before there was this option keeps its hash.
        older = record.model_copy(update={"head_influence": True})
        assert fingerprint(older) != fingerprint(record)
