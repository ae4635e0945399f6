"""The Runs page in Streamlit's test runner."""

from __future__ import annotations

import errno
import json
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from circuitseer_core.cli.main import app as cli
from circuitseer_core.cli.main import spread_values
from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.survey import survey
from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.job_records import JobRecord
from circuitseer_core.runs.stage import holding
from tests.support.opened import into_view, job_done, open_page, settled, synthetic, table, texts
from tests.support.records import edit_run
from tests.support.synthetic import Shape
from tests.support.tiny_models import save_tiny
from ui.runs import data_input


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    rows = [{"question": f"{i} + 1?", "answer": f"{i + 1}"} for i in range(30)]
    rows.append({"question": "", "answer": "nothing asked"})
    path.write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    return path


def start_form(data: Path, tmp_path: Path, kinds: Sequence[str] = ("probe", "data")) -> AppTest:
    (tmp_path / "model").mkdir(exist_ok=True)
    config = {"num_hidden_layers": 4, "num_attention_heads": 8, "hidden_size": 64}
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    app = open_page("runs", runs_view="Start")
    group(app, "model_kind").set_value("folder").run()
    app.text_input(key="model_folder").set_value(str(tmp_path / "model")).run()
    for key in kinds:
        group(app, f"{key}_kind").set_value("files").run()
        app.text_area(key=f"{key}_files").set_value(f"sums={data}").run()
    return settled(app)


def group(app: AppTest, key: str):
    return next(b for b in app.button_group if b.key == key)


def test_the_preview_shows_rows_sources_and_rejects(data: Path, tmp_path: Path) -> None:
    app = start_form(data, tmp_path)
    assert "31 rows" in texts(app)
    assert "sums" in texts(app)
    assert any("would be rejected" in w.value for w in app.warning)
    facts = survey(Corpus([f"sums={data}"]))
    assert (facts.rejects, facts.samples) == (1, 30)
    assert "30 samples, 1 reject;" in texts(app) and "from 1 source:" in texts(app)
    assert f"{facts.with_response} have a response" in texts(app)
    toggle = app.toggle(key="probe_tokens").set_value(True)
    assert "Not counted: the tokenizer of" in texts(settled(toggle.run())), "it is a bare config"
    app.text_input(key="model_folder").set_value(str(save_tiny(tmp_path / "tiny"))).run()
    app.number_input(key="set_max_length").set_value(8).run()
    shown = texts(settled(app))
    assert "30 samples could serve in a probe (100 %)" not in shown
    assert "could serve in a probe (" in shown and "× longer than … tokens" in shown


def test_the_commands_are_shown_before_the_start(data: Path, tmp_path: Path) -> None:
    app = start_form(data, tmp_path)
    app.text_input(key="run_name").set_value("mine").run()
    app.number_input(key="set_probe_size").set_value(12).run()
    app.session_state["commands"] = True  # the folded block, opened
    app.run()
    commands = [shlex.split(line) for line in app.code[0].value.splitlines()]
    assert [c[3] for c in commands] == ["detect", "score", "select"]
    assert f"--probe sums={data} " in " ".join(commands[0]) + " "
    assert "--probe-size 12" in " ".join(commands[0])
    assert all(str(Path("mine")) in " ".join(c) for c in commands)
    assert any("evaluations" in info.value for info in app.info)


