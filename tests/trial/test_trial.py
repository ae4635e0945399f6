"""A trial's losses are those of naive forward passes with whole matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitseer_core.detection.ablation import AblationMode, mean_outputs
from circuitseer_core.detection.detect import DetectSettings, detect
from circuitseer_core.detection.probe import samples_of
from circuitseer_core.errors import UserError
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.live import live_model
from circuitseer_core.runs.folder import Run
from circuitseer_core.trial import trial
from circuitseer_core.trial.text import encode_text, probe_samples
from circuitseer_core.trial.trial import ablate_text, ablation_mode, set_token_losses
from tests.support.detected_run import questions, write_rows
from tests.support.naive import naive_loss
from tests.support.tiny_models import random_ids, save_tiny, tiny_model

HEADS = [(0, 1), (1, 0), (1, 3)]
RANDOM = [[(0, 0), (1, 1), (1, 2)], [(0, 2), (1, 1), (1, 2)]]
TEXT = Encoded("a", "a", random_ids(1, 21, seed=2)[0].tolist(), 9)


def by_layer(heads: list[tuple[int, int]]) -> dict[int, list[int]]:
    layers = {layer for layer, _ in heads}
    return {layer: [h for at, h in heads if at == layer] for layer in layers}


@pytest.mark.parametrize("kind", ["llama", "gemma3", "gpt2"])
def test_losses_are_the_naive_ones(kind: str) -> None:
    reference = tiny_model(kind)
    tried = ablate_text(reference, TEXT, HEADS, RANDOM, AblationMode())
    clean = naive_loss(reference, TEXT, {})
    assert tried.clean == pytest.approx(clean, abs=1e-5)
    assert tried.rise == pytest.approx(
        naive_loss(reference, TEXT, by_layer(HEADS)) - clean, abs=1e-4
    )
    naive = [naive_loss(reference, TEXT, by_layer(heads)) - clean for heads in RANDOM]
    assert tried.random == pytest.approx(naive, abs=1e-4)
    assert abs(tried.rise) > 1e-2
    assert np.isnan(tried.losses[:, 0]).all() and np.isfinite(tried.losses[:, 1:]).all()
    assert tried.by_token[9:].mean() == pytest.approx(tried.rise, abs=1e-9)


def test_loss_of_one_token_is_that_of_a_text_that_ends_there() -> None:
    reference = tiny_model("llama")
    losses = set_token_losses(reference, TEXT, [[], HEADS], AblationMode())
    for at in (1, 8, 20):
        short = Encoded("a", "a", TEXT.ids[: at + 1], at)
        assert losses[0, at] == pytest.approx(naive_loss(reference, short, {}), abs=1e-5)
        ablated = naive_loss(reference, short, by_layer(HEADS))
        assert losses[1, at] == pytest.approx(ablated, abs=1e-4)


def test_fewer_sets_at_once_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tiny_model("llama")
    sets = [[], HEADS, *RANDOM]
    at_once = set_token_losses(reference, TEXT, sets, AblationMode())
    monkeypatch.setattr(trial, "_STACK_TOKENS", 21)
    one_by_one = set_token_losses(reference, TEXT, sets, AblationMode())
    np.testing.assert_allclose(at_once[:, 1:], one_by_one[:, 1:], atol=1e-5)


def test_memory_that_runs_out_halves_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tiny_model("llama")
    whole, sizes = trial._stack, []

    def stack(reference, text, sets, ablation, first):
        sizes.append(len(sets))
        if len(sets) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(reference, text, sets, ablation, first)

    expected = set_token_losses(reference, TEXT, [[], HEADS], AblationMode())
    monkeypatch.setattr(trial, "_stack", stack)
    got = set_token_losses(reference, TEXT, [[], HEADS], AblationMode())
    np.testing.assert_allclose(got[:, 1:], expected[:, 1:], atol=1e-5)
    assert max(sizes) > 1


def test_a_head_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match=r"no head 7\.0, 0\.9"):
        ablate_text(tiny_model("llama"), TEXT, [(7, 0), (0, 9)], [], AblationMode())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("trial")
    data = write_rows(folder / "toy.jsonl", [q for q in questions(20) if "answer" in q])
    model = save_tiny(folder / "model")
    made = Run.create(folder / "run")
    settings = DetectSettings(
        model=str(model), probe=[data], probe_size=4, probe_pool=8, device="cpu"
    )
    detect(made, settings, show=False)
    return Run.open(made.path)


def test_texts_are_encoded_as_the_probe_is(run: Run) -> None:
    reference = live_model(run.model, "fp32", "cpu")
    text = encode_text(run, reference, "What is 1 + 1?", "2")
    assert reference.tokenizer.decode(text.ids) == "What is 1 + 1?\n2"
    assert reference.tokenizer.decode(text.ids[text.loss_from :]) == "2"
    alone = encode_text(run, reference, "What is 1 + 1?", "")
    assert alone.loss_from == 1
    with pytest.raises(UserError, match="at most 512"):
        encode_text(run, reference, "apples and pears " * 400, "2")
    stored = probe_samples(run, reference, [str(run.probe()["id"][2]), "not there"])
    assert [s.ids for s in stored] == [run.probe()["token_ids"][2].tolist()]


@pytest.mark.parametrize(
    ("column", "value"),
    [("token_ids", []), ("token_ids", [1, 2, 10**6]), ("token_ids", [-1, 2, 3]),
     ("token_ids", None), ("loss_from", 0), ("loss_from", 10**6)],
)  # fmt: skip
def test_tokens_of_the_probe_that_no_model_reads_are_one_line(
    run: Run, tmp_path: Path, column: str, value: object
) -> None:
    other = Run.create(tmp_path / "other")
    probe = run.probe()
    probe[column] = [value] * len(probe)
    probe.to_parquet(other.probe_path)
    with pytest.raises(UserError, match=r"holds no tokens of sample '.*' that this model reads"):
        probe_samples(other, live_model(run.model, "fp32", "cpu"), probe["id"].tolist()[:1])
    with pytest.raises(UserError, match="keeps no tokens"):
        samples_of(probe.drop(columns="loss_from"), live_model(run.model, "fp32", "cpu"))


def test_mean_outputs_come_from_the_probe(run: Run) -> None:
    reference = live_model(run.model, "fp32", "cpu")
    means = ablation_mode(run, reference, "mean").means
    everything = probe_samples(run, reference, run.probe()["id"].tolist())
    expected = mean_outputs(reference, everything)
    assert means is not None
    for layer, values in expected.items():
        np.testing.assert_allclose(means[layer], values, atol=1e-5)
    assert ablation_mode(run, reference, "scaled", 0.2).epsilon == 0.2
    with pytest.raises(UserError, match="unknown ablation"):
        ablation_mode(run, reference, "none")


def test_without_texts_there_is_no_mean(run: Run, tmp_path: Path) -> None:
    bare = Run.create(tmp_path / "bare")
    run.probe().drop(columns=["token_ids"]).to_parquet(bare.probe_path)
    with pytest.raises(UserError, match="mean outputs are unknown"):
        ablation_mode(bare, live_model(run.model, "fp32", "cpu"), "mean")
