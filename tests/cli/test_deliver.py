"""What the commands that hand subsets out print."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from circuitseer_core.cli.main import app
from tests.support.run_factory import make_rows, make_run, score_frame, write_scores


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
