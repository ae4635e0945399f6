"""The command line: four stages by hand on a tiny model, and one clear line for bad input."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from circuitseer_core.cli import main as cli
from circuitseer_core.runs.folder import Run
from tests.support.data_files import write_data
from tests.support.tiny_models import save_tiny


def call(*words: object) -> tuple[int, str]:
    """Exit code and output of one command, in this process."""
    result = CliRunner().invoke(cli.app, cli.spread_values([str(w) for w in words]))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return 1, f"{type(result.exception).__name__}: {result.exception}"
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, two datasets, and a run through all four stages."""
    tmp = tmp_path_factory.mktemp("cli")
    save_tiny(tmp / "model", "llama", layers=2)
    write_data(tmp / "probe.jsonl", 10)
    write_data(tmp / "a.jsonl", 30)
    (tmp / "b.jsonl").write_text(
        "\n".join(
            json.dumps({"question": f"How many apples are {i} apples and {i} pears?"})
            for i in range(20)
        )
    )
    run = tmp / "run"
    steps = [
        ("detect", "--model", tmp / "model", "--probe", tmp / "probe.jsonl", "--probe-size", 6),
        ("score", "--data", tmp / "a.jsonl", f"pears={tmp / 'b.jsonl'}", "--heads", "2"),
        ("select", "--fraction", 0.2, "--seed", 3),
        ("export", "--out", tmp / "subset.jsonl"),
    ]
    for step in steps:
        code, output = call(step[0], "--run", run, *step[1:])
        assert code == 0, output
    return tmp


def test_the_four_stages(made: Path) -> None:
    run = Run.open(made / "run")
    assert run.stage_state() == {"detect": "done", "score": "done", "select": "done"}
    scores = run.scores()
    assert len(scores) == 50 and set(scores["source"]) == {"src0", "src1", "pears"}
    assert {"variance", "raw_variance", "focus", "divergence", "length", "random"} <= set(scores)
    assert {f"control_variance_{i}" for i in range(3)} <= set(scores)
    rows = [json.loads(line) for line in (made / "subset.jsonl").read_text().splitlines()]
    assert len(rows) == 10 and all("question" in row for row in rows)
    manifest = json.loads((made / "run" / "run.json").read_text())
    stages = [c["stage"] for c in manifest["commands"]]  # tests before this one may draw again
    assert stages[:3] == ["detect", "score", "select"]
    assert manifest["state"] == "done" and manifest["model"]["heads_per_layer"] == [4, 4]


def test_verify_passes_then_notices_tampering(made: Path, tmp_path: Path) -> None:
    code, output = call("verify", made / "subset.jsonl")
    assert code == 0 and "verified" in output
    copy = tmp_path / "subset.jsonl"
    call("export", "--run", made / "run", "--out", copy)
    lines = copy.read_text().splitlines()
    copy.write_text("\n".join(lines[1:]) + "\n")
    code, output = call("verify", copy)
    assert code == 1


def test_another_draw_under_a_kept_name_is_asked_for(made: Path) -> None:
    words = ["select", "--run", made / "run", "--name", "kept", "--count", "3"]
    assert call(*words)[0] == 0 and call(*words)[0] == 0, "the same again is no other"
    code, output = call(*words, "--seed", "5")
    assert code == 1 and "was drawn with other settings (seed): --replace" in output
    assert call(*words, "--seed", "5", "--replace")[0] == 0
    assert Run.open(made / "run").selection("kept").settings.seed == 5


def test_a_card_lists_what_made_it_and_not_what_was_refused(made: Path, tmp_path: Path) -> None:
    run = shutil.copytree(made / "run", tmp_path / "run")
    data = made / "a.jsonl"
    code, output = call("score", "--run", run, "--data", data, "--name", "other", "--heads", 1)
    assert code == 0 and f"select --run {run} --scores other" in output
    assert call("select", "--run", run, "--scores", "other", "--name", "others")[0] == 0
    for words in (
        ("detect", "--model", made / "model", "--probe", data, "--probe-size", 3),
        ("score", "--data", data, "--heads", "7"),
        ("select", "--scorer", "none", "--name", "bad"),
    ):
        assert call(words[0], "--run", run, *words[1:])[0] == 1
    record = Run.open(run).record
    assert record.state == "done" and record.commands[-1].stage == "select"
    for name, scores in (("default", "default"), ("others", "other")):
        out = tmp_path / name / "s.jsonl"
        assert call("export", "--run", run, "--selection", name, "--out", out)[0] == 0
        commands = json.loads((tmp_path / name / "s.jsonl.manifest.json").read_text())["commands"]
        opened = Run.open(run)
        assert commands[:3] == [
            opened.detection.command, opened.scoring(scores).command, opened.selection(name).command
        ]  # fmt: skip
        card = (tmp_path / name / "README.md").read_text()
        assert all(command in card for command in commands)
        assert "--scorer none" not in card and "--heads 7" not in card
        assert "on 6 probe samples" in card and f"`{made / 'model'}`" in card


