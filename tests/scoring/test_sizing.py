"""Time to score, and shards of a given time: measured, cut, and gone on with after a stop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from circuitseer_core import stages
from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Reject, Sample
from circuitseer_core.errors import Cancelled
from circuitseer_core.model.encoding import EncodedText
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress
from circuitseer_core.scoring import score as stage
from circuitseer_core.scoring import sizing
from circuitseer_core.scoring.encoded_window import EncodedWindow
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.scoring.sizing import Speed, look
from circuitseer_core.scoring.windows import Cut, Window, windows
from tests.support.detected_run import detected_run, questions, write_rows


def rows(count: int, prompt: str = "w" * 100, response: str | None = "r" * 50) -> list[Sample]:
    return [Sample(f"x/{i}", "x", prompt, response, {}) for i in range(count)]


@pytest.mark.parametrize(
    ("cut", "chars"),
    [
        (Cut(9), 100),
        (Cut(9, text="response"), 50),
        (Cut(9, text="full"), 151),
        (Cut(9, both=True), 250),
        (Cut(9, text_chars=30), 30),
    ],
)
def test_characters_that_are_read(cut: Cut, chars: int) -> None:
    assert cut.chars_of(rows(1)[0]) == chars


def test_windows_close_on_characters() -> None:
    entries = [*rows(3), Reject("f:4", "x", "broken"), *rows(4)]
    sizes = [window.size for window in windows(entries, Cut(rows=5, chars=200))]
    assert sizes == [2, 3, 2, 1]
    assert [w.size for w in windows(entries, Cut(rows=5, chars=200, text_chars=10))] == [5, 3]


def test_the_first_pass_counts_all_text_and_takes_rows_by_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Corpus([write_rows(tmp_path / "d.jsonl", questions(60))])
    samples = [entry for entry in corpus if isinstance(entry, Sample)]
    seen = look(corpus, 60, Cut(512), seed=0)
    assert seen.chars == sum(len(sample.prompt) for sample in samples)
    assert len(seen.samples) == sizing.MEASURED_ROWS
    assert [s.id for s in seen.samples] != [s.id for s in samples[: sizing.MEASURED_ROWS]]
    monkeypatch.setattr(sizing, "LOOK_ROWS", 20)
    part = look(corpus, 60, Cut(512), seed=0)
    assert part.chars == pytest.approx(3 * sum(len(s.prompt) for s in samples[:20]))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A model that takes 30 s for 400 characters."""
    speed = Speed(token_budget=600, char_seconds=sizing.SHARD_SECONDS / 400)
    monkeypatch.setattr("circuitseer_core.scoring.engine.measure_speed", lambda *_: speed)
    yield


def stopped_after(monkeypatch: pytest.MonkeyPatch, done: int) -> None:
    """Ctrl-C once so many rows were counted."""
    advance = Progress.advance

    def counted(self: Progress, n: int = 1, message: str | None = None) -> None:
        advance(self, n, message)
        if self.stage == "score" and self.done >= done:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "advance", counted)


def whole(run: Run, name: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(part) for part in run.score_parts(name)])


@pytest.mark.usefixtures("slow")
def test_a_slow_cpu_gets_small_shards_and_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = detected_run(tmp_path)
    data = write_rows(tmp_path / "d.jsonl", questions(60))
    settings = ScoreSettings(data=[data], heads="3", device="cpu", controls=0)
    calm = stages.run_scoring(run.path, settings.model_copy(update={"name": "calm"}), show=False)
    assert calm.shard_chars == 400 and calm.shards > 10
    lengths = [
        sum(len(text) for text in pq.read_table(part)["prompt"].to_pylist())
        for part in run.score_parts("calm")
    ]
    longest = max(len(row["question"]) for row in questions(60))
    assert all(400 <= chars < 400 + longest for chars in lengths[:-1])

    with monkeypatch.context() as patch:
        stopped_after(patch, 30)
        with pytest.raises(Cancelled, match=r"score was cancelled; \d+ rows kept: run it again"):
            stages.run_scoring(run.path, settings, show=False)
    kept = sum(pq.read_metadata(part).num_rows for part in run.score_parts())
    assert 20 <= kept <= 30, "all but the shard at work"
    monkeypatch.setattr(stage, "FEW_ROWS", 0)
    ended = stages.run_scoring(run.path, settings, show=True)
    assert whole(run, "default").equals(whole(run, "calm"))
    left = sum(len(row["question"]) for row in questions(60)[kept:])
    assert ended.estimate_s == pytest.approx(left * sizing.SHARD_SECONDS / 400, abs=0.1)
    assert f"{60 - kept} rows of 60 to score, about" in capsys.readouterr().err


