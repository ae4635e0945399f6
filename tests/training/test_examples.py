"""Examples and steps: every arm sees about the same tokens in the same number of steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.errors import UserError
from circuitseer_core.training.examples import held_out, prompts_of, steps_of, training_examples
from tests.support.tiny_models import tiny_tokenizer


@pytest.mark.parametrize("mean", [20, 90])
def test_steps_hold_about_as_many_tokens_whatever_the_lengths(mean: int) -> None:
    rng = np.random.default_rng(mean)
    lengths = rng.integers(mean // 2, mean * 3 // 2, 150).tolist()
    steps = steps_of(lengths, 400, 40, seed=1)
    tokens = [sum(lengths[i] for i in step) for step in steps]
    assert len(steps) == 40 and max(tokens) <= 400 and np.mean(tokens) > 400 - 1.5 * mean
    seen = np.bincount([i for step in steps for i in step], minlength=150)
    assert seen.max() - seen.min() <= 1, "a further pass begins when all were seen"
    assert steps == steps_of(lengths, 400, 40, seed=1) != steps_of(lengths, 400, 40, seed=2)


def test_an_example_longer_than_a_step_is_a_step() -> None:
    assert steps_of([900], 100, 2, seed=0) == [[0], [0]]


def test_an_arm_is_read_with_its_end_token_and_without_what_is_too_long(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(bos=True)
    tokenizer.eos_token = "<s>"
    path = tmp_path / "soft.jsonl"
    chats = [("1 + 1", "2"), ("2 + 2", "4 " * 300)]
    path.write_text(
        "\n".join(
            json.dumps({"messages": [{"role": "user", "content": q},
                                     {"role": "assistant", "content": a}]})
            for q, a in chats
        )
    )  # fmt: skip
    read = training_examples(tokenizer, path, template="plain", max_length=64)
    kept = read.usable
    assert (read.long, read.unusable, read.tokens) == (1, 0, len(kept[0].ids))
    assert len(kept) == 1 and kept[0].ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(kept[0].ids[kept[0].loss_from : -1]) == "2"
    assert not training_examples(tokenizer, path, template="plain", max_length=3).usable


def test_held_out_samples_are_even_over_sources_and_repeatable(tmp_path: Path) -> None:
    rows = [{"question": f"{i} + {i}", "answer": str(2 * i), "source": "ab"[i > 5]}
            for i in range(40)]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    options = {"template": "plain", "max_length": 64, "per_source": 5, "seed": 0}
    judged = held_out(tiny_tokenizer(), Corpus([str(path)]), **options)
    kept = judged.samples
    assert [s.source for s in kept] == ["a"] * 5 + ["b"] * 5
    assert {s.id for s in kept} <= set(judged.texts)
    again = held_out(tiny_tokenizer(), Corpus([str(path)]), **options).samples
    assert [s.id for s in again] == [s.id for s in kept]
    with pytest.raises(UserError, match="no held-out sample"):
        held_out(tiny_tokenizer(), Corpus([str(path)]), **options | {"max_length": 2})


def test_what_an_arm_asks_is_not_held_out(tmp_path: Path) -> None:
    arm = tmp_path / "soft.jsonl"
    chats = [
        [{"role": "user", "content": "0  + 0"}],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1"}],
    ]
    answer = {"role": "assistant", "content": "2"}
    arm.write_text("\n".join(json.dumps({"messages": [*chat, answer]}) for chat in chats))
    rows = [{"question": f"{i} + {i}", "answer": str(2 * i)} for i in range(4)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    options = {"template": "plain", "max_length": 64, "per_source": 5, "seed": 0}
    judged = held_out(tiny_tokenizer(), Corpus([str(path)]), without=prompts_of([arm]), **options)
    assert judged.left_out == 2
    assert {judged.texts[s.id].prompt for s in judged.samples} == {"2 + 2", "3 + 3"}
    with pytest.raises(UserError, match=r"\(4 stand in an arm or the probe\)"):
        held_out(tiny_tokenizer(), Corpus([str(path)]), without=prompts_of([path, arm]), **options)
