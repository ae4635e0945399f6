"""Layer replay against one naive forward a head; racing, resume, noise, memory, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from circuitseer_core.detection import parts
from circuitseer_core.detection.ablation import Ablation, AblationMode, mean_outputs
from circuitseer_core.detection.ablator import Ablator
from circuitseer_core.detection.cost import FORWARDS_PER_EVALUATION
from circuitseer_core.detection.detect import detect
from circuitseer_core.detection.joint import joint_loss
from circuitseer_core.detection.replay import replay_is_exact, run_clean
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.model.batches import loss_batch
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.losses import clean_losses
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import ProgressRecord
from tests.support.data_files import write_data
from tests.support.naive import naive_delta, naive_loss
from tests.support.tiny_models import KINDS, save_tiny, tiny_model

CORE = ["llama", "qwen2", "qwen3", "gemma3", "gpt2"]


def samples(n: int = 3, seed: int = 0, longest: int = 24) -> list[Encoded]:
    """Samples of different lengths, longer than the tiny models' sliding window."""
    rng = np.random.default_rng(seed)
    out = []
    for i in range(n):
        length = longest - 3 * i
        ids = [int(t) for t in rng.integers(1, 300, length)]
        out.append(Encoded(f"s{i}", "toy", ids, int(rng.integers(4, length - 4))))
    return out


def measured(reference: ReferenceModel, batch_of: list[Encoded], **options: Any) -> Tensor:
    """(layers, heads, samples) loss changes by the engine."""
    mode = options.pop("mode", AblationMode())
    engine = Ablator(reference, mode, stack_tokens=options.pop("stack_tokens", 150), **options)
    batch = loss_batch(batch_of, reference.device)
    with torch.inference_mode():
        layers = [
            engine.measure(batch, layer, range(n), noise=False).delta
            for layer, n in enumerate(reference.heads_per_layer)
            if n
        ]
    return torch.stack(layers)


def expected(reference: ReferenceModel, batch_of: list[Encoded], **how: Any) -> Tensor:
    layers = [i for i, n in enumerate(reference.heads_per_layer) if n]
    values = [
        [
            [naive_delta(reference, s, layer, h, **how) for s in batch_of]
            for h in range(reference.heads_per_layer[layer])
        ]
        for layer in layers
    ]
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_delta_loss_equals_one_naive_forward_per_head(kind: str) -> None:
    reference = tiny_model(kind)
    batch = samples()
    want = expected(reference, batch)
    assert want.abs().median() >= 1e-2  # else an ablation that does nothing would pass
    assert (measured(reference, batch) - want).abs().max() <= 1e-5


