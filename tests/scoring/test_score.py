"""Stage 2 end to end on a tiny model: columns, rejects, resume, refusals, failures, memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from circuitseer_core.errors import UserError
from circuitseer_core.model.loading import load_run_model
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.columns import DRAWS
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import ScoringRecord
from circuitseer_core.runs.stage import working
from circuitseer_core.scoring import engine as score_engine
from circuitseer_core.scoring import shards
from circuitseer_core.scoring.control_heads import FIRST_DRAWS
from circuitseer_core.scoring.score import score
from circuitseer_core.scoring.scorers import ATTENTION_SCORERS
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.scoring.window_scorer import WindowScorer
from tests.support.detected_run import detected_run, questions, write_rows
from tests.support.tiny_models import save_tiny

ROOT = Path(__file__).parents[2]
CONTROLS = [f"control_{name}_{draw}" for name in ATTENTION_SCORERS for draw in range(DRAWS)]
COLUMNS = [
    *["id", "source", "n_tokens", "n_tokens_full", "n_response_tokens", "truncated"],
    *[*ATTENTION_SCORERS, "sink_share", "length", "random", *CONTROLS],
    *["profile", "token_starts", "special_mask", "prompt_hash", "prompt", "response", "original"],
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return detected_run(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> str:
    return write_rows(tmp_path / "questions.jsonl", questions(50))


def settings(data: str, **options: Any) -> ScoreSettings:
    defaults = {"heads": "3", "shard_rows": 16, "token_budget": 600, "device": "cpu"}
    return ScoreSettings(data=[data], **(defaults | options))


def go(run: Run, wanted: ScoreSettings, **options: Any) -> dict[str, Any]:
    return score(run, wanted, progress=False, **options)


def whole(run: Run, name: str = "default") -> pa.Table:
    return pa.concat_tables([pq.read_table(p) for p in run.score_parts(name)])


def assert_same(one: Run, other: Run) -> None:
    """Bit for bit the same rows, lists and texts, in the same shards."""
    assert [p.name for p in one.score_parts()] == [p.name for p in other.score_parts()]
    assert whole(one).equals(whole(other))
    pd.testing.assert_frame_equal(one.rejects(), other.rejects())


def test_every_column_is_there_and_right(run: Run, data: str) -> None:
    result = go(run, settings(data))
    assert (result.state, result.rows, result.rejected) == ("done", 50, 0)
    assert result.heads == [(0, 0), (0, 1), (0, 2)] and len(result.control_heads) == DRAWS
    assert result == run.scoring()
    table = whole(run)
    assert table.column_names == COLUMNS
    assert table.schema.field("profile").type == pa.list_(pa.float16())
    assert len(run.score_parts()) == 4
    frame = table.to_pandas()
    assert frame["id"].tolist() == [f"{('gsm', 'aqua')[i % 2]}/{i}" for i in range(50)]
    assert (frame["length"] == frame["n_tokens"]).all() and not frame["truncated"].any()
    assert frame["n_response_tokens"].isna().sum() == 8 == frame["response"].isna().sum()
    assert frame[[*ATTENTION_SCORERS, *CONTROLS]].notna().all().all()
    for row in frame.itertuples():
        assert len(row.profile) == len(row.token_starts) == len(row.special_mask) == row.n_tokens
        assert sum(row.profile) == pytest.approx(1, abs=0.01)
        assert row.token_starts[0] == 0 and row.token_starts[-1] < len(row.prompt)
        assert json.loads(row.original)["question"] == row.prompt
        spread = np.var(np.asarray(row.profile, dtype=np.float64) * row.n_tokens)
        assert row.variance == pytest.approx(spread, rel=0.01)
        first = (row.profile[0] * row.n_tokens - 1) ** 2 / row.n_tokens
        assert row.sink_share == pytest.approx(first / spread, rel=0.02, abs=1e-3)


def test_scores_do_not_depend_on_budget_sharding_or_company(run: Run, data: str) -> None:
    go(run, settings(data))
    go(run, settings(data, name="other", token_budget=150, shard_rows=50))
    one, other = run.scores(), run.scores("other")
    assert one["id"].tolist() == other["id"].tolist()
    for name in [*ATTENTION_SCORERS, *CONTROLS]:
        assert np.allclose(one[name], other[name], rtol=1e-4), name
    assert one["random"].equals(other["random"])


def test_a_bos_is_special_and_left_out(tmp_path: Path, data: str) -> None:
    run = detected_run(tmp_path, bos=True)
    go(run, settings(data))
    table = whole(run).to_pandas()
    assert all(mask[0] and not mask[1:].any() for mask in table["special_mask"])


@pytest.mark.parametrize(("text", "rejected"), [("response", 8), ("full", 8), ("prompt", 0)])
def test_the_text_asked_for_is_scored(run: Run, data: str, text: str, rejected: int) -> None:
    result = go(run, settings(data, text=text))
    assert result.rejected == rejected == len(run.rejects())
    if rejected:
        assert set(run.rejects()["reason"]) == {"no response"}
    row = whole(run).to_pandas().iloc[3]
    texts = {"prompt": row.prompt, "response": row.response}
    texts["full"] = f"{row.prompt}\n{row.response}"
    assert row.token_starts[-1] < len(texts[text]) <= row.token_starts[-1] + 12


def test_long_texts_are_cut_and_flagged(run: Run, data: str) -> None:
    go(run, settings(data, max_length=20))
    frame = run.scores()
    assert frame["n_tokens"].max() == 20
    assert (frame["truncated"] == (frame["n_tokens_full"] > 20)).all() and frame["truncated"].any()
    with pytest.raises(UserError, match="more than the model's 512 positions"):
        go(run, settings(data, name="long", max_length=5000))


def test_rejects_carry_reasons_and_rows_add_up(run: Run, tmp_path: Path) -> None:
    rows = questions(20)
    rows[4]["question"] = "7"
    rows[9]["question"] = ""
    spec = write_rows(tmp_path / "odd.jsonl", rows)
    with Path(spec).open("a") as handle:
        handle.write('{"broken\n')
    result = go(run, settings(spec, shard_rows=7))
    rejects = run.rejects()
    assert result.rows + result.rejected == 21 and len(rejects) == result.rejected == 3
    assert list(rejects.columns) == ["id", "source", "reason"]
    reasons = dict(zip(rejects["id"], rejects["reason"], strict=True))
    assert reasons["gsm/4"].startswith("fewer than 2 tokens")
    assert any("odd.jsonl:21" in where for where in reasons)
    assert not set(rejects["id"]) & set(run.scores()["id"])


def test_done_is_done(run: Run, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = go(run, settings(data))
    stamps = [p.stat().st_mtime_ns for p in run.score_parts()]

    def no_model(*args: object, **kwargs: object) -> ReferenceModel:
        raise AssertionError("a finished scoring needs no model")

    monkeypatch.setattr(score_engine, "load_run_model", no_model)
    assert go(run, settings(data)) == first
    assert [p.stat().st_mtime_ns for p in run.score_parts()] == stamps


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"heads": "2"}, "--heads"),
        ({"text": "full"}, "--text"),
        ({"seed": 1}, "--seed"),
        ({"baselines": True}, "--baselines"),
        ({"max_length": 77}, "--max-length"),
        ({"dtype": "bf16"}, "--dtype"),
    ],
)
def test_other_settings_need_another_name(
    run: Run, data: str, options: dict[str, Any], named: str
) -> None:
    go(run, settings(data))
    with pytest.raises(UserError, match=rf"'default'.*\({named}\): choose another --name"):
        go(run, settings(data, **options))
    go(run, settings(data, name="other", **options))
    assert run.scorings() == ["default", "other"]


def test_other_data_needs_another_name(run: Run, data: str, tmp_path: Path) -> None:
    go(run, settings(data))
    write_rows(tmp_path / "questions.jsonl", questions(49))
    with pytest.raises(UserError, match="questions.jsonl.*choose another --name"):
        go(run, settings(data))


def test_what_is_missing_is_said(run: Run, data: str, tmp_path: Path) -> None:
    bare = Run.create(tmp_path / "bare")
    with pytest.raises(UserError, match="no reasoning heads yet: run detect"):
        go(bare, settings(data))
    empty = write_rows(tmp_path / "empty.jsonl", [])
    with pytest.raises(UserError, match="no rows"):
        go(run, settings(empty))
    with pytest.raises(UserError, match="absent"):
        go(run, settings(str(tmp_path / "absent.jsonl")))
    assert run.scorings() == []


def test_a_changed_model_is_refused(run: Run, data: str, tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", "llama", seed=9)
    with pytest.raises(UserError, match="other weights now"):
        go(run, settings(data))
    assert run.scorings() == []


def test_nothing_scored_is_an_error(run: Run, tmp_path: Path) -> None:
    spec = write_rows(tmp_path / "short.jsonl", [{"question": "1"}, {"question": "2"}])
    with pytest.raises(UserError, match=r"all 2 were rejected \(fewer than 2 tokens"):
        go(run, settings(spec))


class _Killed(BaseException):
    pass


def _dying_after(parts: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the write of a later shard die half-way, as a kill would."""
    original, written = shards.write_part, [0]

    def write(folder: Path, table: pa.Table, note: shards.Note) -> None:
        if written[0] == parts:
            aside = f".part-{note.shard:05d}.parquet.{2**22 + 1}.tmp"  # of no living process
            (folder / aside).write_bytes(b"PAR1 half a shard")
            raise _Killed
        written[0] += 1
        original(folder, table, note)

    monkeypatch.setattr(shards, "write_part", write)
    return lambda: monkeypatch.setattr(shards, "write_part", original)


