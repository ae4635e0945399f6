"""What is pushed names no folder of this machine, and still verifies where the run is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from circuitseer_core.export.manifest import read_manifest
from circuitseer_core.export.public import public_files, public_manifest, without_paths
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import export, hub_files
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.run_factory import make_run


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/home/ann/runs/math", "math"),
        ("x --data gsm=/home/ann/a.jsonl '/home/ann/b.csv'", "x --data gsm=a.jsonl 'b.csv'"),
        ("~/runs/math", "math"),
        ("/home/ann lee/my runs/math", "math"),
        ("gsm=/home/ann lee/a b.jsonl", "gsm=a b.jsonl"),
        (
            "x --run '/home/ann lee/r' --data 'a b=/home/ann lee/c.csv'",
            "x --run 'r' --data 'a b=c.csv'",
        ),
        (
            "select('/home/ann lee/r', exclude=['/x y/z.txt', 'id/7'])",
            "select('r', exclude=['z.txt', 'id/7'])",
        ),
        ("C:\\Users\\ann\\a.jsonl", "a.jsonl"),
        ("runs/math", "runs/math"),
        ("hf:openai/gsm8k:main", "hf:openai/gsm8k:main"),
        ("score^(1/τ) and 3/4", "score^(1/τ) and 3/4"),
        ("/", "/"),
        ("file:///home/ann/data/x.jsonl", "x.jsonl"),
        ("gsm=file:///home/ann/data/x.jsonl", "gsm=x.jsonl"),
        ("~ann/data/x.jsonl", "x.jsonl"),
        ("@/home/ann/heads.txt", "@heads.txt"),
        ("x --heads @~/heads.txt --data file:/home/ann/b.csv", "x --heads @heads.txt --data b.csv"),
        ("/home/ann/data/", "data"),
        ("\\\\server\\ann\\a.jsonl", "a.jsonl"),
        ("s3://bucket/data/x.jsonl", "s3://bucket/data/x.jsonl"),
        ("https://u:p@h.org/a?sig=secret", "https://h.org/a"),
        ("x --data a=https://u:p@h.org/a?sig=s -q", "x --data a=https://h.org/a -q"),
        ("https://h/a?s=1 https://u@h/b", "https://h/a https://h/b"),
    ],
)
def test_absolute_paths_keep_their_last_part(text: str, public: str) -> None:
    assert without_paths({"a": [text, 3]}) == {"a": [public, 3]}


@pytest.mark.parametrize(
    ("key", "text", "public"),
    [
        (
            "command",
            """x --data '/home/o'"'"'neil/my data/x.jsonl' --heads @/home/ann/h.txt '@/a b/h'""",
            "x --data x.jsonl --heads @h.txt @h",
        ),
        (
            "commands",
            "x --data 'a b=/home/ann lee/c.csv' --ngram 13",
            "x --data 'a b=c.csv' --ngram 13",
        ),
        ("command", "circuitseer_core.detect('/home/ann/r', …)", "circuitseer_core.detect('r', …)"),
        ("command", "x --data '/home/ann/r", "x --data 'r"),
        (
            "python",
            """circuitseer_core.select("/home/o'neil/my d/r", exclude=['/a/b.txt', 'id/7'])""",
            "circuitseer_core.select('r', exclude=['b.txt', 'id/7'])",
        ),
        ("python", "circuitseer_core.detect('/home/ann/r', …)", "circuitseer_core.detect('r', …)"),
    ],
)
def test_commands_are_cut_word_by_word(key: str, text: str, public: str) -> None:
    values = [text] if key == "commands" else text
    assert without_paths({key: values}) == {key: [public] if key == "commands" else public}


def test_a_public_copy_names_no_folder_and_verifies(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", data_specs=[])
    select_run(run, SelectionSettings.of(name="mine", count=9))
    done = export(run, "mine", tmp_path / "out" / "mine.jsonl")
    files = {"mine.jsonl": done.path, done.manifest.name: done.manifest, "README.md": done.card}
    sent = public_files(
        files, done.manifest.name, "README.md", tmp_path, "mine.jsonl", "mine.jsonl"
    )
    for name in (done.manifest.name, "README.md"):
        assert str(tmp_path) in files[name].read_text(), "the local one says where things are"
        assert str(tmp_path) not in sent[name].read_text()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name, path in sent.items():
        (elsewhere / name).write_bytes(path.read_bytes())
    assert verify(elsewhere / "mine.jsonl", run.path).ok
    content = json.loads(sent[done.manifest.name].read_text())
    content["selection"]["temperature"] = 2
    assert verify(done.path).ok, "the local export is as it was"
    (elsewhere / done.manifest.name).write_text(json.dumps(content))
    assert "its seal is broken" in verify(elsewhere / "mine.jsonl", run.path).messages[0]


def test_a_public_copy_verifies_where_model_and_lists_were_absolute_paths(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    folder = tmp_path / "my models" / "tiny"
    settings = run.scores_dir() / "settings.json"
    content = json.loads(settings.read_text())
    content["model"]["id"] = str(folder)
    settings.write_text(json.dumps(content))
    lists = {name: tmp_path / f"{name}.txt" for name in ("out", "in", "bench")}
    lists["out"].write_text("gsm/0\n")
    lists["in"].write_text("gsm/3\n")
    lists["bench"].write_text("what is 7 + 7?\n")
    ask = {"exclude": "out", "include": "in", "decontaminate": "bench"}
    options = {option: (str(lists[name]),) for option, name in ask.items()}
    select_run(run, SelectionSettings.of(name="mine", count=9, run_words=4, **options))
    done = export(run, "mine", tmp_path / "out" / "mine.jsonl")
    (tmp_path / "sent").mkdir()
    sent = hub_files(done, tmp_path / "sent")
    there = tmp_path / "there"
    there.mkdir()
    for name, path in sent.items():
        (there / name).write_bytes(path.read_bytes())
    assert str(tmp_path) not in (there / done.manifest.name).read_text()
    result = verify(there / "mine.jsonl", run.path)
    assert result.ok and not any("benchmark" in note for note in result.notes), result
    lists["bench"].write_text("what is 8 + 8?\n")
    assert any("bench.txt has changed" in n for n in verify(there / "mine.jsonl", run.path).notes)
    lists["bench"].write_text("what is 7 + 7?\n")
    content["model"]["id"], content["model"]["weights_hash"] = "elsewhere/tiny", "f" * 16
    settings.write_text(json.dumps(content))
    assert "weights_hash" in verify(there / "mine.jsonl", run.path).messages[0]


def test_the_card_of_a_pushed_folder_verifies_the_folder(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    run = make_run(tmp_path / "run")
    select_run(run, SelectionSettings.of(name="mine", count=9))
    done = export(run, "mine", tmp_path / "mine", "datasets")
    (tmp_path / "sent").mkdir()
    card = hub_files(done, tmp_path / "sent")["README.md"].read_text()
    assert "verify mine\n" in card and "card of mine -->" in card and "verify '*" not in card
    assert "path: '*.arrow'" in card


def test_the_public_manifest_is_sealed_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    select_run(run, SelectionSettings.of(name="mine", count=9))
    done = export(run, "mine", tmp_path / "mine.jsonl")
    manifest, _ = read_manifest(done.manifest)
    public = public_manifest(manifest)
    public.write(tmp_path / "public.json")
    assert read_manifest(tmp_path / "public.json")[1] and public.seal != manifest.seal
