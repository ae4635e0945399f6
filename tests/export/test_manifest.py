"""The manifest: what is needed to make the subset again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from circuitseer_core.export.manifest import file_entry, seal
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import export
from circuitseer_core.runs.folder import Run
from tests.support.exported import read_lines
from tests.support.records import edit_run


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


def test_what_measured_and_what_exported_are_told_apart(run: Run, tmp_path: Path) -> None:
    manifest = json.loads(export(run, None, tmp_path / "a.jsonl").manifest.read_text())
    assert "versions" not in manifest["detect"] and "versions" not in manifest["scoring"]
    own = manifest["versions"]["numpy"]
    edit_run(run, detect={"versions": {"numpy": "1.0"}}, versions={"numpy": "3.0"})
    settings = run.scores_dir() / "settings.json"
    scored = json.loads(settings.read_text()) | {"versions": {"numpy": "2.0"}}
    settings.write_text(json.dumps(scored))
    manifest = json.loads(export(run, None, tmp_path / "a.jsonl").manifest.read_text())
    parts = (manifest["detect"]["versions"], manifest["scoring"]["versions"])
    assert parts == ({"numpy": "1.0"}, {"numpy": "2.0"})
    assert manifest["versions"]["numpy"] == own, "of what exports, not of the run's last stage"


def test_it_says_of_how_many_probe_samples_and_why_not_more(run: Run, tmp_path: Path) -> None:
    left_out = {"longer than 140 tokens": 37}
    edit_run(
        run,
        detect={"settings": {"probe_size": 6}, "n_probe": 3, "probe_left_out": left_out,
                "probe_pool_seen": 40},
    )  # fmt: skip
    detect = json.loads(export(run, None, tmp_path / "a.jsonl").manifest.read_text())["detect"]
    assert (detect["settings"]["probe_size"], detect["n_probe"]) == (6, 3)
    assert (detect["probe_left_out"], detect["probe_pool_seen"]) == (left_out, 40)


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