@pytest.mark.parametrize("parts", [0, 2])
def test_a_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    calm, killed = detected_run(tmp_path / "calm"), detected_run(tmp_path / "killed")
    wanted = settings(data, text="full")
    go(calm, wanted)
    revive = _dying_after(parts, monkeypatch)
    with pytest.raises(_Killed):
        go(killed, wanted)
    revive()
    assert killed.scoring().state == "running"
    assert len(killed.score_parts()) == parts
    kept = [p.stat().st_mtime_ns for p in killed.score_parts()]
    # The budget is pinned: asking for another one changes nothing any more.
    with working(killed, "score"):  # which clears away what killed writers left
        assert go(killed, settings(data, text="full", token_budget=99)).state == "done"
    assert [p.stat().st_mtime_ns for p in killed.score_parts()][:parts] == kept
    assert not list(killed.scores_dir().glob(".*"))
    assert_same(calm, killed)


def test_kill_nine_loses_at_most_the_shard_in_work(tmp_path: Path, data: str) -> None:
    """A real process, a real SIGKILL, at a moment of the machine's choosing."""
    run = detected_run(tmp_path)
    code = (
        "import sys, time; from circuitseer_core.scoring import shards\n"
        "from circuitseer_core.runs.folder import Run\n"
        "from circuitseer_core.scoring.score import ScoreSettings, score\n"
        "write = shards.write_part\n"
        "def slow(*args):\n    write(*args); print('part', flush=True); time.sleep(0.2)\n"
        "shards.write_part = slow\n"
        f"score(Run.open({str(run.path)!r}), ScoreSettings(data=[{data!r}], heads='3', "
        "shard_rows=5, token_budget=600, device='cpu'), progress=False)\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert 3 <= len(run.score_parts()) < 10
    calm = detected_run(tmp_path / "calm")
    go(calm, settings(data, shard_rows=5))
    go(run, settings(data, shard_rows=5))
    assert_same(calm, run)


def _truncate(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-200])


