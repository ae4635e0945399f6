"""A head map from elsewhere: fetched, checked, refused, used."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import circuitseer_core as cs
from circuitseer_core.detection import head_map
from circuitseer_core.detection.head_map import HeadMapRecord
from circuitseer_core.model import loading
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.reproduction import made_by
from tests.support.detected_run import detected_run, questions, write_rows
from tests.support.fake_hub import COMMIT, FakeHub
from tests.support.records import edit_run


@pytest.fixture
def pushed(run: Run, hub: FakeHub) -> FakeHub:
    """A hub that has the run's map."""
    cs.push_heads(run, "me/heads")
    return hub


def test_what_was_pushed_comes_back(run: Run, pushed: FakeHub, tmp_path: Path) -> None:
    head_map = cs.pull_heads("me/heads@v1", run=run)
    assert head_map.record.repo == "me/heads" and head_map.record.revision == COMMIT
    assert head_map.path.parent == tmp_path / "cache" / "head-maps"
    ours = run.heads()[head_map.heads.columns.to_list()]
    assert head_map.heads.astype(ours.dtypes).equals(ours)
    again = cs.pull_heads("me/heads", tmp_path / "here")
    assert again.path == tmp_path / "here" and again.heads.equals(head_map.heads)
    assert sorted(p.name for p in again.path.iterdir()) == ["head_map.json", "heads.parquet"]


def test_a_new_run_of_a_map_scores_as_its_own_run_does(
    run: Run, pushed: FakeHub, tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "rows.jsonl", questions(12))
    with pytest.raises(cs.UserError, match="which model the new run is of"):
        cs.pull_heads("me/heads", run=tmp_path / "new")
    cs.pull_heads("me/heads", run=tmp_path / "new", model=run.model.id)
    fresh = cs.load_run(tmp_path / "new")
    assert fresh.model.weights_hash == run.model.weights_hash
    assert fresh.detection.heads_from is not None and fresh.detection.heads_from.repo == "me/heads"
    pulled = f"pull-heads me/heads@{COMMIT} --run {fresh.path} --model {run.model.id}"
    assert str(fresh.detection.command).endswith(pulled) and len(made_by(fresh)) == 1
    from_map = cs.score(fresh, data=data, heads=3, show=False)
    from_run = cs.score(run, data=data, heads=3, show=False)
    assert from_map["variance"].tolist() == pytest.approx(from_run["variance"].tolist(), rel=1e-4)
    assert "score" in fresh.summary() and fresh.figure("heads").data


def test_a_scoring_takes_its_heads_from_a_map_and_says_so(
    run: Run, pushed: FakeHub, tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "rows.jsonl", questions(12))
    head_map = cs.pull_heads("me/heads")
    scores = cs.score(run, data=data, heads=head_map, name="theirs", show=False)
    record = run.scoring("theirs")
    assert len(scores) and record.heads == [(0, 0)]
    assert record.heads_from is not None and record.heads_from.repo == "me/heads"
    assert f"--heads-from {head_map.path}" in str(record.command)
    commands = made_by(run, "theirs")
    assert commands[-2].endswith(f"pull-heads me/heads@{COMMIT} --out {head_map.path}")
    assert commands[-1] == record.command and record.versions["torch"]


def test_a_map_of_other_weights_is_refused_unless_forced(pushed: FakeHub, tmp_path: Path) -> None:
    other = detected_run(tmp_path / "other", seed=7)
    data = write_rows(tmp_path / "rows.jsonl", questions(12))
    with pytest.raises(cs.UserError, match="measured on model with weights .* force takes it"):
        cs.pull_heads("me/heads", run=other)
    assert not (tmp_path / "cache" / "head-maps").exists(), "nothing is kept of what is refused"
    head_map = cs.pull_heads("me/heads", run=other, force=True)
    with pytest.raises(cs.UserError, match="force takes it"):
        cs.score(other, data=data, heads=head_map, show=False)
    scores = cs.score(other, data=data, heads=head_map, force_heads=True, show=False)
    assert len(scores)
    wider = detected_run(tmp_path / "wider", layers=3)
    with pytest.raises(cs.UserError, match="other numbers of heads"):
        cs.pull_heads("me/heads", run=wider, force=True)


