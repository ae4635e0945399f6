"""What the commands that hand subsets out print, and that the commands on a card make it again."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from circuitseer_core.cli.main import app
from circuitseer_core.export.verify import verify
from circuitseer_core.runs.folder import Run
from tests.cli.test_main import call
from tests.support.data_files import write_data
from tests.support.run_factory import make_rows, make_run, score_frame, write_scores
from tests.support.tiny_models import save_tiny


def test_rows_that_another_scoring_lacks_are_counted(tmp_path: Path) -> None:
    frame = score_frame(make_rows(60))
    run = make_run(tmp_path / "run", frame=frame.head(58), name="again")
    write_scores(run, frame)
    settings = (run.scores_dir("again") / "settings.json").read_text()
    (run.scores_dir("default") / "settings.json").write_text(settings)
    words = ["arms", "--run", str(run.path), "--other-scores", "again", "--arms", "other-scoring"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out"), "--rows", "9"])
    assert done.exit_code == 0, done.output
    assert "again has no score for 2 rows of 60: not in its arms" in done.output
    whole = CliRunner().invoke(app, ["arms", "--run", str(run.path), "--out", str(tmp_path / "b")])
    assert whole.exit_code == 0 and "no score for" not in whole.output


FEW = ("--folds", "3", "--repeats", "1", "--permutations", "20")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an imported score, a calibration fitted to it, and a draw by each."""
    tmp = tmp_path_factory.mktemp("followed")
    save_tiny(tmp / "model", "llama", layers=2)
    write_data(tmp / "probe.jsonl", 4)
    write_data(tmp / "a.jsonl", 60)
    run = tmp / "run"

    def done(stage: str, *words: object) -> None:
        code, output = call(stage, *words, "--run", run)
        assert code == 0, output

    done("detect", "--model", tmp / "model", "--probe", tmp / "probe.jsonl", "--probe-size", 3)
    done("score", "--data", tmp / "a.jsonl", "--heads", "2", "--head-features")
    rng = np.random.default_rng(0)
    ids = Run.open(run).scores("default", ["id"])["id"].tolist()
    rows = [{"id": name, "reward": rng.random(), "other": 1.0} for name in ids]
    (tmp / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done("import-scores", tmp / "r.jsonl", "--column", "reward")
    done("import-scores", tmp / "r.jsonl", "--column", "other")
    done("calibrate", "--target", "reward", *FEW)
    done("select", "--scorer", "reward", "--count", 9, "--name", "first")
    matching = ("--match-lengths", "first", "--temperature", "inf", "--name", "matched")
    done("select", "--scorer", "calibrated", *matching)
    return tmp


def commands_of(made: Path, selection: str) -> list[str]:
    """The commands of the card of an export, as a person reads them there."""
    out = made / selection / "s.jsonl"
    code, output = call("export", "--run", made / "run", "--selection", selection, "--out", out)
    assert code == 0, output
    card = (made / selection / "README.md").read_text()
    block = re.search(r"## Reproduce\n+```\w*\n(.*?)\n```", card, re.DOTALL)
    assert block is not None
    return block[1].splitlines()


def words_of(command: str) -> list[str]:
    words = shlex.split(command)
    return words[1 if words[0] == "circuitseer" else 3 :]


def verbs(commands: list[str]) -> list[str]:
    return [
        re.sub(r"^(circuitseer|python -m circuitseer_core) ", "", c).split()[0] for c in commands
    ]


def test_an_imported_score_needs_its_file_and_no_calibration(made: Path) -> None:
    commands = commands_of(made, "first")
    assert verbs(commands) == ["detect", "score", "import-scores", "select", "export", "verify"]
    assert "--column reward=reward" in commands[2]


def test_a_card_can_be_followed(made: Path) -> None:
    """Drawn by a calibration of an imported score, at the lengths of another selection."""
    commands = commands_of(made, "matched")
    assert verbs(commands) == [
        "detect", "score", "import-scores", "select", "calibrate", "select", "export", "verify",
    ]  # fmt: skip
    before = (made / "matched" / "s.jsonl").read_bytes()
    shutil.move(made / "run", made / "kept")
    for command in commands[:-1]:
        code, output = call(*words_of(command))
        assert code == 0, f"{command}: {output}"
    assert (made / "matched" / "s.jsonl").read_bytes() == before
    assert verify(made / "matched" / "s.jsonl").ok