@pytest.mark.usefixtures("slow")
def test_what_a_pool_has_grown_by_is_estimated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = detected_run(tmp_path)
    rows = questions(80)
    settings = ScoreSettings(data=[str(tmp_path / "pool")], heads="3", device="cpu", controls=0)
    (tmp_path / "pool").mkdir()
    write_rows(tmp_path / "pool" / "a.jsonl", rows[:20])
    before = stage.score(run, settings)
    write_rows(tmp_path / "pool" / "b.jsonl", rows[20:])
    after = stage.score(run, settings)
    more = sum(len(row["question"]) for row in rows[20:]) * sizing.SHARD_SECONDS / 400
    assert after.estimate_s == pytest.approx(before.seconds + more, abs=0.1)
    assert "60 rows of 80 to score, about" in capsys.readouterr().err


@pytest.mark.usefixtures("slow")
def test_stopped_before_the_first_shard_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = detected_run(tmp_path)
    data = write_rows(tmp_path / "d.jsonl", questions(20))
    stopped_after(monkeypatch, 1)
    settings = ScoreSettings(data=[data], heads="3", device="cpu", controls=0)
    with pytest.raises(Cancelled, match="no shard was whole yet: run it again to begin anew"):
        stages.run_scoring(run.path, settings, show=False)


def test_the_estimate_is_measured_said_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = detected_run(tmp_path)
    data = write_rows(tmp_path / "d.jsonl", questions(24))
    settings = ScoreSettings(data=[data], heads="3", device="cpu", controls=0, baselines=True)
    record = stage.score(run, settings)
    line = r"\b24 rows to score, about .* \(by a short measurement\)\n"
    assert re.search(line, capsys.readouterr().err)
    assert record.estimate_s is not None and record.estimate_s >= 0
    assert record.token_budget and record.shard_chars and record.rows == 24


@pytest.mark.parametrize(
    ("seconds", "scored"),
    [(10.0, [4]), (1.0, [4, 12]), (0.001, [4, 48])],
    ids=["slow", "as many as fit the time", "quick: twice the budget"],
)
def test_how_many_rows_are_timed(
    seconds: float, scored: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    class Scorer:
        token_budget = 240

        def __init__(self, *_: object) -> None:
            self.reference = SimpleNamespace(device=SimpleNamespace(type="cuda"))

        def encode(self, window: Window) -> EncodedWindow:
            texts = [EncodedText([1] * 10, [0] * 10, [False] * 10, 10)] * len(window.samples)
            responses = [-1] * len(texts)
            return EncodedWindow(0, len(texts), window.samples, texts, responses, [])  # type: ignore[arg-type]

    def timed(scorer: Scorer, encoded: EncodedWindow) -> float:
        seen.append(len(encoded.samples))
        return seconds * len(encoded.samples) / 4

    monkeypatch.setattr(sizing, "WindowScorer", Scorer)
    monkeypatch.setattr(sizing, "_scored", timed)
    plan = SimpleNamespace(token_budget=240)
    reference = SimpleNamespace(device=SimpleNamespace(type="cuda"))
    speed = sizing.measure_speed(reference, Window(0, rows(20), []), plan, Cut(9))  # type: ignore[arg-type]
    assert seen == scored
    assert speed is not None and speed.char_seconds == pytest.approx(seconds / 400)
