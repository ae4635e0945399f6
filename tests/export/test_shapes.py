"""Shapes that trainers document: messages, prompt and completion, Alpaca."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from circuitseer_core.export.shapes import axolotl_yaml
from circuitseer_core.export.write import Exported, export
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


CHAT = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</s>{% endfor %}"
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "2 + 2?"},
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "And 3 + 3?"},
    {"role": "assistant", "content": "6"},
]


def exported(tmp_path: Path, form: Any) -> Exported:
    """A chat of two turns, and two rows of one question with columns that trainers know."""
    originals = [
        {"messages": TURNS},
        {"instruction": "Add.", "input": "1 and 2", "output": "3", "text": "raw", "label": 1},
        {"question": "5 + 5?", "answer": "10", "system": "Think.", "topic": "sums"},
    ]
    scored = "System: Be brief.\n\nUser: 2 + 2?\n\nAssistant: 4\n\nUser: And 3 + 3?"
    columns = {
        "prompt": [scored, "Add.\n1 and 2", "5 + 5?"],
        "response": ["6", "3", "10"],
    }
    run = run_of(tmp_path, originals, **columns)
    return export(run, None, tmp_path / "d.jsonl", form)


def loaded(done: Exported, tmp_path: Path) -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(
        "json", data_files=str(done.path), split="train", cache_dir=str(tmp_path / "cache")
    )


@pytest.mark.parametrize("form", ["messages", "prompt-completion"])
def test_trl_trains_on_the_rows_as_they_are(tmp_path: Path, form: str) -> None:
    """What SFTTrainer makes of them is the text, and the part that is learned from."""
    trl = pytest.importorskip("trl", reason="TRL is not installed: pip install trl")
    from tests.support.tiny_models import tiny_model, tiny_tokenizer

    done = exported(tmp_path, form)
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template, tokenizer.pad_token = CHAT, tokenizer.eos_token
    settings = trl.SFTConfig(
        output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=3,
        report_to="none", use_cpu=True, bf16=False, max_length=512,
    )  # fmt: skip
    trainer = trl.SFTTrainer(
        model=tiny_model("llama").model, args=settings, train_dataset=loaded(done, tmp_path),
        processing_class=tokenizer,
    )  # fmt: skip
    rows = {tokenizer.decode(row["input_ids"]): row for row in trainer.train_dataset}
    if form == "messages":
        chat = "".join(f"<{turn['role']}>{turn['content']}</s>" for turn in TURNS)
        assert chat in rows and "<system>Think.</s><user>5 + 5?</s><assistant>10</s>" in rows
    else:
        labels = ([i for i in row["labels"] if i >= 0] for row in rows.values())
        learned = {tokenizer.decode(ids).removesuffix("<s>") for ids in labels}
        assert learned == {"6", "3", "10"}
        assert any(text.startswith("Think.\n\n5 + 5?10") for text in rows)
    assert len(rows) == 3 and trainer.train().training_loss > 0


@pytest.mark.parametrize("form", ["messages", "prompt-completion", "alpaca"])
def test_llama_factory_reads_the_rows_by_the_registry(tmp_path: Path, form: str) -> None:
    parser = pytest.importorskip(
        "llamafactory.data.parser",
        reason="LLaMA-Factory is not installed: pip install llamafactory",
    )
    from llamafactory.data.converter import get_dataset_converter

    done = exported(tmp_path, form)
    (name,) = json.loads((tmp_path / "dataset_info.json").read_text())
    (attributes,) = parser.get_dataset_list([name], str(tmp_path))
    assert (tmp_path / attributes.dataset_name) == done.path
    settings = SimpleNamespace(media_dir=str(tmp_path))
    convert = get_dataset_converter(attributes.formatting, attributes, settings)
    read = {row["_response"][0]["content"]: row for row in map(convert, loaded(done, tmp_path))}
    assert set(read) == {"6", "3", "10"}
    assert read["3"]["_prompt"][-1]["content"] == "Add.\n1 and 2"
    if form == "messages":
        assert read["6"]["_system"] == "Be brief." and len(read["6"]["_prompt"]) == 3
        assert read["10"]["_system"] == "Think."
    else:
        assert read["10"]["_prompt"][0]["content"] == "Think.\n\n5 + 5?"


@pytest.mark.parametrize("form", ["messages", "prompt-completion", "alpaca"])
def test_axolotl_reads_the_rows_by_the_yaml_of_the_card(tmp_path: Path, form: str) -> None:
    """What its wrapper of the dataset learns from."""
    wrappers = pytest.importorskip(
        "axolotl.utils.data.wrappers", reason="Axolotl is not installed: pip install axolotl"
    )
    from axolotl.utils.dict import DictDefault

    from tests.support.tiny_models import tiny_tokenizer

    done = exported(tmp_path, form)
    [section] = yaml.safe_load(axolotl_yaml(form, done.path.name))["datasets"]
    assert section["path"] == done.path.name and section["ds_type"] == "json"
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template, tokenizer.pad_token = CHAT, tokenizer.eos_token
    settings = DictDefault({"train_on_inputs": False, "sequence_len": 512, "dataset_num_proc": 1})
    kind = section["type"] if isinstance(section["type"], str) else None
    rows, _ = wrappers.get_dataset_wrapper(
        DictDefault(section), tokenizer, settings, kind, loaded(done, tmp_path)
    )
    learned = {
        tokenizer.decode([i for i in row["labels"] if i >= 0]).replace("<s>", "") for row in rows
    }
    first = "46" if form == "messages" else "6"  # every turn of the assistant is learned from
    assert {text.removesuffix("</s>").strip() for text in learned} == {first, "3", "10"}
