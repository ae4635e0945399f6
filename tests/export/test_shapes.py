"""Shapes that trainers document: messages, prompt and completion, Alpaca."""

from __future__ import annotations

import json
from pathlib import Path

from circuitseer_core.export.write import export
from circuitseer_core.runs.folder import Run
from tests.support.exported import GROUP, read_lines, run_of


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
