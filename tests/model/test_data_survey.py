"""What could serve in a probe, by a model's tokenizer, from this machine alone if so asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.model.data_survey import survey_data
from tests.support.detected_run import write_rows
from tests.support.tiny_models import save_tiny


def test_what_can_serve_depends_on_the_tokens_that_count(tmp_path: Path) -> None:
    rows = [{"question": "What is 1 + 1?", "answer": "2"}, {"question": "And 2 + 2?"}]
    data = [write_rows(tmp_path / "q.jsonl", rows)]
    model = str(save_tiny(tmp_path / "tiny"))
    seen = survey_data(data, model=model, offline=True)
    assert (seen.length_unit, seen.probe) == ("tokens", 1)
    assert [(each.reason, each.rows) for each in seen.not_probe] == [("no response", 1)]
    assert survey_data(data, model=model, loss_tokens="all").probe == 2


def test_offline_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    data = [write_rows(tmp_path / "q.jsonl", [{"question": "a?", "answer": "b"}])]
    with pytest.raises(UserError, match="cannot be loaded"):
        survey_data(data, model="nobody/has-this-model", offline=True)
