"""Exports: untouched originals, one group, each format as its readers take it, whole or absent."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError
from circuitseer_core.export import push
from circuitseer_core.export.chat import to_messages
from circuitseer_core.export.manifest import file_entry, seal
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import export, export_bytes
from circuitseer_core.runs import texts as run_texts
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.run_factory import make_rows, make_run, score_frame

GROUP = [f"circuitseer_{name}" for name in ("id", "score", "rank", "probability", "source")]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return selected(make_run(tmp_path / "run"))


def selected(run: Run, **options: object) -> Run:
    select_run(run, SelectionSettings.of(**options))
    return run


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run_of(tmp_path: Path, originals: list[dict[str, Any]], **columns: object) -> Run:
    """A run of these rows, all of them selected."""
    rows = [
        {
            "source": "s",
            "question": o.get("question", f"q{i}"),
            "answer": str(o.get("answer", f"a{i}")),
        }
        for i, o in enumerate(originals)
    ]
    frame = score_frame(rows).assign(**columns)
    frame["original"] = [json.dumps(o, ensure_ascii=False) for o in originals]
    return selected(make_run(tmp_path / "run", frame=frame, parts=1), fraction=1.0)


def test_jsonl_has_the_original_row_and_one_group(run: Run, tmp_path: Path) -> None:
    done = export(run, "default", tmp_path / "out" / "subset.jsonl")
    ids = run.selection_ids("default")
    originals = run.scores("default", ["id", "original"]).set_index("id")["original"]
    rows = read_lines(done.path)
    assert done.rows == len(rows) == len(ids) == 20 and done.bytes == done.path.stat().st_size
    for row, kept in zip(rows, ids.itertuples(), strict=True):
        original = json.loads(originals[kept.id])
        assert list(row) == [*original, *GROUP], "their order stays"
        assert {k: row[k] for k in original} == original
        group = (kept.id, kept.score, kept.rank, kept.probability, kept.source)
        assert tuple(row[name] for name in GROUP) == group
    assert "✓" in done.path.read_text(encoding="utf-8"), "text stays readable"


def test_exports_are_the_same_bytes_every_time(run: Run, tmp_path: Path) -> None:
    first = export(run, None, tmp_path / "a.jsonl").path.read_bytes()
    select_run(run, SelectionSettings.of())
    assert export(run, None, tmp_path / "b.jsonl").path.read_bytes() == first
    assert export_bytes(run, "default") == first
    chat = export(run, None, tmp_path / "c.jsonl", "messages").path.read_bytes()
    assert export_bytes(run, "default", "messages") == chat
    table = export(run, None, tmp_path / "d.parquet").path.read_bytes()
    assert export_bytes(run, "default", "parquet") == table
    with pytest.raises(UserError, match="is not one file"):
        export_bytes(run, "default", "datasets")


def test_parquet_and_datasets_hold_the_same_rows(run: Run, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    lines = read_lines(export(run, None, tmp_path / "a.jsonl").path)
    table = pq.read_table(export(run, None, tmp_path / "a.parquet").path)
    assert table.to_pylist() == lines
    folder = export(run, None, tmp_path / "ds", "datasets").path
    loaded = datasets.load_from_disk(str(folder))
    assert loaded.to_list() == lines and loaded.column_names == list(lines[0])
    again = export(run, None, folder, "datasets")
    assert again.rows == 20, "an earlier export may be replaced"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_columns_that_clash_become_json_text(tmp_path: Path) -> None:
    originals = [
        {"question": "q0", "answer": "four", "meta": {"a": 1}, "only": None},
        {"question": "q1", "answer": 4, "meta": {"b": [1.5, None]}, "deep": [{"x": 1}], "e": {}},
        {"question": "q2", "answer": 4.5, "n": 1, "big": 2**70},
        {"question": "q3", "answer": True, "n": 2.5},
    ]
    done = export(run_of(tmp_path, originals), None, tmp_path / "a.parquet")
    manifest = json.loads(done.manifest.read_text())
    assert sorted(manifest["export"]["columns_as_json"]) == ["answer", "big", "e"]
    rows = {row["question"]: row for row in pq.read_table(done.path).to_pylist()}
    assert json.loads(rows["q0"]["answer"]) == "four" and json.loads(rows["q1"]["answer"]) == 4
    assert json.loads(rows["q2"]["big"]) == 2**70 and rows["q3"]["n"] == 2.5
    assert rows["q1"]["meta"]["b"] == [1.5, None] and rows["q0"]["only"] is None
    lines = read_lines(export(Run.open(tmp_path / "run"), None, tmp_path / "a.jsonl").path)
    assert {json.dumps({k: v for k, v in row.items() if k not in GROUP}) for row in lines} == {
        json.dumps(original) for original in originals
    }


def test_a_subset_of_a_subset_keeps_both_groups(tmp_path: Path) -> None:
    originals = [{"question": f"q{i}", "circuitseer_score": i, "x": 1} for i in range(4)]
    run = run_of(tmp_path, originals)
    row = read_lines(export(run, None, tmp_path / "a.jsonl").path)[0]
    assert "circuitseer2_score" in row and row["circuitseer_score"] == int(row["question"][1:])


def test_messages_are_what_trainers_document(run: Run, tmp_path: Path) -> None:
    """One ``messages`` list of role and content, and no column that makes TRL read it otherwise."""
    done = export(run, None, tmp_path / "chat.jsonl", "messages")
    for row in read_lines(done.path):
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["user", "assistant"] and next(iter(row)) == "messages"
        assert row["messages"][0]["content"] == row["question"]
        assert row["messages"][1]["content"] == row["answer"]
        trl = {"prompt", "completion", "chosen", "rejected", "label", "text", "conversations"}
        assert not trl & set(row) and set(GROUP) <= set(row)
    entry = json.loads((tmp_path / "dataset_info.json").read_text())["chat"]
    assert entry["file_name"] == "chat.jsonl" and entry["formatting"] == "sharegpt"
    assert entry["columns"] == {"messages": "messages"}
    assert entry["tags"]["role_tag"] == "role" and entry["tags"]["assistant_tag"] == "assistant"


def test_messages_load_as_a_dataset_though_columns_clash(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    originals = [
        {"question": "q0", "answer": "a0", "level": "hard", "prompt": "templated q0"},
        {"question": "q1", "answer": "a1", "level": 3, "text": "q1 a1"},
    ]
    done = export(run_of(tmp_path, originals), None, tmp_path / "chat.jsonl", "messages")
    left_out = json.loads(done.manifest.read_text())["export"]["left_out"]
    assert set(left_out) == {"level", "prompt", "text"}
    loaded = datasets.load_dataset(
        "json", data_files=str(done.path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert set(loaded.column_names) == {"messages", "question", "answer", *GROUP}
    assert loaded[0]["messages"][1]["role"] == "assistant"


def test_chats_keep_their_turns() -> None:
    turns = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "1+1?"},
        {"from": "gpt", "value": "2"},
        {"from": "human", "value": "And 2+2?"},
        {"from": "gpt", "value": "4", "weight": 1},
        {"from": "human", "value": "Thanks"},
    ]
    prompt = "System: Be brief.\n\nUser: 1+1?\n\nAssistant: 2\n\nUser: And 2+2?"
    messages = to_messages({"conversations": turns}, prompt, "4")
    assert messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "And 2+2?"},
        {"role": "assistant", "content": "4", "weight": 1},
    ]
    other = to_messages({"conversations": turns, "question": "q"}, "q", "a")
    assert other == [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    assert to_messages({"system": "Think."}, "q", "a")[0] == {"role": "system", "content": "Think."}
    pair = {"prompt": [{"role": "user", "content": "q"}]}
    pair["completion"] = [{"role": "assistant", "content": "a"}]
    assert to_messages(pair, "q", "a") == pair["prompt"] + pair["completion"]


def test_messages_need_responses(tmp_path: Path) -> None:
    run = run_of(tmp_path, [{"question": "q0"}, {"question": "q1"}], response=["a", None])
    done = export(run, None, tmp_path / "a.jsonl", "messages")
    assert done.rows == 1 and "1 of 2 rows have no response and were left out" in done.notes[0]
    assert [row["question"] for row in read_lines(done.path)] == ["q0"]
    assert verify(done.path).ok and "1 row of the draw without a response" in done.card.read_text()
    silent = run_of(tmp_path / "silent", [{"question": "q0"}], response=[None])
    with pytest.raises(UserError, match="no row has a response, and messages needs one"):
        export(silent, None, tmp_path / "b.jsonl", "messages")
    assert not list(tmp_path.glob("b.jsonl*"))


def test_an_export_of_before_the_id_column_still_verifies(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    lines = read_lines(done.path)
    old = [{k: v for k, v in row.items() if k != "circuitseer_id"} for row in lines]
    done.path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in old))
    manifest = json.loads(done.manifest.read_text())
    del manifest["export"]["group"]
    manifest["files"][0] = file_entry(done.path, tmp_path).to_json()
    manifest["seal"] = seal(manifest)
    done.manifest.write_text(json.dumps(manifest))
    result = verify(done.path)
    assert result.ok, result.messages


def test_manifest_says_all_that_is_needed(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    manifest = json.loads(done.manifest.read_text())
    assert manifest["run"]["name"] == "run"
    for key in ("id", "revision", "weights_hash", "tokenizer_hash"):
        assert manifest["model"][key] == getattr(run.model, key)
    assert manifest["heads"] == [[0, 0], [1, 3]]
    assert manifest["selection"]["settings"]["scorer"] == "variance"
    assert manifest["selection"]["settings"]["seed"] == 0
    assert manifest["selection"]["counts"]["selected"] == 20
    assert manifest["files"] == [
        {
            "name": "a.jsonl",
            "bytes": done.bytes,
            "sha256": hashlib.sha256(done.path.read_bytes()).hexdigest(),
        }
    ]
    assert "numpy" in manifest["versions"] and manifest["data"] == []
    stages = [command.split()[3] for command in manifest["commands"]]
    assert stages == ["detect", "score", "select", "export"]
    assert manifest["commands"][-2].startswith("python -m circuitseer_core select --run ")
    assert manifest["commands"][-1].endswith(f"--out {tmp_path / 'a.jsonl'} --format jsonl")


def test_card_has_front_matter_and_the_numbers(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    text = done.card.read_text()
    _, front, body = text.split("---\n", 2)
    meta = yaml.safe_load(front)
    assert meta["configs"][0]["data_files"] == [{"split": "train", "path": "a.jsonl"}]
    assert meta["size_categories"] == ["n<1K"] and "circuitseer" in meta["tags"]
    assert "20 of 200 scored samples" in body and "τ = 1," in body and "seed 0" in body
    sources = run.selection("default").diagnostics.sources
    for entry in sources:
        assert f"| {entry.source} | {entry.pool} | {entry.rows} |" in body


def test_card_says_what_speaks_against_the_subset(tmp_path: Path) -> None:
    rows = make_rows(80)
    frame = score_frame(rows)
    frame["variance"] = 100.0 + frame["n_tokens"]
    frame["control_variance_0"] = frame["variance"] * 2
    frame["control_variance_1"] = frame["variance"].where(frame.index % 2 == 0)
    run = selected(make_run(tmp_path / "run", frame=frame))
    assert run.selection("default").diagnostics.control.rows == 80
    text = export(run, None, tmp_path / "a.jsonl").card.read_text()
    assert "The scores hardly steer the draw: " in text
    assert "The draw favours longer texts: Spearman +1.00 with the token count." in text
    assert "Random heads of the same layers rank the samples almost alike: Spearman +1.00" in text
    other = selected(make_run(tmp_path / "other", rows))
    plain = export(other, None, tmp_path / "b" / "a.jsonl").card.read_text()
    assert "hardly steer" not in plain and "favours" not in plain and "Random heads" not in plain


def test_a_readme_that_is_not_ours_stays(run: Run, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("my project\n")
    done = export(run, None, tmp_path / "a.jsonl")
    assert (tmp_path / "README.md").read_text() == "my project\n"
    assert done.card.name == "a.jsonl.README.md"
    again = export(run, None, tmp_path / "new" / "a.jsonl")
    assert again.card.name == "README.md"
    assert export(run, None, tmp_path / "new" / "a.jsonl").card.name == "README.md"
    assert export(run, None, tmp_path / "new" / "b.jsonl").card.name == "b.jsonl.README.md"


def test_a_dataset_info_that_is_not_ours_stays(run: Run, tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    info.write_text(json.dumps({"alpaca": {"file_name": "alpaca.json"}}))
    export(run, None, tmp_path / "a.jsonl", "messages")
    assert set(json.loads(info.read_text())) == {"alpaca", "a"}
    info.write_text('{"features": null, "citation": ""}')
    done = export(run, None, tmp_path / "a.jsonl", "messages")
    assert json.loads(info.read_text()) == {"features": None, "citation": ""} and done.notes


def test_targets_are_checked_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    cases = [
        (tmp_path / "full", "datasets", "not empty and no earlier export"),
        (tmp_path / "file", "datasets", "is a file"),
        (tmp_path / "a.parquet", "jsonl", "does not look like jsonl"),
        (tmp_path / "a.csv", "parquet", "does not look like parquet"),
        (tmp_path / "file" / "a.jsonl", "jsonl", "cannot write"),
        (tmp_path / "a.jsonl", "xml", "no format 'xml'"),
    ]
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    for out, form, message in cases:
        with pytest.raises(UserError, match=message):
            export(run, None, out, form)  # type: ignore[arg-type]
    assert sorted(str(p) for p in tmp_path.rglob("*")) == before
    inside = export(run, None, tmp_path / "full", "messages")
    assert inside.path == tmp_path / "full" / "default.messages.jsonl"


def test_a_write_that_fails_leaves_no_trace(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.jsonl"
    export(run, None, target)
    before = {p.name: p.read_bytes() for p in tmp_path.glob("*") if p.is_file()}

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(UserError, match="cannot write .*: No space left on device"):
        export(run, None, target)
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*") if p.is_file()} == before


def test_an_altered_selection_is_not_exported(run: Run, tmp_path: Path) -> None:
    path = run.selection_dir("default") / "ids.parquet"
    pd.read_parquet(path).iloc[1:].to_parquet(path)
    with pytest.raises(UserError, match="altered after the draw"):
        export(run, None, tmp_path / "a.jsonl")
    with pytest.raises(UserError, match="no selection named 'other'"):
        export(run, "other", tmp_path / "a.jsonl")


def test_no_selection_yet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no selection yet: run select"):
        export(make_run(tmp_path / "run"), None, tmp_path / "a.jsonl")


def test_texts_of_the_demo_run_come_from_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = score_frame(make_rows(30))
    known = {
        row.id: Sample(row.id, row.source, row.prompt, row.response, json.loads(row.original))
        for row in frame.itertuples()
    }
    bare = frame.assign(prompt=None, response=None, original=None).astype(
        dict.fromkeys(("prompt", "response", "original"), "string")
    )
    monkeypatch.setattr(run_texts, "demo_texts", lambda: known)
    with_texts = selected(make_run(tmp_path / "full", frame=frame))
    without = selected(make_run(tmp_path / "bare", frame=bare))
    assert export_bytes(without, "default") == export_bytes(with_texts, "default")
    monkeypatch.setattr(run_texts, "demo_texts", dict)
    monkeypatch.setattr(run_texts, "available", lambda: "the demo data needs X: pip install X")
    with pytest.raises(UserError, match="numbers without texts: the demo data needs X: pip"):
        export(without, None, tmp_path / "a.jsonl")


def test_odd_texts_survive(tmp_path: Path) -> None:
    texts = ["line\u2028separator", 'tab\tquote" back\\slash', "\x00 nul", "😀 \u202e rtl", "</s>"]
    run = run_of(tmp_path, [{"question": f"{i} {t}", "t": t} for i, t in enumerate(texts)])
    data = export(run, None, tmp_path / "a.jsonl").path.read_bytes()
    rows = [json.loads(line) for line in data.split(b"\n")[:-1]]
    assert {row["t"] for row in rows} == set(texts)
    assert {
        r["t"] for r in pq.read_table(export(run, None, tmp_path / "a.parquet").path).to_pylist()
    } == set(texts)


class FakeHub:
    """Stands in for huggingface_hub.HfApi and remembers what it was asked."""

    calls: list[tuple[str, dict[str, Any]]]

    def __init__(self, token: str) -> None:
        FakeHub.calls = [("token", {"token": token})]

    def create_repo(self, repo: str, **options: Any) -> None:
        FakeHub.calls.append(("create", {"repo": repo, **options}))

    def create_commit(self, repo: str, operations: list[Any], **options: Any) -> None:
        names = [operation.path_in_repo for operation in operations]
        FakeHub.calls.append(("commit", {"repo": repo, "names": names, **options}))
        if repo.endswith("refused"):
            raise OSError("403 Forbidden for token hf_secret")


def test_push_takes_the_token_from_the_environment_only(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "HfApi", FakeHub)
    for name in push.TOKEN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="set HF_TOKEN"):
        export(run, None, tmp_path / "a.jsonl", push="me/subset")
    assert not list(tmp_path.glob("a.jsonl*")), "the token is asked for before any work"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    done = export(run, None, tmp_path / "a.jsonl", push="me/subset")
    assert done.address == "https://huggingface.co/datasets/me/subset"
    kinds = [kind for kind, _ in FakeHub.calls]
    assert kinds == ["token", "create", "commit"]
    assert FakeHub.calls[1][1]["repo_type"] == "dataset" and FakeHub.calls[1][1]["private"]
    assert FakeHub.calls[2][1]["names"] == ["a.jsonl", "a.jsonl.manifest.json", "README.md"]
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"hf_secret" not in path.read_bytes()
    with pytest.raises(UserError, match=r"cannot push to me/refused: 403 .* \*\*\*$"):
        export(run, None, tmp_path / "a.jsonl", push="me/refused")


@pytest.mark.parametrize("form", ["jsonl", "parquet", "csv", "prompt-completion", "alpaca"])
def test_every_file_is_read_by_load_dataset(run: Run, tmp_path: Path, form: str) -> None:
    datasets = pytest.importorskip("datasets")
    done = export(run, None, f"{tmp_path}/out/", form)  # type: ignore[arg-type]
    reader = form if form in ("parquet", "csv") else "json"
    loaded = datasets.load_dataset(
        reader, data_files=str(done.path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(loaded) == done.rows == 20 and set(GROUP) <= set(loaded.column_names)
    assert loaded["circuitseer_id"] == run.selection_ids("default")["id"].tolist()


def test_a_csv_holds_the_same_rows(tmp_path: Path) -> None:
    originals = [
        {"question": 'a "b", c\nd', "answer": "1", "level": 1, "tags": ["x", None], "none": None},
        {"question": "=1+1\r\n\x00 ✓", "answer": "", "level": "hard", "flag": True},
    ]
    run = run_of(tmp_path, originals)
    done = export(run, None, tmp_path / "a.csv")
    rows = {row["question"]: row for row in csv.DictReader(done.path.open(newline=""))}
    assert set(rows) == {original["question"] for original in originals}
    first, second = (rows[original["question"]] for original in originals)
    assert first["level"] == "1" and second["level"] == "hard" and second["flag"] == "true"
    assert json.loads(first["tags"]) == ["x", None] and first["none"] == second["tags"] == ""
    assert set(GROUP) <= set(first) and float(first[GROUP[1]]) > 0
    result = verify(done.path)
    assert result.ok and result.rows == 2, result.messages
    done.path.write_text(done.path.read_text().replace("hard", "soft"))
    assert verify(done.path).kinds == ["file", "rows"]


def test_text_that_utf8_cannot_hold_is_refused_by_csv(tmp_path: Path) -> None:
    frame = score_frame([{"source": "s", "question": "q", "answer": "a"}])
    frame["original"] = [json.dumps({"question": "q", "extra": "\ud800"})]
    run = selected(make_run(tmp_path / "run", frame=frame, parts=1), fraction=1.0)
    with pytest.raises(UserError, match="row 1 has text that UTF-8 cannot hold: export as jsonl"):
        export(run, None, tmp_path / "a.csv")
    assert verify(export(run, None, tmp_path / "a.jsonl").path).ok


def test_prompts_and_completions_are_the_scored_texts(tmp_path: Path) -> None:
    originals = [
        {"question": "q0", "answer": "a0", "messages": 1, "system": "Be brief.", "topic": "x"},
        {"question": "q1", "answer": "a1", "topic": "y"},
    ]
    run = run_of(tmp_path, originals)
    done = export(run, None, tmp_path, "prompt-completion")
    assert done.path.name == "default.prompt-completion.jsonl"
    rows = {row["completion"]: row for row in read_lines(done.path)}
    assert rows["a0"]["prompt"] == "Be brief.\n\nq0" and rows["a1"]["prompt"] == "q1"
    assert rows["a0"]["topic"] == "x" and not {"messages", "system"} & set(rows["a0"])
    assert list(rows["a1"])[:2] == ["prompt", "completion"] and set(GROUP) <= set(rows["a1"])
    entry = json.loads((tmp_path / "dataset_info.json").read_text())["default_prompt_completion"]
    assert entry["columns"] == {"prompt": "prompt", "response": "completion"}
    assert "field_output: completion" in done.card.read_text()


def test_alpaca_keeps_instruction_and_input_apart(tmp_path: Path) -> None:
    originals = [
        {"instruction": "Add.", "input": "1 and 2", "output": "3", "history": []},
        {"instruction": "Say hello.", "input": "", "output": "Hello."},
        {"question": "2 + 2?", "answer": "4", "instruction": "other", "input": "thing"},
    ]
    texts = [("Add.\n1 and 2", "3"), ("Say hello.", "Hello."), ("2 + 2?", "4")]
    columns = {
        "prompt": [prompt for prompt, _ in texts],
        "response": [response for _, response in texts],
    }
    done = export(run_of(tmp_path, originals, **columns), None, tmp_path / "a.jsonl", "alpaca")
    shown = {
        tuple(row[n] for n in ("instruction", "input", "output")) for row in read_lines(done.path)
    }
    assert shown == {("Add.", "1 and 2", "3"), ("Say hello.", "", "Hello."), ("2 + 2?", "", "4")}
    assert all("history" not in row for row in read_lines(done.path))
    entry = json.loads((tmp_path / "dataset_info.json").read_text())["a_alpaca"]
    assert entry["columns"] == {"prompt": "instruction", "query": "input", "response": "output"}