@pytest.mark.parametrize("kind", CORE)
def test_a_noop_and_a_wrong_head_fail_the_same_comparison(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = tiny_model(kind)
    batch = samples()
    want = expected(reference, batch)
    true_after = Ablation.after
    monkeypatch.setattr(Ablation, "after", lambda self, call, output: output)
    assert (measured(reference, batch) - want).abs().max() > 1e-3

    def wrong(self: Ablation, call: Any, output: Tensor) -> Tensor:
        self.targets = {
            k: (rows, [(h + 1) % call.n_heads for h in hs])
            for k, (rows, hs) in self.targets.items()
        }
        return true_after(self, call, output)

    monkeypatch.setattr(Ablation, "after", wrong)
    assert (measured(reference, batch) - want).abs().max() > 1e-3


def test_without_the_registered_mask_function_sliding_windows_would_vanish(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transformers import AttentionMaskInterface

    from circuitseer_core.model.attention import NAME

    reference = tiny_model("gemma3")
    batch = samples()
    want = expected(reference, batch)
    monkeypatch.delitem(AttentionMaskInterface._global_mapping, NAME)
    assert (measured(reference, batch) - want).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gemma3"])
@pytest.mark.parametrize(("mode", "epsilon"), [("zero", 0.0), ("scaled", 0.3), ("mean", 0.0)])
def test_other_ablations_against_the_naive_reference(kind: str, mode: str, epsilon: float) -> None:
    reference = tiny_model(kind)
    batch = samples()
    means = mean_outputs(reference, batch) if mode == "mean" else None
    want = expected(reference, batch, mode=mode, epsilon=epsilon, means=means)
    assert want.abs().median() >= 1e-2
    got = measured(reference, batch, mode=AblationMode(mode, epsilon, means))
    assert (got - want).abs().max() <= 1e-5


def test_mean_outputs_are_token_means_without_padding() -> None:
    reference = tiny_model("llama")
    batch = samples()
    together = mean_outputs(reference, batch)
    alone = [mean_outputs(reference, [s]) for s in batch]
    lengths = [s.n_tokens for s in batch]
    for layer, mean in together.items():
        parts = [n * a[layer] for n, a in zip(lengths, alone, strict=True)]
        assert torch.allclose(mean, torch.stack(parts).sum(0) / sum(lengths), atol=1e-6)


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_joint_ablation_of_heads_in_several_layers(kind: str) -> None:
    reference = tiny_model(kind)
    batch = samples()
    sets = [[(0, 1), (0, 3), (1, 0)], [(1, 2)]]
    got = joint_loss(reference, batch, sets, stack_tokens=100)
    for row, heads in enumerate([[], *sets]):
        by_layer: dict[int, list[int]] = {}
        for layer, head in heads:
            by_layer.setdefault(layer, []).append(head)
        want = [naive_loss(reference, s, by_layer) for s in batch]
        assert np.abs(got[row] - want).max() <= 1e-5


def test_ablating_nothing_changes_nothing() -> None:
    reference = tiny_model("qwen3")
    batch = loss_batch(samples(), reference.device)
    with torch.inference_mode():
        clean = run_clean(reference, batch)
        from circuitseer_core.detection.replay import variant_losses

        for layer in range(2):
            stack = variant_losses(reference, batch, clean, layer, [None, None], AblationMode())
            assert (stack - clean.losses).abs().max() <= 1e-6


def test_padding_and_batch_composition_change_nothing() -> None:
    reference = tiny_model("llama")
    batch = samples()
    together = measured(reference, batch)
    alone = torch.cat([measured(reference, [s]) for s in batch], -1)
    assert (together - alone).abs().max() <= 1e-5
    small = measured(reference, batch, stack_tokens=1)
    assert (together - small).abs().max() <= 1e-5


def test_full_forwards_give_what_replay_gives() -> None:
    reference = tiny_model("llama", layers=3)
    batch = samples()
    difference = measured(reference, batch) - measured(reference, batch, replay=False)
    assert difference.abs().max() <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_clean_copy_rides_where_it_is_asked_for_and_changes_nothing(dtype: torch.dtype) -> None:
    reference = tiny_model("llama")
    reference.model.to(dtype)
    engine = Ablator(reference, AblationMode(), stack_tokens=10_000)
    batch = loss_batch(samples(), reference.device)
    with torch.inference_mode():
        alone = engine.measure(batch, 0, range(4), noise=False)
        beside = engine.measure(batch, 0, range(4), noise=True)
    assert not alone.noise and len(beside.noise) == batch.size
    tolerance = 1e-5 if dtype == torch.float32 else 5e-2
    assert (alone.delta - beside.delta).abs().max() <= tolerance


def test_self_check_finds_state_that_bypasses_the_hidden_states() -> None:
    reference = tiny_model("llama", layers=3)
    batch = loss_batch(samples(), reference.device)
    with torch.inference_mode():
        assert replay_is_exact(reference, batch)
    kept: dict[str, Tensor] = {}
    first, last = reference.layers[0], reference.layers[2]

    def keep(module: Any, args: Any, output: Tensor) -> None:
        kept["hidden"] = output

    def add(module: Any, args: Any, output: Tensor) -> Tensor:
        return output + kept["hidden"]

    first.register_forward_hook(keep)
    last.register_forward_hook(add)
    with torch.inference_mode():
        assert not replay_is_exact(reference, batch)


def test_shared_key_values_fall_back_to_full_forwards(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, Gemma3nTextConfig

    from circuitseer_core.model.attention import NAME
    from tests.support.tiny_models import _draw_weights, tiny_tokenizer

    config = Gemma3nTextConfig(
        vocab_size=320,
        vocab_size_per_layer_input=320,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_kv_shared_layers=2,
        hidden_size_per_layer_input=8,
        laurel_rank=4,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention"] * 2,
        activation_sparsity_pattern=[0.0] * 4,
        max_position_embeddings=128,
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation=NAME, dtype=torch.float32)
    _draw_weights(model, 1.0, 0)
    reference = ReferenceModel(model, tiny_tokenizer(), name="shared")
    batch = samples(2)
    with torch.inference_mode():
        assert not replay_is_exact(reference, loss_batch(batch, reference.device))
    want = expected(reference, batch)
    got = measured(reference, batch, replay=False)
    assert (got - want).abs().max() <= 1e-5


def test_clean_loss_is_the_models_own(tmp_path: Path) -> None:
    for kind in ("gemma2", "gpt2", "llama"):  # gemma2 caps its final logits
        reference = tiny_model(kind)
        batch = samples()
        with torch.inference_mode():
            got = clean_losses(reference, loss_batch(batch, reference.device))
        want = [naive_loss(reference, s, {}) for s in batch]
        assert np.abs(got.numpy() - want).max() <= 1e-5


@pytest.fixture
def setup(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    folder = save_tiny(tmp_path / "model", "llama", layers=3)
    data = write_data(tmp_path / "data.jsonl")
    options = {"model": str(folder), "probe": [str(data)], "probe_size": 6, "probe_pool": 10}
    return tmp_path, options | {"stack_tokens": 400}


def run_detect(path: Path, options: dict[str, Any]) -> Run:
    run = Run.create(path)
    detect(run, DetectSettings(**options), show=False)
    return run


def test_files_of_a_run(setup: tuple[Path, dict[str, Any]]) -> None:
    tmp, options = setup
    run = run_detect(tmp / "run", options)
    probe, pool, heads = run.probe(), run.pool(), run.heads()
    assert len(pool) == 10 and len(probe) == 6
    assert set(probe["id"]) == set(pool.nlargest(6, "base_loss")["id"])
    assert list(heads.columns[:7]) == [
        "layer", "head", "importance", "stderr", "n", "raced_out", "rank",
    ]  # fmt: skip
    assert len(heads) == 12 and sorted(heads["rank"]) == list(range(1, 13))
    table = run.importance()
    assert list(table.columns) == ["id", "set", "layer", "head", "delta_loss"]
    assert len(table) == 6 * 12
    means = table.groupby(["layer", "head"])["delta_loss"].mean().to_numpy()
    assert np.allclose(heads["importance"], means)
    noise = run.record.detect
    assert 0 < noise.noise_floor < 1e-4 and noise.batch_spread < 1e-5
    assert (noise.noise_pairs, noise.noise_against, noise.noise_unmeasured) == (16, "fp64", None)
    assert run.stage_state()["detect"] == "done"


@pytest.mark.parametrize("mode", ["exact", "racing"])
def test_a_killed_run_resumes_to_the_same_numbers(
    mode: str, setup: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp, options = setup
    options = options | {"mode": mode}
    whole = run_detect(tmp / "whole", options)
    write = parts.write_part
    done: list[Path] = []

    def dies(path: Path, *args: Any, **kwargs: Any) -> None:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(path)
        write(path, *args, **kwargs)

    monkeypatch.setattr(parts, "write_part", dies)
    with pytest.raises(KeyboardInterrupt):
        run_detect(tmp / "killed", options)
    written = [p.stat().st_mtime_ns for p in done]
    done[-1].write_bytes(done[-1].read_bytes()[:100])  # a truncated part must be redone
    redone: list[Path] = []

    def records(path: Path, *args: Any, **kwargs: Any) -> None:
        redone.append(path)
        write(path, *args, **kwargs)

    monkeypatch.setattr(parts, "write_part", records)
    resumed = run_detect(tmp / "killed", options)
    assert len(written) == 4 and set(redone) & set(done) == {done[-1]}
    pd.testing.assert_frame_equal(whole.heads(), resumed.heads())
    pd.testing.assert_frame_equal(whole.importance(), resumed.importance())


def test_every_phase_has_a_name_and_the_pool_counts_the_ablations_ahead(
    setup: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp, options = setup
    said: list[ProgressRecord] = []
    write = ProgressRecord.write

    def keep(record: ProgressRecord, path: Path) -> None:
        said.append(record)
        write(record, path)

    monkeypatch.setattr(ProgressRecord, "write", keep)
    run_detect(tmp / "run", options | {"stack_tokens": None})
    assert list(dict.fromkeys(record.phase for record in said)) == [
        "Reading the data",
        "Loading the model",
        "Drawing candidates for the probe",
        "Measuring the speed",
        "Clean loss of candidates for the probe",
        "Finding the batch size",
        "Ablating heads",
        "Measuring the noise floor",
    ]
    pool = next(r for r in said if r.phase.startswith("Clean loss") and r.state == "done")
    ahead = 6 * 12 * FORWARDS_PER_EVALUATION  # samples, heads: done itself, this is what is left
    assert pool.done == pool.total and pool.eta_s == pytest.approx(ahead / pool.rate, abs=0.1)


def test_running_again_does_nothing(setup: tuple[Path, dict[str, Any]]) -> None:
    tmp, options = setup
    run = run_detect(tmp / "run", options)
    before = run.heads_path.stat().st_mtime_ns
    run_detect(tmp / "run", options | {"model": options["model"]})
    assert run.heads_path.stat().st_mtime_ns == before


def test_racing_keeps_estimates_of_raced_out_heads(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", "llama", layers=6)
    data = write_data(tmp_path / "data.jsonl", 16)
    options = {"model": str(folder), "probe": [str(data)], "probe_size": 12, "stack_tokens": 400}
    exact = run_detect(tmp_path / "exact", options).heads()
    raced = run_detect(tmp_path / "raced", options | {"mode": "racing"}).heads()
    assert len(raced) == 24 and raced["raced_out"].sum() == 24 - 4
    assert (raced.loc[~raced["raced_out"], "n"] == 12).all()
    assert raced.loc[raced["raced_out"], "n"].max() < 12
    assert raced.loc[~raced["raced_out"], "rank"].max() == 4
    both = raced[~raced["raced_out"]].merge(exact, on=["layer", "head"])
    assert np.allclose(both["importance_x"], both["importance_y"], atol=1e-5)


def test_contrast_gives_specificity(setup: tuple[Path, dict[str, Any]]) -> None:
    tmp, options = setup
    other = write_data(tmp / "other.jsonl", 9, sources=1)
    options = options | {"contrast": [str(other)], "mode": "racing", "rank_by": "specificity"}
    run = run_detect(tmp / "run", options)
    heads, table, probe = run.heads(), run.importance(), run.probe()
    assert set(table["set"]) == {"probe", "contrast"}
    assert len(probe[probe["set"] == "contrast"]) == 6
    head = heads[~heads["raced_out"]].iloc[0]
    ratio = {}
    for name in ("probe", "contrast"):
        mine = table[(table["set"] == name) & (table["layer"] == head["layer"])]
        mine = mine[mine["head"] == head["head"]]
        clean = probe[probe["set"] == name]["base_loss"].mean()
        ratio[name] = mine["delta_loss"].mean() / clean
    assert head["specificity"] == pytest.approx(ratio["probe"] - ratio["contrast"])
    assert heads["specificity_rank"].min() == 1


def test_out_of_memory_halves_the_stack_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tiny_model("llama")
    batch = samples()
    want = measured(reference, batch, stack_tokens=10_000)
    limit = 130  # tokens in one forward pass: not even one variant of the whole batch at first
    true_hidden = ReferenceModel.hidden

    def hidden(self: ReferenceModel, ids: Tensor) -> Tensor:
        if ids.numel() > limit:
            raise torch.OutOfMemoryError("injected")
        return true_hidden(self, ids)

    monkeypatch.setattr(ReferenceModel, "hidden", hidden)
    assert (measured(reference, batch, stack_tokens=10_000) - want).abs().max() <= 1e-5
    limit = 60
    assert (measured(reference, batch, stack_tokens=10_000) - want).abs().max() <= 1e-5
    limit = 10
    with pytest.raises(UserError, match="max-length"):
        measured(reference, batch, stack_tokens=10_000)


def test_out_of_memory_halves_joint_losses_and_head_means(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tiny_model("llama")
    batch = samples()
    sets = [[(0, 0)], [(1, 1), (0, 2)], [(1, 0)]]
    want_losses, want_means = joint_loss(reference, batch, sets), mean_outputs(reference, batch)
    limit = max(sample.n_tokens for sample in batch)  # one sample, one set
    true_hidden = ReferenceModel.hidden

    def hidden(self: ReferenceModel, ids: Tensor) -> Tensor:
        states = true_hidden(self, ids)  # hooks have seen the pass that then fails
        if ids.numel() > limit:
            raise RuntimeError("DefaultCPUAllocator: not enough memory")
        return states

    monkeypatch.setattr(ReferenceModel, "hidden", hidden)
    assert np.abs(joint_loss(reference, batch, sets) - want_losses).max() <= 1e-5
    for layer, means in mean_outputs(reference, batch).items():
        torch.testing.assert_close(means, want_means[layer], atol=1e-5, rtol=1e-5)
    limit = 3
    for work in (
        lambda: joint_loss(reference, batch, sets),
        lambda: mean_outputs(reference, batch),
    ):
        with pytest.raises(UserError, match="max-length"):
            work()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probe": ["missing.jsonl"]}, "missing.jsonl"),
        ({"model": "/no/such/model"}, "cannot be loaded"),
        ({"prompt_field": "nope"}, "question"),
        ({"response_field": "nope"}, "nope|no response"),
        ({"max_length": 3}, "longer than 3"),
        ({"max_length": 9999}, "positions"),
    ],
)
def test_bad_input_is_one_clear_line(
    setup: tuple[Path, dict[str, Any]], change: dict[str, Any], message: str
) -> None:
    tmp, options = setup
    with pytest.raises(UserError, match=message) as caught:
        run_detect(tmp / "run", options | change)
    assert "\n" not in str(caught.value)
    run = Run.open(tmp / "run")
    run.discard_if_empty()
    assert not run.path.exists()


def test_no_responses(setup: tuple[Path, dict[str, Any]]) -> None:
    tmp, options = setup
    bare = tmp / "bare.jsonl"
    bare.write_text("\n".join(json.dumps({"question": f"What is {i} + 1?"}) for i in range(8)))
    options = options | {"probe": [str(bare)]}
    with pytest.raises(UserError, match="no response"):
        run_detect(tmp / "run", options)
    run = run_detect(tmp / "all", options | {"loss_tokens": "all"})
    assert (run.probe()["n_loss_tokens"] == run.probe()["n_tokens"] - 1).all()


def test_a_run_of_another_model_or_other_settings_is_refused(
    setup: tuple[Path, dict[str, Any]],
) -> None:
    tmp, options = setup
    run_detect(tmp / "run", options)
    with pytest.raises(UserError, match="probe-size"):
        run_detect(tmp / "run", options | {"probe_size": 5})
    run = Run.open(tmp / "run")
    run.heads_path.unlink()
    save_tiny(Path(options["model"]), "llama", layers=3, seed=1)
    with pytest.raises(UserError, match="weights"):
        run_detect(tmp / "run", options)


def test_a_model_without_attention_heads_is_refused_by_name() -> None:
    from transformers import AutoModelForCausalLM, MambaConfig

    from tests.support.tiny_models import tiny_tokenizer

    config = MambaConfig(vocab_size=320, hidden_size=16, num_hidden_layers=1, state_size=4)
    model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(UserError, match="MambaForCausalLM has no attention heads"):
        ReferenceModel(model, tiny_tokenizer(), name="mamba")


def test_hybrid_models_leave_out_layers_without_heads() -> None:
    from transformers import AutoModelForCausalLM, Lfm2Config

    from circuitseer_core.model.attention import NAME
    from tests.support.tiny_models import _draw_weights, tiny_tokenizer

    config = Lfm2Config(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention", "conv", "full_attention"],
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation=NAME, dtype=torch.float32)
    _draw_weights(model, 1.5, 0)
    reference = ReferenceModel(model, tiny_tokenizer(), name="hybrid")
    assert reference.heads_per_layer == [0, 4, 0, 4]
    batch = samples()
    with torch.inference_mode():
        assert replay_is_exact(reference, loss_batch(batch, reference.device))
    want = expected(reference, batch)
    assert want.abs().median() >= 1e-3
    assert (measured(reference, batch) - want).abs().max() <= 1e-5


def test_a_run_goes_on_on_another_device(tmp_path: Path) -> None:
    """Which device is no part of what was measured; the precision is."""
    model, data = str(save_tiny(tmp_path / "model")), str(write_data(tmp_path / "sums.jsonl"))
    run = Run.create(tmp_path / "run")
    options: dict[str, Any] = {"model": model, "probe": [data], "probe_size": 3, "probe_pool": 9}
    heads = detect(run, DetectSettings(**options, device="cpu"), show=False)
    run.heads_path.unlink()
    before = [p.stat().st_mtime_ns for p in run.importance_dir.iterdir()]
    again = detect(run, DetectSettings(**options, device="auto"), show=False)
    pd.testing.assert_frame_equal(heads, again)
    assert [p.stat().st_mtime_ns for p in run.importance_dir.iterdir()] == before
    one, other = (DetectSettings(**options, device=d) for d in ("cpu", "cuda:1"))
    assert one.fingerprint() == other.fingerprint()