def _foreign(part: Path) -> None:
    table = pq.read_table(part)
    pq.write_table(table.replace_schema_metadata(None), part)


def _wrong_place(part: Path) -> None:
    part.write_bytes((part.parent / "part-00000.parquet").read_bytes())


def _short(part: Path) -> None:
    pq.write_table(pq.read_table(part).slice(0, 3), part)


def _absent(part: Path) -> None:
    part.unlink()


def _empty(part: Path) -> None:
    part.write_bytes(b"")


@pytest.mark.parametrize("spoil", [_truncate, _foreign, _wrong_place, _short, _absent, _empty])
@pytest.mark.parametrize("state", ["done", "running"])
def test_a_bad_shard_is_redone(
    tmp_path: Path, run: Run, data: str, spoil: Callable[[Path], None], state: str
) -> None:
    calm = detected_run(tmp_path / "calm")
    go(calm, settings(data))
    go(run, settings(data))
    if state == "running":
        path = run.scores_dir() / "settings.json"
        path.write_text(json.dumps(run.scoring().to_json() | {"state": "running"}))
    spoil(run.score_parts()[2])
    go(run, settings(data))
    assert_same(calm, run)


def test_shards_of_another_scoring_are_never_read(tmp_path: Path, run: Run, data: str) -> None:
    go(run, settings(data, name="other", text="full"))
    calm = detected_run(tmp_path / "calm")
    go(calm, settings(data))
    folder = run.scores_dir()
    folder.mkdir(parents=True)
    for number in (1, 3, 9):
        source = run.scores_dir("other") / f"part-{min(number, 3):05d}.parquet"
        (folder / f"part-{number:05d}.parquet").write_bytes(source.read_bytes())
    go(run, settings(data))
    assert_same(calm, run)


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Let the model fail, or go wrong, on batches of one's choosing."""
    original = ReferenceModel.hidden

    def install(fail: Callable[[torch.Tensor], None]) -> None:
        def hidden(self: ReferenceModel, input_ids: torch.Tensor) -> torch.Tensor:
            fail(input_ids)
            return original(self, input_ids)

        monkeypatch.setattr(ReferenceModel, "hidden", hidden)

    yield install