def test_a_refused_map_leaves_no_new_run(run: Run, pushed: FakeHub, tmp_path: Path) -> None:
    other = detected_run(tmp_path / "other", seed=7)
    with pytest.raises(cs.UserError, match="force takes it"):
        cs.pull_heads("me/heads", run=tmp_path / "new", model=other.model.id)
    assert not (tmp_path / "new" / "heads.parquet").exists()


@pytest.mark.parametrize(
    ("repo", "message"),
    [
        ("me/none", "cannot pull me/none: "),
        ("me/heads@gone", "cannot pull me/heads@gone: "),
        ("heads", "is not owner/name"),
        ("../../etc/passwd", "is not owner/name"),
    ],
)
def test_what_is_not_there_is_one_line(pushed: FakeHub, repo: str, message: str) -> None:
    with pytest.raises(cs.UserError, match=message) as caught:
        cs.pull_heads(repo)
    assert "hf_secret" not in str(caught.value)


def test_files_too_large_are_not_fetched(pushed: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed.sizes["heads.parquet"] = 1 << 40
    with pytest.raises(cs.UserError, match="heads.parquet is larger than a head map"):
        cs.pull_heads("me/heads")
    pushed.sizes.clear()
    monkeypatch.setitem(head_map.MOST_BYTES, "head_map.json", 10)
    with pytest.raises(cs.UserError, match="head_map.json is larger"):
        cs.pull_heads("me/heads")


def test_a_repository_of_another_kind_is_refused(hub: FakeHub) -> None:
    hub.repos["me/other"] = {"train.jsonl": b"{}"}
    with pytest.raises(cs.UserError, match="is no head map: it has no heads.parquet"):
        cs.pull_heads("me/other")


def test_an_edited_table_is_noticed(pushed: FakeHub) -> None:
    manifest = json.loads(pushed.repos["me/heads"]["head_map.json"])
    manifest["sha256"] = "0" * 64
    pushed.repos["me/heads"]["head_map.json"] = json.dumps(manifest).encode()
    with pytest.raises(cs.UserError, match="is not the file that its manifest names"):
        cs.pull_heads("me/heads")


def test_a_folder_with_other_files_is_left_alone(pushed: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(cs.UserError, match="holds other files"):
        cs.pull_heads("me/heads", tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_the_record_of_a_run_without_a_model_is_not_enough(pushed: FakeHub, tmp_path: Path) -> None:
    empty = Run.create(tmp_path / "empty")
    edit_run(empty, state="new")
    with pytest.raises(cs.UserError, match="which model"):
        cs.pull_heads("me/heads", run=empty)


@pytest.mark.parametrize(
    ("asked", "loaded"),
    [({}, "abc123"), ({"revision": "v2"}, "v2"), ({"model": "{copy}"}, None)],
)
def test_the_model_is_loaded_at_the_revision_that_was_measured(
    run: Run,
    pushed: FakeHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, str],
    loaded: str | None,
) -> None:
    """Another name (a copy, a mirror) need not have that revision."""
    copy = shutil.copytree(run.model.id, tmp_path / "copy")
    model = asked.pop("model", run.model.id).format(copy=copy)
    seen: list[Any] = []
    known, load = HeadMapRecord.read, loading.load_model

    def read(path: Path) -> HeadMapRecord:
        record = known(path)
        record.model = record.model.model_copy(update={"id": run.model.id, "revision": "abc123"})
        return record

    def loads(spec: str, **options: Any) -> Any:
        seen.append((options.pop("revision"), os.environ.get("CIRCUITSEER_ALLOW_PICKLE")))
        return load(spec, **options)

    monkeypatch.setattr(HeadMapRecord, "read", read)
    monkeypatch.setattr(loading, "load_model", loads)
    cs.pull_heads("me/heads", run=tmp_path / "new", model=model, allow_pickle=True, **asked)
    assert seen == [(loaded, "1")]
