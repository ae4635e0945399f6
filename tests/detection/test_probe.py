"""The choice of the probe."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Sample
from circuitseer_core.detection.probe import (
    AS_THE_PROBE,
    Candidates,
    choose_probe,
    draw_candidates,
    encode_candidates,
)
from circuitseer_core.errors import UserError
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.loading import load_model
from circuitseer_core.model.reference import ReferenceModel
from tests.support.detected_run import write_rows
from tests.support.tiny_models import save_tiny


def test_probe_criteria() -> None:
    samples = [Encoded(f"s{i}", "ab"[i % 3 == 0], [1, 2], 1) for i in range(9)]
    losses = np.array([1, 9, 2, 8, 3, 7, np.nan, 6, 5.0])
    assert choose_probe(samples, losses, criterion="loss", size=3) == [1, 3, 5]
    assert choose_probe(samples, losses, criterion="random", size=3) == [0, 1, 2]
    even = choose_probe(samples, losses, criterion="stratified", size=4)
    assert sorted(samples[i].source for i in even) == ["a", "a", "b", "b"]
    with pytest.raises(UserError):
        choose_probe(samples, np.full(9, np.nan), criterion="loss", size=3)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> ReferenceModel:
    return load_model(str(save_tiny(tmp_path_factory.mktemp("tiny") / "model")), device="cpu")[0]


def candidates(reference: ReferenceModel, data: str, size: int) -> Candidates:
    return encode_candidates(
        reference,
        Corpus([data]),
        size=size,
        seed=3,
        template="plain",
        loss_tokens="response",
        max_length=40,
    )


def rows(short: int, long: int) -> list[dict[str, object]]:
    """Short samples and, mixed among them, samples over the length limit."""
    kept = [{"id": f"s{i}", "question": f"{i} + 1?", "answer": "more apples"} for i in range(short)]
    over = [{"id": f"l{i}", "question": "apples " * 60, "answer": "more"} for i in range(long)]
    return [*kept, *over]


def test_others_take_the_place_of_samples_that_cannot_serve(
    reference: ReferenceModel, tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "mixed.jsonl", rows(20, 180))
    drawn = candidates(reference, data, 12)
    assert len(drawn.samples) == 12 and drawn.n_seen == 200
    # The same as filtering first and drawing then.
    every, _, _ = draw_candidates(Corpus([data]), 200, 3)
    assert [s.id for s in drawn.samples] == [s.id for s in every if "/s" in s.id][:12]
    last = [s.id for s in every].index(drawn.samples[-1].id)
    assert drawn.left_out == {"longer than 40 tokens": last - 11}


def test_data_that_has_no_more_gives_what_it_has(reference: ReferenceModel, tmp_path: Path) -> None:
    drawn = candidates(reference, write_rows(tmp_path / "few.jsonl", rows(3, 37)), 6)
    assert len(drawn.samples) == 3 and drawn.left_out == {"longer than 40 tokens": 37}


def test_every_reject_is_counted(reference: ReferenceModel, tmp_path: Path) -> None:
    broken = [{"id": f"e{i}", "question": "", "answer": "none"} for i in range(1200)]
    drawn = candidates(reference, write_rows(tmp_path / "r.jsonl", [*rows(3, 0), *broken]), 6)
    assert sum(drawn.left_out.values()) == 1200


def test_nothing_left_names_the_reason(reference: ReferenceModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="longer than 40 tokens"):
        candidates(reference, write_rows(tmp_path / "long.jsonl", rows(0, 5)), 6)


def test_the_hint_is_that_of_who_asks(reference: ReferenceModel, tmp_path: Path) -> None:
    data = Corpus([write_rows(tmp_path / "d.jsonl", [{"question": "1 + 1?"}])])
    how: dict[str, Any] = {"seed": 0, "template": "plain", "loss_tokens": "response"}
    with pytest.raises(UserError, match="no response; --loss-tokens all works without"):
        encode_candidates(reference, data, size=2, max_length=40, **how)
    with pytest.raises(UserError, match="no response; losses are of responses, as in this run"):
        encode_candidates(reference, data, size=2, max_length=40, hints=AS_THE_PROBE, **how)


def test_none_are_drawn_of_none() -> None:
    assert draw_candidates([Sample("s", "s", "p", None, {})], 0, 3) == ([], 1, Counter())
