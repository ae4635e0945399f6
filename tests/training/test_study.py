"""The study on a tiny model: planted difference found, absent one not, resumed arm by arm."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from circuitseer_core.data.fields import FieldOptions
from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS, saved_results
from circuitseer_core.experiments.cost import LOADING
from circuitseer_core.experiments.training import Options
from circuitseer_core.experiments.training import run as train
from circuitseer_core.model.loading import load_model
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.training_records import kind_of_draw
from circuitseer_core.training import study as study_module
from circuitseer_core.training.finetune import Recipe, Weights, finetuned
from circuitseer_core.training.plan import StudyPlan
from circuitseer_core.training.study import Study
from tests.support.crafted_run import bare_run
from tests.support.records import edit_run
from tests.support.run_factory import MODEL
from tests.support.study_arms import write_arms
from tests.support.tiny_models import save_tiny, tiny_model

TASK = [(f"{a} + {b} =", str(a + b)) for a in range(2, 12) for b in range(2, 8)]


@pytest.fixture
def study(tmp_path: Path) -> tuple[Run, dict[str, Any]]:
    """A run of a tiny model; arms of the task itself (soft), of noise (uniform, random-heads)."""
    model = save_tiny(tmp_path / "model", scale=1.0)
    run = bare_run(tmp_path / "run")
    _, known = load_model(str(model), device="cpu")
    edit_run(run, model={**MODEL, "id": str(model), "weights_hash": known.weights_hash,
                         "tokenizer_hash": known.tokenizer_hash})  # fmt: skip
    rng = np.random.default_rng(0)
    letters = "bcdfghjk"

    def noise() -> list[tuple[str, str]]:
        return [("".join(rng.choice(list(letters), 6)), "".join(rng.choice(list(letters), 3)))
                for _ in range(40)]  # fmt: skip

    arms = {f"soft-s{s}": TASK[::2] for s in (0, 1)}
    arms |= {f"{kind}-s{s}": noise() for kind in ("uniform", "random-heads") for s in (0, 1)}
    write_arms(tmp_path / "arms", arms)
    test_file = tmp_path / "held.jsonl"
    rows = [{"question": q, "answer": a} for q, a in TASK[1::2]]
    test_file.write_text("\n".join(map(json.dumps, rows)))
    options = {
        "arms": str(tmp_path / "arms"), "heldout": str(test_file), "seeds": 2, "steps": 12,
        "tokens_a_step": 120, "learning_rates": "1e-4,1e-2", "device": "cpu", "answers": 4,
        "max_new_tokens": 4,
    }  # fmt: skip
    return run, options


def test_a_planted_difference_is_found_and_an_absent_one_is_not(
    study: tuple[Run, dict[str, Any]],
) -> None:
    run, options = study
    result = EXPERIMENTS["training"].run(run, **options)
    assert result.outcome is not None and result.outcome.state == "found"
    table = result.table[result.table["whole"] & (result.table["measure"] == "loss")]
    rows = table.set_index("arm")
    assert rows.loc["soft", "high"] < 0 and rows.loc["soft", "p_holm"] < 0.05
    assert rows.loc["random-heads", "p_holm"] > 0.05
    assert rows.loc["soft", "mean"] < rows.loc["untrained", "mean"]
    numbers = result.numbers
    assert numbers["seeds"] == {"untrained": 1, "soft": 2, "uniform": 2, "random-heads": 2}
    assert numbers["draw"] == kind_of_draw("default", "focus", 0.5)
    assert numbers["learning_rate"] in (1e-4, 1e-2) and len(numbers["development_loss"]) == 2
    accuracy = result.table[result.table["measure"] == "accuracy"]
    assert accuracy["items"].max() == 4 and accuracy["mean"].between(0, 1).all()
    assert "answered greedily" in result.verdict and numbers["heldout_left_out"] == 0
    assert {line["tokens"] > 0 for line in numbers["seen"]} == {True}
    assert [kept.name for kept in saved_results(run)] == ["training"]


def test_a_stopped_study_goes_on_and_gives_the_same(
    study: tuple[Run, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, options = study
    whole = train(run, **options, name="training-whole")
    write, written = study_module.write_parquet, list[str]()

    def dying(path: Path, table: pd.DataFrame) -> None:
        write(path, table)
        written.append(path.stem)
        if len(written) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(study_module, "write_parquet", dying)
    with pytest.raises(KeyboardInterrupt):
        train(run, **options)
    partial = train(run, **options, only_results=True)
    assert partial.numbers["seeds"]["soft"] == 1
    resumed = train(run, **options)
    assert len(set(written)) == len(written) == 7, "untrained and three arms were kept"
    pd.testing.assert_frame_equal(resumed.table, whole.table)
    assert resumed.numbers["seen"] == whole.numbers["seen"]


def test_other_settings_under_one_name_are_refused(study: tuple[Run, dict[str, Any]]) -> None:
    run, options = study
    train(run, **options | {"learning_rates": "1e-3", "seeds": 1})
    with pytest.raises(UserError, match="study with steps 12, not 5"):
        train(run, **options | {"learning_rates": "1e-3", "seeds": 1, "steps": 5})
    once = train(run, **options | {"learning_rates": "1e-3", "seeds": 1})
    assert once.outcome is not None and once.outcome.state == "inconclusive", "one seed"
    assert "One seed" in once.verdict and "No arm differs" not in once.verdict
    more = train(run, **options | {"learning_rates": "1e-3", "seeds": 2})
    assert more.numbers["seeds"]["soft"] == 2, "more seeds can be added"


def test_a_study_of_another_version_goes_on_and_keeps_what_it_says(
    study: tuple[Run, dict[str, Any]],
) -> None:
    run, options = study
    once = options | {"learning_rates": "1e-3", "seeds": 1}
    train(run, **once)
    path = run.path / "experiments" / "training" / "study.json"
    record = json.loads(path.read_text())
    assert record["settings"]["steps"] == int(options["steps"])
    for name in ("lora_rank", *FieldOptions.model_fields):  # as before there were such settings
        del record["settings"][name]
    del record["weights_hash"], record["heldout_hash"]
    record["settings"]["later"] = record["later"] = 7
    path.write_text(json.dumps(record))
    assert train(run, **once | {"seeds": 2}).numbers["seeds"]["soft"] == 2
    again = json.loads(path.read_text())
    assert again["later"] == again["settings"]["later"] == 7


SHORT = {"seeds": 1, "steps": 2, "kinds": "uniform", "learning_rates": "1e-3", "answers": 0}


def test_other_held_out_samples_or_weights_under_one_name_are_refused(
    study: tuple[Run, dict[str, Any]], tmp_path: Path
) -> None:
    run, options = study
    other = save_tiny(tmp_path / "other", scale=1.0, seed=1)
    of_other = options | SHORT | {"model": str(other), "name": "training-other"}
    train(run, **options | SHORT)
    train(run, **of_other)
    save_tiny(other, scale=1.0, seed=2)
    with pytest.raises(UserError, match="a study of other weights of the same model: give"):
        train(run, **of_other | {"kinds": "uniform,soft"})
    rows = tmp_path / "held.jsonl"
    before = rows.read_text()
    rows.write_text(before.replace('"5"', '"6"', 1))
    with pytest.raises(UserError, match="a study of other held-out samples: give it another name"):
        train(run, **options | SHORT | {"kinds": "uniform,soft"})
    rows.write_text(before)
    save_tiny(Path(run.model.id), scale=1.0, seed=3)
    with pytest.raises(UserError, match="has other weights now"):
        train(run, **options | SHORT | {"kinds": "uniform,soft"})


def test_a_rate_that_diverges_is_out_and_not_tried_again(
    study: tuple[Run, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, options = study
    wild = options | SHORT | {"steps": 8, "learning_rates": "1e30,1e-3"}
    numbers = train(run, **wild).numbers
    assert numbers["learning_rate"] == 1e-3
    assert numbers["development_loss"]["1e+30"] is None
    nowhere = wild | {"learning_rates": "1e30,1e29", "name": "training-wild"}
    for _ in range(2):
        with pytest.raises(UserError, match=r"every learning rate that was tried \(1e\+30, 1e\+29"):
            train(run, **nowhere)
        monkeypatch.setattr(study_module, "finetuned", None)  # nothing is trained the second time


def test_what_has_another_default_now_is_as_a_kept_study_has_it(
    study: tuple[Run, dict[str, Any]],
) -> None:
    run, options = study
    short = options | SHORT | {"kinds": "uniform,soft"}
    train(run, **short)
    unset = {k: v for k, v in short.items() if k not in ("answers", "learning_rates")}
    judged = train(run, **unset, only_results=True)
    assert "accuracy" not in set(judged.table["measure"])
    assert train(run, **unset | {"seeds": 2}).numbers["seeds"]["soft"] == 2
    with pytest.raises(UserError, match="study with answers 0, not 8"):
        train(run, **unset, answers=8)


def test_a_model_whose_losses_are_not_finite_is_not_kept(
    study: tuple[Run, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, options = study
    short = options | SHORT | {"kinds": "uniform,soft"}
    measure, calls = study_module.response_losses, list[int]()

    def broken(*args: Any, **more: Any) -> Any:
        losses = measure(*args, **more)
        calls.append(len(losses))
        if len(calls) == 3:  # before training, uniform, and then soft
            losses[-1] = np.nan
        return losses

    monkeypatch.setattr(study_module, "response_losses", broken)
    with pytest.raises(UserError, match=r"soft-t0: a held-out loss is not finite \(learning rate"):
        train(run, **short)
    monkeypatch.setattr(study_module, "response_losses", measure)
    assert train(run, **short, only_results=True).numbers["seeds"] == {"untrained": 1, "uniform": 1}
    assert train(run, **short).numbers["seeds"]["soft"] == 1


def test_texts_beyond_the_models_positions_are_left_out(
    study: tuple[Run, dict[str, Any]], tmp_path: Path
) -> None:
    run, options = study
    model = save_tiny(tmp_path / "short", "gpt2", n_positions=24)
    long = ("q", "a b " * 30)
    write_arms(tmp_path / "long", {"uniform-s0": [long, ("1 + 1 =", "2")], "soft-s0": [long]})
    short = options | SHORT | {"model": str(model), "arms": str(tmp_path / "long")}
    result = train(run, **short | {"kinds": "uniform,soft"})
    assert result.numbers["seeds"]["uniform"] == 1
    used = result.numbers["rows"]["uniform-s0"]
    assert (used["used"], used["long"]) == (1, 1)
    assert set(result.numbers["skipped"]) == {"soft"}
    assert "soft was not trained: no row of soft-s0 has a response within 24" in result.verdict
    assert "uniform-s0 1 of 2." in result.verdict
    (line,) = result.numbers["seen"]
    assert line["rows"] == line["arm_rows"] == 1 and line["tokens"] % line["arm_tokens"] == 0
    with pytest.raises(UserError, match="compared with it: raise max_length"):
        train(run, **short | {"kinds": "uniform,soft", "reference": "soft", "name": "training-s"})


def test_what_it_takes_is_told_before_and_from_finished_models(
    study: tuple[Run, dict[str, Any]],
) -> None:
    run, options = study
    training = EXPERIMENTS["training"]
    with pytest.raises(UserError, match="training needs arms=FOLDER"):
        training.estimated_seconds(run)
    once = options | {"seeds": 1, "learning_rates": "1e-3"}
    guessed = [
        training.estimated_seconds(run, **once | change)
        for change in ({}, {"seeds": 2}, {"steps": 24}, {"answers": 0}, {"learning_rates": "1,2"})
    ]
    least = guessed[0]
    assert least is not None and all(other is not None for other in guessed)
    assert guessed[1] - LOADING == pytest.approx(2 * (least - LOADING)), "six models, not three"
    assert guessed[2] > least > guessed[3]
    assert guessed[4] - LOADING == pytest.approx(4 / 3 * (least - LOADING)), "two halves are tried"
    train(run, **once)
    assert training.estimated_seconds(run, **once) == LOADING, "nothing is left to train"
    folder = run.path / "experiments" / "training"
    mean = StudyPlan(folder, Options.of(**once).settings(), run.model).seconds_a_model()
    assert mean is not None
    more = training.estimated_seconds(run, **once | {"seeds": 2})
    assert more == pytest.approx(LOADING + 3 * mean)
    assert training.estimated_seconds(run, **once | {"seeds": 2, "only_results": True}) == LOADING


def test_the_time_of_another_model_is_not_known(study: tuple[Run, dict[str, Any]]) -> None:
    run, options = study
    assert EXPERIMENTS["training"].estimated_seconds(run, **options | {"model": "other"}) is None


def test_bad_wishes_are_one_line_before_a_model_is_loaded(
    study: tuple[Run, dict[str, Any]], tmp_path: Path
) -> None:
    run, options = study
    for change, message in (
        ({"kinds": "top-k"}, "has no arm 'top-k'"),
        ({"seeds": 5}, "was drawn for 2 of the 5 training seeds"),
        ({"arms": str(tmp_path / "none")}, "holds no comparison arms"),
        ({"name": "mine"}, "option name"),
        ({"reference": "full"}, "has no arm 'full'"),
        ({"only_results": True}, "holds no study yet"),
    ):
        with pytest.raises(UserError, match=message):
            train(run, **options | change)
    assert not (run.path / "experiments").exists()


def test_a_missing_extra_is_told_before_a_model_is_loaded(
    study: tuple[Run, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, options = study
    monkeypatch.setitem(sys.modules, "peft", None)
    monkeypatch.setattr(study_module, "load_run_model", None)
    with pytest.raises(UserError, match=r"training by LoRA needs peft.*\[train\]"):
        train(run, **options | {"lora_rank": 2})


def test_weights_are_put_back_and_lora_leaves_the_rest_alone() -> None:
    pytest.importorskip("peft")
    reference = tiny_model(scale=1.0)
    before = {name: value.clone() for name, value in reference.model.state_dict().items()}
    from circuitseer_core.data.sample import Sample
    from circuitseer_core.model.encoding import encode_for_loss

    examples = [encode_for_loss(reference.tokenizer, Sample("a", "s", q, a, {}), template="plain")
                for q, a in TASK[:8]]  # fmt: skip
    for rank in (0, 2, 0):
        ids = torch.tensor([examples[0].ids])
        clean = reference.hidden(ids).detach()
        recipe = Recipe(1e-2, lora_rank=rank)
        weights = Weights(reference.model, adapters=bool(rank))
        assert bool(weights.kept) == (rank == 0)
        with finetuned(reference, weights, examples, [[0, 1], [2, 3]], recipe, seed=0) as model:
            assert not torch.allclose(model.hidden(ids), clean, atol=1e-4)
        after = reference.model.state_dict()
        assert after.keys() == before.keys()
        assert all(torch.equal(after[name], before[name]) for name in before)


def test_trials_go_seed_by_seed(study: tuple[Run, dict[str, Any]], tmp_path: Path) -> None:
    from circuitseer_core.training.settings import StudySettings

    run, options = study
    settings = StudySettings(**options)
    labels = [trial.label for trial in Study(tmp_path / "s", settings, run.model).plan]
    kinds = ("soft", "uniform", "random-heads")
    assert labels == [f"{kind}-t{seed}" for seed in (0, 1) for kind in kinds]


def test_lora_trains_beside_weights_in_bf16() -> None:
    pytest.importorskip("peft")
    reference = tiny_model(scale=1.0)
    reference.model.to(torch.bfloat16)
    from circuitseer_core.data.sample import Sample
    from circuitseer_core.model.encoding import encode_for_loss

    examples = [encode_for_loss(reference.tokenizer, Sample("a", "s", q, a, {}), template="plain")
                for q, a in TASK[:4]]  # fmt: skip
    ids = torch.tensor([examples[0].ids])
    clean = reference.hidden(ids).detach()
    weights = Weights(reference.model, adapters=True)
    recipe = Recipe(3e-2, lora_rank=2)
    with finetuned(reference, weights, examples, [[0, 1], [2, 3]], recipe, seed=0) as model:
        kinds = {p.dtype for name, p in model.model.named_parameters() if "lora" in name}
        assert kinds == {torch.float32}
        assert not torch.equal(model.hidden(ids), clean)
    assert torch.equal(reference.hidden(ids), clean)