def test_memory_running_out_halves_the_budget_and_goes_on(
    tmp_path: Path, run: Run, data: str, breaking: Callable[..., None]
) -> None:
    sizes: list[int] = []

    def fail(ids: torch.Tensor) -> None:
        sizes.append(ids.numel())
        if ids.numel() > 220:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    breaking(fail)
    result = go(run, settings(data))
    assert result.rows == 50 and max(sizes) > 220
    assert result.token_budget == 150 == run.scoring().token_budget
    # What a run gives from then on is what the smaller budget gives.
    calm = detected_run(tmp_path / "calm")
    go(calm, settings(data, token_budget=150))
    assert_same(calm, run)


def test_one_sample_beyond_memory_is_a_reject(
    run: Run, data: str, breaking: Callable[..., None]
) -> None:
    def fail(ids: torch.Tensor) -> None:
        if ids.shape[1] > 90:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    breaking(fail)
    result = go(run, settings(data))
    rejects = run.rejects()
    assert 0 < len(rejects) == 50 - result.rows
    assert rejects["reason"].str.fullmatch(r"out of memory at \d+ tokens").all()
    assert run.scores()["n_tokens"].max() <= 90


def test_a_failing_sample_is_a_reject_and_its_batch_is_saved(
    run: Run, data: str, breaking: Callable[..., None]
) -> None:
    go(run, settings(data))
    victim = int(run.scores()["n_tokens"].iloc[20])

    def fail(ids: torch.Tensor) -> None:
        if (ids.shape[1] == victim and len(ids) == 1) or len(ids) > 1:
            raise ValueError("this sample is cursed")

    breaking(fail)
    result = go(run, settings(data, name="broken"))
    rejects = run.rejects("broken")
    assert "gsm/20" in set(rejects["id"]) and result.rows >= 45
    assert set(rejects["reason"]) == {"the model failed: this sample is cursed"}


