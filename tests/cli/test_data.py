"""The command ``data``: what would be read, for people and as JSON, in characters or tokens."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from circuitseer_core.cli.main import app
from circuitseer_core.errors import UserError
from tests.support.tiny_models import save_tiny


@pytest.fixture
def data(tmp_path: Path) -> str:
    rows = [{"d": {"q": f"What is {n} and {n}?"}, "a": [str(2 * n), "x"]} for n in range(30)]
    lines = [*map(json.dumps, [*rows, rows[0], {"d": {"q": ""}}]), "{broken"]
    with gzip.open(tmp_path / "sums.jsonl.gz", "wt") as file:
        file.write("\n".join(lines))
    return str(tmp_path / "sums.jsonl.gz")


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["data", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_for_people(data: str) -> None:
    shown = run(data, "--prompt-field", "d.q", "--response-field", "a")
    for line in (
        "sums.jsonl.gz (JSON Lines, gzip): 33 rows, source sums",
        "  read as: d.q → prompt, a → response",
        "33 rows: 31 samples, 2 rejects",
        "  1 × empty prompt (first: sums.jsonl.gz:32)",
        "1 sample repeats a prompt (3.2 %)",
        "31 samples could serve in a probe (100 %); name a --model to check lengths too",
        "prompts in characters: min 16, p5 16, p25 16, median 18, p75 18, p95 18, max 18",
    ):
        assert line in shown.splitlines()


def test_rows_may_be_typed_as_everywhere(data: str) -> None:
    options = ("--prompt-field", "d.q", "--response-field", "a", "--json")
    assert json.loads(run(data, *options, "--limit", "0.01k"))["read"] == 10


def test_in_tokens_of_a_model_without_its_weights(data: str, tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model")
    for weights in Path(model).glob("*.safetensors"):
        weights.unlink()
    words = ("--prompt-field", "d.q", "--response-field", "a", "--model", str(model), "--json")
    survey = json.loads(run(data, *words))
    assert survey["length_unit"] == "tokens" and survey["probe"] == 31
    most = survey["quantiles"]["max"]
    short = json.loads(run(data, *words, "--max-length", "4"))
    assert short["probe"] == 0 and most > 4
    assert short["not_probe"][0]["reason"] == "longer than … tokens"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--response-items", "zz"], r"--response-items: give first, all \(joined\), or a number"),
        (["--max-length", "9"], "name the --model"),
        (["--prompt-field", "d.z"], "no field 'd.z' for the prompt"),
        (["--prompt-field", "d.q", "--model", "nowhere/x"], "tokenizer of .* cannot be loaded"),
    ],
)
def test_what_is_wrong_is_one_line(
    data: str, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=message):
        run(data, *words)