def test_joint_ablation(made: Path) -> None:
    code, output = call(
        "ablate", "--run", made / "run", "--heads", "0.1,1.2", "--data", made / "probe.jsonl"
    )
    assert code == 0 and "clean:" in output and "0.1,1.2:" in output


def test_ablate_leaves_long_samples_out_before_it_limits(made: Path) -> None:
    words = ["ablate", "--run", made / "run", "--heads", "0.1,", "--data", made / "probe.jsonl"]
    lengths = Run.open(made / "run").probe()["n_tokens"]
    _, whole = call(*words, "--limit", "3")
    assert "nats over 3 samples" in whole
    code, output = call(*words, "--limit", "3", "--max-length", int(lengths.max()) - 1)
    assert code == 0 and "nats over 3 samples" in output and "left out on the way:" in output
    code, output = call(*words[:4], "7.7,", *words[5:])
    assert code == 1 and "the model has no head 7.7" in output


def test_inspect_prints_json(made: Path) -> None:
    sample = Run.open(made / "run").scores(columns=["id"])["id"].iloc[0]
    code, output = call("inspect", "--run", made / "run", "--id", sample)
    assert code == 0
    printed = json.loads(output[output.index("{") :])
    assert printed["tokens"] and printed["heads"]


def test_report_and_validate(made: Path, tmp_path: Path) -> None:
    code, output = call("report", "--run", made / "run", "--out", tmp_path / "report.html")
    assert code == 0, output
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    code, output = call("validate", "--run", made / "run", "list")
    assert code == 0 and "length" in output
    code, output = call("validate", "--run", made / "run", "length")
    assert code == 0, output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("detect", "--model", "x", "--probe", "no.jsonl"), "no.jsonl"),
        (("detect", "--model", "x", "--probe", "no.jsonl", "--mode", "fast"), "--mode"),
        (("detect", "--model", "x", "--probe", "p", "--epsilon", "0.5"), "epsilon"),
        (("score", "--data", "demo"), "not a run folder"),
        (("select",), "not a run folder"),
        (("export", "--out", "x.jsonl"), "not a run folder"),
        (("export", "--out", "x.jsonl", "--format", "xml"), "xml"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    code, output = call(words[0], "--run", run, *words[1:])
    assert code == 1 and message in output
    assert not run.exists()


def test_a_process_prints_one_line_and_exits_1(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "circuitseer_core", "select", "--run", str(tmp_path / "no")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


LONG, DEEP = "x" * 300, "x/" * 3_000
HOSTILE = [
    (("data", LONG + ".jsonl"), "no such file"),
    (("data", "~nouser/x.jsonl"), "no such file"),
    (("data", "a\udcff.jsonl"), "not UTF-8"),
    (("score", "--data", "{data}", "--heads", "@" + LONG), "does not exist"),
    (("score", "--data", "{data}", "--heads", "@{latin}"), "cannot be read"),
    (("score", "--data", "{data}", "--name", LONG), "--name"),
    (("score", "--data", "{data}", "--name", "n", "--calibration", DEEP), "calibration"),
    (("score", "--data", "{data}", "--name", "n", "--calibration", "/"), "calibration"),
    (("select", "--exclude", LONG, "--name", "long"), ""),  # an id that no row has
    (("select", "--exclude", LONG + ".txt", "--name", "n"), "no such list file"),
    (("select", "--exclude", "~nouser/x.txt", "--name", "n"), "no such list file"),
    (("select", "--decontaminate", LONG, "--name", "n"), "no such file"),
    (("select", "--decontaminate", "~nouser", "--name", "n"), "no such file"),
    (("export", "--out", LONG), "name too long"),
    (("export", "--out", DEEP), "name too long"),
    (("export", "--selection", LONG, "--out", "x.jsonl"), "name too long"),
    (("report", "--out", LONG), "name too long"),
    (("arms", "--out", DEEP), "name too long"),
]


@pytest.mark.parametrize(("words", "message"), HOSTILE)
def test_a_path_that_cannot_be_is_one_line(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    (tmp_path / "latin.txt").write_bytes(b"0.1,\xff")
    places = {"{data}": str(made / "a.jsonl"), "{latin}": str(tmp_path / "latin.txt")}
    typed = [places.get(word, word.replace("{latin}", places["{latin}"])) for word in words]
    run = [] if words[0] == "data" else ["--run", str(made / "run")]
    monkeypatch.setattr(sys, "argv", ["circuitseer", typed[0], *run, *typed[1:]])
    if message:
        with pytest.raises(SystemExit) as stop:
            cli.main()
        error = capsys.readouterr().err.splitlines()
        assert stop.value.code == 1 and len(error) == 1 and len(error[0]) < 7_000
        assert error[0].startswith("error: ") and message in error[0].replace("File n", "n")
    else:
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0


def test_a_run_whose_path_looks_like_an_address(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrow would ask for s3:/run/… over the network, where this is a folder called s3:."""
    shutil.copytree(made / "run", tmp_path / "s3:" / "run")
    monkeypatch.chdir(tmp_path)
    code, output = call("select", "--run", "s3:/run", "--name", "again")
    assert code == 0, output
    assert len(Run.open("s3:/run").selection_ids("again"))


def test_empty_and_wrong_fields(tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", "llama")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    odd = tmp_path / "odd.jsonl"
    odd.write_text(json.dumps({"colour": "red", "shape": "round"}))
    for data, message in ((empty, "empty"), (odd, "colour")):
        code, output = call(
            "detect", "--run", tmp_path / "run", "--model", tmp_path / "model", "--probe", data
        )
        assert code == 1 and message in output
        assert not (tmp_path / "run").exists()


COMMANDS = sorted(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_whole_at_80_columns(command: str) -> None:
    words = [command, "--help"] if command else ["--help"]
    result = CliRunner().invoke(cli.app, words, terminal_width=80)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 80
    if not command:  # only the list of commands is shortened by Click
        assert "..." not in result.output.replace("[ARGS]...", "")
    group = typer.main.get_command(cli.app)
    shown = group.commands[command] if command else group  # type: ignore[attr-defined]
    for parameter in shown.params:
        for flag in [*parameter.opts, *parameter.secondary_opts]:
            assert flag in result.output, flag


def test_help_shows_defaults() -> None:
    output = "".join(CliRunner().invoke(cli.app, ["detect", "--help"]).output.split())
    for default in ("300", "2000", "loss", "exact", "0", "no-allow-pickle"):
        assert f"[default:{default}]" in output


def test_facts_as_json_alone(made: Path, tmp_path: Path) -> None:
    run = shutil.copytree(made / "run", tmp_path / "run")
    commands = {
        "detect": ["--config", run / "settings.yaml", "--run", run],
        "score": ["--config", run / "scores" / "default" / "settings.yaml", "--run", run],
        "select": ["--run", run, "--name", "j", "--count", "4", "--exclude", "no/such"],
        "export": ["--run", run, "--selection", "j", "--out", tmp_path / "j.jsonl"],
        "verify": [tmp_path / "j.jsonl"],
    }
    facts = {}
    for command, words in commands.items():
        result = CliRunner().invoke(cli.app, [command, *map(str, words), "--json", "--quiet"])
        assert result.exit_code == 0, result.output
        facts[command] = json.loads(result.stdout)
        assert facts[command]["command"] == command and not result.stderr
        again = CliRunner().invoke(cli.app, [command, *map(str, words), "--quiet"])
        assert again.output == ""
    assert facts["detect"]["heads"] == 8 and facts["score"]["rows"] == 50
    assert facts["select"]["selected"] == facts["export"]["rows"] == facts["verify"]["rows"] == 4
    assert facts["select"]["lists"][0]["rows"] == 0
    assert all(facts[stage]["estimated_seconds"] is not None for stage in ("detect", "score"))


def test_every_stage_leaves_its_settings_to_run_again(made: Path, tmp_path: Path) -> None:
    run, again = shutil.copytree(made / "run", tmp_path / "run"), tmp_path / "again"
    outside = tmp_path / "outside.jsonl"
    outside.write_text('{"id": "pears/1", "reward": 1}\n{"prompt": "none", "reward": 2}\n')
    assert call("cluster", "--run", run, "--clusters", 2)[0] == 0
    assert call("import-scores", outside, "--run", run, "--by", "prompt")[0] == 1
    outside.write_text(json.dumps({"id": Run.open(run).scores()["id"][0], "reward": 1}))
    assert call("import-scores", outside, "--run", run)[0] == 0
    assert call("select", "--run", run, "--name", "tenth")[0] == 0
    for command, place in (
        ("detect", ""),
        ("score", "scores/default"),
        ("cluster", "scores/default/clusters"),
        ("import-scores", "scores/default/imported/reward"),
        ("select", "selections/default"),
        ("select", "selections/tenth"),
    ):
        file = run / place / "settings.yaml"
        code, output = call(command, "--config", file, "--run", again)
        assert code == 0, output
        assert set(yaml.safe_load((again / place / "settings.yaml").read_text())) == set(
            yaml.safe_load(file.read_text())
        )
    for name in ("default", "tenth"):
        one, other = (Run.open(path).selection_ids(name) for path in (run, again))
        assert one["id"].tolist() == other["id"].tolist()
    tenth = (run / "selections" / "tenth" / "settings.yaml").read_text()
    assert yaml.safe_load(tenth)["fraction"] == 0.1, "the default is spelled out"
    assert call("select", "--run", run, "--name", "tenth", "--fraction", "10%")[0] == 0


def test_report_of_a_given_selection(made: Path, tmp_path: Path) -> None:
    run = made / "run"
    assert (
        call("select", "--run", run, "--name", "few", "--count", "3", "--scorer", "focus")[0] == 0
    )
    assert call("select", "--run", run, "--name", "more", "--count", "7")[0] == 0
    out = tmp_path / "r.html"
    assert call("report", "--run", run, "--out", out, "--selection", "few")[0] == 0
    assert "samples selected" in out.read_text() and ">focus<" in out.read_text()
    for words, message in (
        (["--scores", "none"], "has no scores named 'none'"),
        (["--selection", "none"], "has no selection named 'none'"),
    ):
        code, output = call("report", "--run", run, "--out", out, *words)
        assert code == 1 and message in output


def test_several_values_after_one_option() -> None:
    spread = cli.spread_values(["score", "--data", "a", "b", "--name", "n", "--data", "c"])
    assert spread == ["score", "--data", "a", "--data", "b", "--name", "n", "--data", "c"]


def test_demo_files_match_the_contract(made: Path) -> None:
    run = Run.open(made / "run")
    probe = pd.read_parquet(run.probe_path)
    columns = ["id", "set", "source", "n_tokens", "n_loss_tokens", "base_loss", "text"]
    assert list(probe.columns[:7]) == columns
    assert list(pd.read_parquet(run.pool_path).columns) == ["id", "source", "base_loss"]
    part = pd.read_parquet(run.score_parts()[0])
    wanted = {"id", "source", "n_tokens", "n_tokens_full", "n_response_tokens", "truncated"}
    wanted |= {"profile", "token_starts", "special_mask", "prompt", "response", "original"}
    assert wanted <= set(part.columns)
    progress = json.loads(run.progress_path.read_text())
    assert {"stage", "done", "total", "rate", "eta_s", "message"} <= set(progress)


def test_the_verbs_in_python_do_what_the_commands_do(made: Path, tmp_path: Path) -> None:
    import circuitseer_core as cs

    run = cs.detect(
        tmp_path / "run",
        model=str(made / "model"),
        probe=str(made / "probe.jsonl"),
        probe_size=6,
        show=False,
    )
    by_command = Run.open(made / "run").heads()
    pd.testing.assert_frame_equal(run.heads(), by_command, check_exact=False, atol=1e-6)
    scores = cs.score(run.path, data=str(made / "a.jsonl"), heads="2", show=False)
    chosen = cs.select(scores, scorer="variance", fraction=0.2, seed=3)
    assert len(scores) == 30 and len(chosen) == 6
    assert cs.load_run(run.path).stage_state()["score"] == "done"
    with pytest.raises(AttributeError, match="nothing"):
        _ = cs.nothing