def test_if_every_sample_fails_the_run_stops(
    run: Run, data: str, breaking: Callable[..., None]
) -> None:
    def fail(ids: torch.Tensor) -> None:
        raise RuntimeError("no kernel image is available")

    reference = load_run_model(run.model, "fp32", "cpu")  # a model that fails at once is refused
    breaking(fail)
    with pytest.raises(UserError, match="no kernel image"):
        go(run, settings(data), reference=reference)
    assert not run.score_parts()


def test_nan_is_a_reject_never_a_score(run: Run, data: str) -> None:
    """One poisoned embedding: samples that hold that token are rejected, the others are scored."""
    reference = load_run_model(run.model, "fp32", "cpu")
    token = reference.tokenizer("?", add_special_tokens=False)["input_ids"][0]
    rows = whole_ids(reference, data)
    rarest = min(set.union(*rows.values()), key=lambda t: sum(t in ids for ids in rows.values()))
    assert rarest != token
    with torch.no_grad():
        reference.model.get_input_embeddings().weight[rarest] = float("nan")
    result = go(run, settings(data), reference=reference)
    poisoned = {key for key, ids in rows.items() if rarest in ids}
    assert set(run.rejects()["id"]) == poisoned and result.rows == 50 - len(poisoned)
    assert run.rejects()["reason"].str.contains("not finite").all()
    assert np.isfinite(run.scores()[[*ATTENTION_SCORERS, *CONTROLS]]).all().all()


def whole_ids(reference: ReferenceModel, data: str) -> dict[str, set[int]]:
    rows = [json.loads(line) for line in Path(data).read_text().splitlines()]
    encoded = reference.tokenizer([row["question"] for row in rows])["input_ids"]
    return {f"{r['source']}/{r['id']}": set(i) for r, i in zip(rows, encoded, strict=True)}


def test_controls_only_for_a_subsample(run: Run, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "more.jsonl", questions(200))
    go(run, settings(data, controls=100, shard_rows=64))
    frame = run.scores()
    carrying = frame["control_variance_0"].notna()
    assert 20 <= carrying.sum() <= 100
    for name in CONTROLS:
        assert (frame[name].notna() == carrying).all()
    assert frame[list(ATTENTION_SCORERS)].notna().all().all()
    go(run, settings(data, name="all", shard_rows=64))
    everyone = run.scores("all")
    assert everyone["control_variance_0"].notna().all()
    same = everyone.loc[carrying.to_numpy(), CONTROLS]
    assert np.allclose(same, frame.loc[carrying, CONTROLS], rtol=1e-4)


def test_further_draws_on_a_smaller_subsample_inside_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_rows(tmp_path / "more.jsonl", questions(200))
    go(run, settings(data, name="all"))
    monkeypatch.setattr("circuitseer_core.scoring.score.FURTHER_LIMIT", 90)
    result = go(run, settings(data, controls=150, shard_rows=64))
    assert 0 < result.further_share < result.control_share < 1
    frame = run.scores()
    carried = frame[[f"control_variance_{draw}" for draw in range(DRAWS)]].notna()
    assert set(carried.sum(axis=1)) == {0, FIRST_DRAWS, DRAWS}
    assert carried["control_variance_0"].sum() <= 150 and carried["control_variance_3"].sum() <= 90
    everyone = run.scores("all")
    for name in CONTROLS:
        known = frame[name].notna().to_numpy()
        assert np.allclose(frame.loc[known, name], everyone.loc[known, name], rtol=1e-4)


def test_a_scoring_begun_with_three_draws_goes_on_with_three(
    run: Run, data: str, breaking: Callable[..., None]
) -> None:
    """As one that an earlier version began and did not finish."""
    before = go(run, settings(data))
    record = before.model_copy(deep=True)
    record.control_heads = record.control_heads[:FIRST_DRAWS]
    record = ScoringRecord(**(record.to_json() | {"state": "running"}))
    del record.further_share
    record.write(run.scores_dir("default") / "settings.json")
    again = go(run, settings(data))
    assert again.control_heads == before.control_heads[:FIRST_DRAWS] and again.state == "done"
    names = whole(run).column_names
    assert "control_variance_2" in names and "control_variance_3" not in names


