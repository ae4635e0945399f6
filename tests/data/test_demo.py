"""The embedded corpus: the same everywhere, and right."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from circuitseer_core.data import demo as demo_data
from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError
from circuitseer_core.installation import DEMO_PACKAGES
from circuitseer_core.runs import texts as run_texts

present = pytest.mark.skipif(
    demo_data.available() is not None, reason="the demo's data packages are not installed"
)

# Changes only with the data packages, the wording or the seed, on no account with the machine.
DIGEST = "43af7d701e9107e69b6d142f0661acbd6ae79951bc35ab3852c39d5fe454c6c2"


@present
def test_the_corpus_is_the_same_on_every_machine() -> None:
    (file,) = Corpus(["demo"]).fingerprint()["files"]
    assert (file["rows"], file["sha256"]) == (1410, DIGEST)


@present
def test_eight_sources_mixed_from_the_start() -> None:
    samples = list(run_texts.demo_corpus())
    counts = Counter(sample.source for sample in samples)
    assert len(samples) == len({sample.id for sample in samples}) == 1410
    assert len({sample.prompt for sample in samples}) > 1400
    assert counts["champ-algebra"] == 150 and counts["champ-discrete"] == 120
    assert len(counts) == 8 and set(counts.values()) == {150, 120, 190}
    assert len({sample.source for sample in samples[:60]}) == 8
    assert not any("#" in sample.id for sample in samples)


@present
def test_rows_keep_their_columns_and_read_like_text() -> None:
    for sample in run_texts.demo_corpus():
        assert {"id", "topic", "level", "tier", "steps", "answer"} <= sample.original.keys()
        assert sample.response is not None
        assert sample.response.endswith(f"Answer: {sample.original['answer']}")
        assert sample.response.count("\n") >= 1
        if not sample.source.startswith("champ"):
            text = sample.prompt + sample.response
            assert not re.search(r"\\|[{}@]|--|\+ -|skip", text), text


def _families(source: str) -> list[Sample]:
    return [sample for sample in run_texts.demo_corpus() if sample.source == source]


def _numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"(?<![\w)])-?\d+", text)]


def _determinant(sample: Sample) -> int:
    import sympy

    match = re.search(r"\[\[.*\]\]", sample.prompt)
    assert match is not None
    lines = re.findall(r"\[([-\d, ]+)\]", match.group())
    return int(sympy.Matrix([_numbers(line) for line in lines]).det())


def _root(sample: Sample) -> int:
    import sympy

    if sample.prompt.startswith("Multiplying"):
        slope, offset, value = _numbers(sample.prompt)
        offset = -offset if "subtracting" in sample.prompt else offset
    else:
        match = re.search(r"(\d+)x ([+-]) (\d+) = (-?\d+)", sample.prompt)
        assert match is not None
        slope, value = int(match[1]), int(match[4])
        offset = int(match[2] + match[3])
    x = sympy.Symbol("x")
    (root,) = sympy.solve(sympy.Eq(slope * x + offset, value), x)
    return int(root)


TRUTH: dict[str, Any] = {
    "addition": lambda s: sum(_numbers(s.prompt)),
    "multiplication": lambda s: math.prod(_numbers(s.prompt)),
    "gcd": lambda s: math.gcd(*_numbers(s.prompt)),
    "lcm": lambda s: math.lcm(*_numbers(s.prompt)),
    "determinant": _determinant,
    "linear-equation": _root,
}


@present
@pytest.mark.parametrize("source", TRUTH)
def test_every_generated_answer_is_right(source: str) -> None:
    samples = _families(source)
    assert len(samples) == 190
    for sample in samples:
        assert int(sample.original["answer"]) == TRUTH[source](sample), sample.prompt


@present
@pytest.mark.parametrize("source", [*list(TRUTH)[:5]])
def test_every_step_that_is_arithmetic_is_right(source: str) -> None:
    checked = 0
    for sample in _families(source):
        for line in (sample.response or "").splitlines():
            match = re.fullmatch(r"(?:det = )?([-\d+*/() ]+|\d+ mod \d+) = (-?\d+)", line)
            if match:
                expression = match[1].replace("mod", "%")
                assert eval(expression, {"__builtins__": {}}) == int(match[2]), line  # noqa: S307
                checked += 1
    assert checked >= 100


@present
def test_every_step_of_a_linear_equation_is_right() -> None:
    for sample in _families("linear-equation"):
        moved, summed, quotient, answer = (sample.response or "").splitlines()
        slope, left, sign, right = re.fullmatch(r"(\d+)x = (-?\d+) ([+-]) (\d+)", moved).groups()  # type: ignore[union-attr]
        total = int(left) + int(sign + right)
        assert summed == f"{slope}x = {total}"
        assert quotient == f"x = {total} / {slope}"
        assert total == int(slope) * int(answer.removeprefix("Answer: "))


@present
def test_texts_by_id() -> None:
    texts = run_texts.demo_texts()
    assert len(texts) == 1410
    assert all(key == sample.id for key, sample in texts.items())
    assert "P_" not in next(key for key in texts if key.startswith("champ"))


@present
def test_a_name_does_not_hide_the_sources() -> None:
    assert len({sample.source for sample in Corpus(["mine=demo"])}) == 8


def test_the_rows_are_kept_and_a_broken_file_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIRCUITSEER_HOME", str(tmp_path / "cache"))
    demo_data.demo_rows.cache_clear()
    built = demo_data.demo_rows()
    (kept,) = (tmp_path / "cache").iterdir()
    demo_data.demo_rows.cache_clear()
    with monkeypatch.context() as never:
        never.setattr(demo_data, "_champ_rows", lambda: pytest.fail("built again"))
        assert demo_data.demo_rows() == built
    kept.write_text("[half")
    demo_data.demo_rows.cache_clear()
    assert demo_data.demo_rows() == built
    assert json.loads(kept.read_text()) == list(built)


def test_a_cache_folder_that_cannot_be_written_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CIRCUITSEER_HOME", str(tmp_path / "file" / "cache"))
    demo_data.demo_rows.cache_clear()
    assert len(demo_data.demo_rows()) == 1410


def test_without_the_packages_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo_data, "PACKAGES", {"no-such-package": "1.0"})
    demo_data.demo_rows.cache_clear()
    line = demo_data.available()
    assert line is not None and "\n" not in line
    assert DEMO_PACKAGES in line
    assert run_texts.demo_texts() == {}
    with pytest.raises(UserError, match="no-such-package"):
        Corpus(["demo"])
    with pytest.raises(UserError, match="no-such-package"):
        demo_data.demo_rows()