def test_start_hands_the_commands_to_the_jobs(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(
        "circuitseer_core.runs.jobs.start", lambda path, steps: started.append(steps)
    )
    app = start_form(data, tmp_path)
    app.button(key="start").click().run()
    assert [step[0] for step in started[0]] == ["detect", "score", "select"]


def test_a_missing_file_or_model_is_a_line_and_no_start_button(data: Path, tmp_path: Path) -> None:
    app = start_form(data, tmp_path)
    app.text_area(key="probe_files").set_value(str(tmp_path / "gone.jsonl")).run()
    assert any("gone.jsonl" in e.value for e in app.error)
    assert "start" not in [b.key for b in app.button]
    app.text_input(key="model_folder").set_value(str(tmp_path / "nowhere")).run()
    assert any("config.json" in e.value for e in app.error)


def test_a_probe_of_prompts_alone_serves_where_the_loss_is_on_all_tokens(tmp_path: Path) -> None:
    data = tmp_path / "asked.jsonl"
    data.write_text("\n".join(json.dumps({"question": f"{i}?"}) for i in range(20)))
    app = start_form(data, tmp_path, ["probe"])
    assert any("has a response" in e.value for e in app.error)
    group(app, "stage").set_value("Detect only").run()
    app.selectbox(key="set_loss").set_value("all").run()
    assert not settled(app).error and "start" in [b.key for b in app.button]


def test_an_upload_that_is_taken_out_again_is_not_used(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = start_form(data, tmp_path)
    app.session_state["probe_uploaded"] = [f"sums={data}"]
    group(app, "probe_kind").set_value("upload").run()
    assert "Uploaded before: sums" in texts(settled(app)), "as after another page"

    def emptied(*args: object, on_change: Callable, **more: Any) -> list[str]:
        on_change(*more["args"])
        return []

    monkeypatch.setattr(data_input.st, "file_uploader", emptied)
    assert "Uploaded before" not in texts(settled(app.run()))
    assert "start" not in [b.key for b in app.button]


def test_a_taken_name_is_refused(data: Path, tmp_path: Path, runs_home: Path) -> None:
    synthetic(runs_home, "taken")
    app = start_form(data, tmp_path)
    app.text_input(key="run_name").set_value("taken").run()
    assert any("already" in e.value for e in app.error)


def test_a_click_on_a_form_that_cannot_start_starts_nothing_later(
    data: Path, tmp_path: Path, runs_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[list[str]]] = []
    monkeypatch.setattr(jobs, "start", lambda path, steps: started.append(steps))
    synthetic(runs_home, "taken")
    app = start_form(data, tmp_path)
    app.text_input(key="run_name").set_value("taken")
    app.button(key="start").click().run()
    app.text_input(key="run_name").set_value("free").run()
    assert not settled(app).error and not started
    app.button(key="start").click().run()
    assert len(started) == 1


def test_a_set_in_a_link_replaces_what_the_form_had_once(runs_home: Path) -> None:
    synthetic(runs_home)
    app = open_page("runs", "made", runs_view="Start", stage="Score and draw")
    assert app.text_input(key="set_heads").value == "0.05"
    app.query_params["heads"] = "7"
    app.query_params["rank_by"] = "specificity"
    settled(app.run())
    assert app.text_input(key="set_heads").value == "7"
    assert app.selectbox(key="set_rank_by").value == "specificity"
    app.text_input(key="set_heads").set_value("3").run()
    assert settled(app).text_input(key="set_heads").value == "3", "what is typed stands"
    assert "heads" not in app.query_params


def test_a_stage_that_was_killed_in_a_terminal_is_not_running(runs_home: Path) -> None:
    run = synthetic(runs_home)
    edit_run(run, state="running")
    assert table(open_page("runs"), "state")["state"].tolist()[0] == "Interrupted"
    with holding(run.path):
        assert table(open_page("runs"), "state")["state"].tolist()[0] == "Running"


@pytest.mark.parametrize(
    ("step", "state", "shown"),
    [
        ("select", "failed", "Done"),
        ("validate", "cancelled", "Done"),
        ("score", "failed", "Failed"),
    ],
)
def test_a_refused_step_leaves_a_finished_run_done(
    runs_home: Path, step: str, state: Any, shown: str
) -> None:
    run = synthetic(runs_home, shape=Shape(rows=60))
    if shown == "Failed":  # what was refused is not there
        shutil.rmtree(run.path / "scores")
    job = JobRecord(steps=[[step, "--run", str(run.path)]], state=state, error="no such option")
    job.write(run.path / "job.json")
    assert table(open_page("runs"), "state")["state"].tolist()[0] == shown


def test_the_name_of_a_scoring_is_free_in_the_plan_that_is_in_view(
    data: Path, tmp_path: Path, runs_home: Path
) -> None:
    synthetic(runs_home)
    app = start_form(data, tmp_path)
    assert app.text_input(key="set_name").value == "default"
    group(app, "stage").set_value("Score and draw").run()
    name = next(box for box in settled(app).text_input if box.label == "Name")
    assert name.value == "scores-2"
    assert "this one becomes default-2" in texts(app)


@pytest.mark.parametrize("button", ["do_rename", "do_delete"])
def test_what_the_machine_refuses_is_a_line(
    runs_home: Path, monkeypatch: pytest.MonkeyPatch, button: str
) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "made")

    for name in ("rename", "delete"):
        monkeypatch.setattr(jobs, name, refuse)
    synthetic(runs_home)
    app = open_page("runs", "made")
    app.button(key=button).click().run()
    assert "ermission" in settled(app).error[0].value


def test_another_run_is_renamed_from_its_own_name(runs_home: Path) -> None:
    for name in ("second", "made"):
        synthetic(runs_home, name)
    app = open_page("runs", "made")
    app.text_input(key="new_name_made").set_value("typed").run()
    into_view(app, "second")
    field = next(box for box in settled(app).text_input if box.label == "New name")
    assert field.value == "second"


def test_settings_are_kept_when_one_comes_back(data: Path, tmp_path: Path) -> None:
    app = start_form(data, tmp_path)
    app.number_input(key="set_probe_size").set_value(33).run()
    app.switch_page("pages/overview.py").run()
    app.switch_page("pages/runs.py").run()
    group(app, "runs_view").set_value("Start").run()
    assert settled(app).number_input(key="set_probe_size").value == 33


def test_settings_that_cannot_be_are_a_line_and_no_start_button(data: Path, tmp_path: Path) -> None:
    app = start_form(data, tmp_path)
    app.text_input(key="set_name").set_value("two words").run()
    assert any("name" in e.value and "pattern" in e.value for e in app.error) and not app.exception
    assert "start" not in [b.key for b in app.button]


def test_devices_go_to_detect_and_score(data: Path, tmp_path: Path) -> None:
    app = start_form(data, tmp_path)
    app.text_input(key="set_devices").set_value("cpu, cpu").run()
    app.session_state["commands"] = True
    app.run()
    detect, score, select = (shlex.split(line) for line in app.code[0].value.splitlines())
    for command in (detect, score):
        assert command[command.index("--devices") + 1] == "cpu, cpu"
    assert "--devices" not in select
    app.selectbox(key="set_device").set_value("cuda").run()
    assert any("exclude each other" in e.value for e in app.error)
    assert "start" not in [b.key for b in app.button]


def test_data_may_be_the_same_as_the_probe(data: Path, tmp_path: Path) -> None:
    app = start_form(data, tmp_path)
    group(app, "data_kind").set_value("same").run()
    app.session_state["commands"] = True
    settled(app.run())
    detect, score, _ = (shlex.split(line) for line in app.code[0].value.splitlines())
    assert score[score.index("--data") + 1] == f"sums={data}" == detect[detect.index("--probe") + 1]


def rewards(run: Run, path: Path) -> Path:
    """A file with a number for every second sample, and one row that is nobody's."""
    ids = run.scores(columns=["id"])["id"].tolist()[::2]
    rows = [{"id": name, "reward": i / 10} for i, name in enumerate(ids)]
    rows.append({"id": "nobody/1", "reward": 1.0})
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_outside_scores_are_joined_by_a_job_and_become_scores(
    runs_home: Path, tmp_path: Path
) -> None:
    run = synthetic(runs_home, shape=Shape(rows=60))
    app = open_page("runs", "made", runs_view="Import scores")
    assert app.button(key="import").disabled
    app.text_area(key="outside_files").set_value(str(rewards(run, tmp_path / "r.jsonl"))).run()
    app.session_state["import_command"] = True
    settled(app.run())
    command = shlex.split(app.code[-1].value)
    assert command[3:6] == ["import-scores", "--run", str(run.path)]
    app.button(key="import").click()
    settled(app.run())
    job_done(run)
    app = open_page("runs", "made", runs_view="Import scores")
    row = table(app, "rows joined").iloc[0]
    assert (row["scores"], row["rows joined"], row["by id"]) == ("reward", "30 of 31", "30")
    assert "reward" in open_page("export", "made").selectbox(key="scorer").options


def test_a_column_is_joined_by_the_very_command_of_the_form(
    runs_home: Path, tmp_path: Path
) -> None:
    run = synthetic(runs_home, shape=Shape(rows=60))
    file = rewards(run, tmp_path / "r.jsonl")
    app = open_page("runs", "made", runs_view="Import scores")
    app.text_area(key="outside_files").set_value(str(file)).run()
    app.text_input(key="import_columns").set_value("reward").run()
    app.session_state["import_command"] = True
    settled(app.run())
    words = shlex.split(app.code[-1].value)[3:]
    result = CliRunner().invoke(cli, spread_values(words))
    assert result.exit_code == 0, result.output
    assert run.scoring().imported[0].columns


@pytest.mark.parametrize("fence", [[], ["--"]])
def test_files_behind_a_column_are_files(fence: list[str]) -> None:
    words = ["import-scores", "--run", "r", "--column", "reward", *fence, "a.jsonl", "b.jsonl"]
    assert spread_values(words) == words


def test_settings_of_an_import_reach_the_command(
    runs_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = synthetic(runs_home, shape=Shape(rows=60))
    started: list[list[list[str]]] = []
    monkeypatch.setattr(jobs, "start", lambda path, steps: started.append(steps))
    app = open_page("runs", "made", runs_view="Import scores")
    app.text_area(key="outside_files").set_value("-odd=r.jsonl").run()
    app.selectbox(key="import_by").set_value("prompt").run()
    app.text_input(key="import_columns").set_value("good=reward, rate").run()
    app.toggle(key="import_rank").set_value(True).run()
    app.text_input(key="import_prompt_field").set_value("body").run()
    app.button(key="import").click()
    settled(app.run())
    assert started == [[[
        "import-scores", "--run", str(run.path), "--scores", "default", "--column", "good=reward",
        "--column", "rate", "--by", "prompt", "--rank", "--prompt-field", "body", "--",
        "-odd=r.jsonl",
    ]]]  # fmt: skip


def test_where_nothing_is_scored_nothing_is_joined(runs_home: Path) -> None:
    synthetic(runs_home, shape=Shape(detect_only=True))
    app = open_page("runs", "made", runs_view="Import scores")
    assert "nothing has been scored here yet" in texts(app)
    assert "import" not in [button.key for button in app.button]
