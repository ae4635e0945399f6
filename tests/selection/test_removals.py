"""Removals of a selection: who goes and for what, on disk, derived again by verify."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.data import specs
from circuitseer_core.errors import UserError
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import export
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection import review
from circuitseer_core.selection.removals import removal_lines, stored_removals
from circuitseer_core.selection.select import select
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.damaged import damage
from tests.support.run_factory import make_run, score_frame, write_scores

WORDS = [f"w{i}" for i in range(800)]
TWINS, PLANTED = 20, range(60, 70)


@pytest.fixture
def frame() -> pd.DataFrame:
    """120 prompts: each of the first 20 has a near-duplicate among the next 20."""
    rng = np.random.default_rng(0)
    texts = [rng.choice(WORDS, 40).tolist() for _ in range(120)]
    for i in range(TWINS):
        texts[TWINS + i] = [*texts[i][:-2], "other", "end"]
    rows = [
        {
            "source": ("gsm", "aqua")[i % 2],
            "question": " ".join(t),
            "answer": f"a{i}",
            "level": i % 3,
        }
        for i, t in enumerate(texts)
    ]
    return score_frame(rows)


@pytest.fixture
def run(tmp_path: Path, frame: pd.DataFrame) -> Run:
    return make_run(tmp_path / "run", frame=frame)


@pytest.fixture
def bench(tmp_path: Path, frame: pd.DataFrame) -> Path:
    """A benchmark that has ten of the pool's prompts, in other letters."""
    path = tmp_path / "bench.jsonl"
    questions = [frame["prompt"][i].upper() for i in PLANTED]
    path.write_text("".join(json.dumps({"question": q}) + "\n" for q in questions))
    return path


def drawn(run: Run, bench: Path, **options: object) -> None:
    options = {"near_duplicates": 0.8, "decontaminate": (str(bench),), "fraction": 0.5} | options
    select_run(run, SelectionSettings.of(**options))


def test_who_goes_is_told_with_what_it_went_for(run: Run, bench: Path, frame: pd.DataFrame) -> None:
    drawn(run, bench)
    record = run.selection("default")
    assert record.counts.near_duplicate == TWINS and record.counts.contaminated == len(PLANTED)
    assert record.counts.eligible == 120 - TWINS - len(PLANTED) == record.counts.selected * 2
    removed = stored_removals(run, record)
    out = removed[removed["rule"] == "contaminated"]
    assert set(out["id"]) == {frame["id"][i] for i in PLANTED}
    assert (out["similarity"] == 1.0).all() and out["matched"].str.contains("bench.jsonl").all()
    near = removed[removed["rule"] == "near_duplicate"]
    pairs = {frozenset((row.id, row.matched)) for row in near.itertuples()}
    ids = frame["id"]
    assert pairs == {frozenset((ids[i], ids[TWINS + i])) for i in range(TWINS)}
    assert (near["similarity"] == 34 / 38).all(), "34 of 36 runs are the same in both"
    kept = set(run.selection_ids("default")["id"])
    assert not kept & set(removed["id"])
    numbers = record.removals.near_duplicates
    assert numbers.pairs == TWINS <= numbers.candidates and numbers.removed == TWINS
    assert "10 rows removed that share 13 words in a row" in removal_lines(record.removals)[0]


def test_the_same_goes_whatever_the_order_and_the_seed(
    run: Run, bench: Path, frame: pd.DataFrame
) -> None:
    drawn(run, bench)
    first = stored_removals(run, run.selection("default"))
    write_scores(run, frame.iloc[np.random.default_rng(1).permutation(len(frame))], parts=5)
    drawn(run, bench, seed=7)
    pd.testing.assert_frame_equal(stored_removals(run, run.selection("default")), first)


