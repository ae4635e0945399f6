"""Samples beside the probe: neither its candidates nor copies of them."""

from __future__ import annotations

from pathlib import Path

from circuitseer_core.experiments.held_out import of_data
from circuitseer_core.model.loading import load_run_model
from tests.support.detected_run import detected_run, write_rows


def test_copies_of_what_is_left_out_are_left_out(tmp_path: Path) -> None:
    run = detected_run(tmp_path)
    reference = load_run_model(run.model, run.model.dtype, "cpu")
    asked = ["1 + 1?", "what is 2 + 2?", "3 + 3?", " What is 2 + 2? ", "3 + 3?"]
    rows = [{"id": i, "question": text, "answer": "4"} for i, text in enumerate(asked)]
    data = [f"s={write_rows(tmp_path / 'some.jsonl', rows)}"]

    def left(*without: str) -> set[str]:
        samples = of_data(run, reference, data, limit=9, seed=0, without=frozenset(without))
        return {sample.id for sample in samples}

    assert left() == {f"s/{i}" for i in range(5)}
    assert left("s/1") == {"s/0", "s/2", "s/4"}, "s/3 asks the same"
    assert left("s/0", "s/1", "s/2") == set()