def test_cancel_leaves_a_valid_folder(run: Run, data: str, breaking: Callable[..., None]) -> None:
    calls = [0]

    def fail(ids: torch.Tensor) -> None:
        calls[0] += 1
        if calls[0] == 6:
            raise KeyboardInterrupt

    breaking(fail)
    with pytest.raises(KeyboardInterrupt):
        go(run, settings(data))
    assert run.scoring().state == "running" and run.stage_state()["score"] == "partial"
    assert len(run.scores()) == 16 * len(run.score_parts())
    assert go(run, settings(data)).state == "done"


def test_ctrl_c_while_numbers_are_read_writes_no_half_window(
    run: Run, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect = WindowScorer._collect
    for fatal in (2, 3, 4):
        calls = [0]

        def interrupted(
            self: WindowScorer, launched: Any, calls: list[int] = calls, fatal: int = fatal
        ) -> None:
            calls[0] += 1
            if calls[0] == fatal:
                raise KeyboardInterrupt
            collect(self, launched)

        monkeypatch.setattr(WindowScorer, "_collect", interrupted)
        with pytest.raises(KeyboardInterrupt):
            go(run, settings(data, name=f"stopped-{fatal}", controls=0))
        notes = [shards.read_note(part) for part in run.score_parts(f"stopped-{fatal}")]
        assert all(note is not None and note.rejects == [] for note in notes)


def test_the_budget_is_found_and_pinned(run: Run, data: str) -> None:
    result = go(run, settings(data, token_budget=None))
    assert result.token_budget >= 1024
    notes = [shards.read_note(part) for part in run.score_parts()]
    assert {note.token_budget for note in notes if note} == {result.token_budget}


def test_head_readings_on_a_part_of_the_rows_and_after_a_kill(
    run: Run, tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(data, head_features=True, head_feature_rows=49)
    go(run, wanted)
    table = whole(run)
    heads = run.scoring().feature_heads
    assert heads == [(layer, head) for layer in range(2) for head in range(4)]
    columns = [f"head_{name}" for name in ("first", "focus", "divergence", "entropy", "distance")]
    assert all(str(table[c].type) == "fixed_size_list<element: halffloat>[8]" for c in columns)
    known = table.num_rows - table[columns[0]].null_count
    assert 0 < known < table.num_rows
    plain = detected_run(tmp_path / "plain")
    go(plain, settings(data))
    rest = table.drop_columns(columns)
    for name in ATTENTION_SCORERS:
        assert np.allclose(rest[name], whole(plain)[name], rtol=1e-5)
    again = detected_run(tmp_path / "killed")
    done = _dying_after(1, monkeypatch)
    with pytest.raises(_Killed):
        go(again, wanted)
    done()
    go(again, wanted)
    assert_same(run, again)
    with pytest.raises(UserError, match="--head-features"):
        go(run, settings(data))


def test_a_calibration_reads_its_heads_on_every_row(run: Run, data: str) -> None:
    folder = run.calibration_dir("default")
    folder.mkdir(parents=True)
    fit = {"fold": 0, "columns": [["first", 1, 2], ["focus", 0, 1]], "weights": [1, 1]}
    record = {"format": 1, "name": "default", "settings": {}, "whole": {}, "fits": [fit]}
    record["target"] = {"name": "level", "kind": "number", "rows": 1, "sha256": "0"}
    (folder / "calibration.json").write_text(json.dumps(record))
    go(run, settings(data, calibration="default"))
    assert run.scoring().feature_heads == [(0, 1), (1, 2)] and run.scoring().feature_share == 1
    assert whole(run)["head_first"].null_count == 0