def test_verify_fetches_no_benchmark(
    run: Run, bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a manifest names comes from whoever wrote it."""
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/verify/bench.jsonl", bench.read_bytes())
    drawn(run, bench, decontaminate=("memory://verify/bench.jsonl",))
    done = export(run, None, tmp_path / "a.jsonl")
    monkeypatch.setattr(specs, "fetched", lambda *_: pytest.fail("it was fetched"))
    result = verify(done.path)
    assert result.ok and result.rows == run.selection("default").counts.selected
    assert "memory://verify/bench.jsonl is not on this machine" in result.notes[-1]


def test_must_haves_stay_and_make_the_other_go(run: Run, bench: Path, frame: pd.DataFrame) -> None:
    ids = frame["id"].tolist()
    for i in range(TWINS):
        review.append(run.path, {"kind": "pin", "id": ids[i]})
    review.append(run.path, {"kind": "pin", "id": ids[PLANTED[0]]})
    drawn(run, bench, fraction=0.9)
    removed = stored_removals(run, run.selection("default"))
    near = removed[removed["rule"] == "near_duplicate"]
    assert set(near["id"]) == set(ids[TWINS : 2 * TWINS]) and set(near["matched"]) == set(
        ids[:TWINS]
    )
    assert ids[PLANTED[0]] in set(removed["id"]), "no wish outranks a benchmark"
    review.append(run.path, {"kind": "pin", "id": ids[TWINS]})
    drawn(run, bench, fraction=0.9)
    assert {ids[0], ids[TWINS]} <= set(run.selection_ids("default")["id"]), "two pins both stay"


def test_a_row_that_may_not_be_drawn_removes_no_other(
    run: Run, bench: Path, frame: pd.DataFrame
) -> None:
    for i in range(TWINS):
        review.append(run.path, {"kind": "drop", "id": frame["id"][i]})
    drawn(run, bench)
    assert run.selection("default").counts.near_duplicate == 0


def test_verify_finds_the_removals_again(run: Run, bench: Path, tmp_path: Path) -> None:
    drawn(run, bench)
    done = export(run, None, tmp_path / "out" / "a.jsonl")
    result = verify(done.path)
    assert result.ok and not [n for n in result.notes if "benchmark" in n], result.messages
    card = done.card.read_text()
    assert "10 rows removed that share 13 words" in card and "20 near-duplicates removed" in card
    assert "`bench.jsonl` (10 questions, SHA-256" in card and str(bench) not in card.split("```")[0]
    text = bench.read_text()
    bench.write_text(text.splitlines()[0] + "\n")
    changed = verify(done.path)
    assert changed.ok and "bench.jsonl has changed" in " ".join(changed.notes)
    bench.unlink()
    gone = verify(done.path)
    assert gone.ok and "the benchmarks were not compared again" in " ".join(gone.notes)
    path = run.selection_dir("default") / "removed.parquet"
    whole = path.read_bytes()
    damage(run.path, "selections/default/removed.parquet", "flipped")
    assert "removed.parquet is damaged" in " ".join(verify(done.path).messages)
    path.write_bytes(whole)
    pd.read_parquet(path).iloc[1:].to_parquet(path)
    result = verify(done.path)
    assert "removals" in result.kinds and not result.ok
    path.unlink()
    assert "removed.parquet is missing" in " ".join(verify(done.path).messages)


def test_a_manifest_that_lost_its_benchmarks_is_told_as_edited(
    run: Run, bench: Path, tmp_path: Path
) -> None:
    drawn(run, bench)
    done = export(run, "default", tmp_path / "out.jsonl")
    manifest = json.loads(done.manifest.read_text(encoding="utf-8"))
    manifest["selection"]["removals"]["contamination"]["benchmarks"] = []
    done.manifest.write_text(json.dumps(manifest), encoding="utf-8")
    result = verify(done.path)
    assert result.kinds == ["manifest"] and "bench.jsonl has changed" in " ".join(result.notes)


def test_nothing_to_remove_is_told_too(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("a question that nobody here asks\n")
    drawn(run, other, near_duplicates=1.0)
    record = run.selection("default")
    assert record.removals.rows == 0 and not len(stored_removals(run, record))
    assert removal_lines(record.removals)[0].startswith("0 rows removed")
    assert verify(export(run, None, tmp_path / "a.jsonl").path).ok


def test_another_text_in_the_run_is_another_removal(
    run: Run, bench: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    drawn(run, bench)
    done = export(run, None, tmp_path / "a.jsonl")
    frame.loc[TWINS, "prompt"] = "something else entirely"
    write_scores(run, frame)
    result = verify(done.path)
    assert "removals" in result.kinds and "(29, 30 then)" in " ".join(result.messages)


def test_a_frame_is_drawn_from_alike(run: Run, bench: Path, frame: pd.DataFrame) -> None:
    drawn(run, bench)
    options = {"near_duplicates": 0.8, "decontaminate": str(bench), "fraction": 0.5}
    of_frame = select(frame, **options)
    assert of_frame["id"].tolist() == run.selection_ids("default")["id"].tolist()
    assert select(run, **options)["id"].tolist() == of_frame["id"].tolist()
    with pytest.raises(UserError, match="need the column 'prompt'"):
        select(frame.drop(columns="prompt"), near_duplicates=0.8)


def test_without_the_extra_it_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from circuitseer_core import installation

    find_spec = installation.find_spec
    monkeypatch.setattr(
        installation, "find_spec", lambda n: None if n == "datasketch" else find_spec(n)
    )
    with pytest.raises(
        UserError, match=r"--near-duplicates needs datasketch, which the extra 'dedup'"
    ):
        select_run(run, SelectionSettings.of(near_duplicates=0.9))


def test_a_run_without_texts_says_so(run: Run, frame: pd.DataFrame, bench: Path) -> None:
    write_scores(run, frame.assign(prompt=None, original=None))
    with pytest.raises(UserError, match="its prompts are not at hand"):
        drawn(run, bench)
