"""A form's choices become exactly the documented command lines, and a cost before the start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from circuitseer_core.detection import cost
from circuitseer_core.detection.racing import cost as racing_cost
from circuitseer_core.detection.racing import schedule
from circuitseer_core.runs import commands as launch

RUN = Path("runs/my run")


def test_defaults_stay_out_of_the_command() -> None:
    step = launch.detect_step(RUN, "demo", ["demo"], probe_size=300, mode="exact", seed=0)
    assert step == ["detect", "--run", "runs/my run", "--model", "demo", "--probe", "demo"]


def test_options_flags_and_several_specs() -> None:
    step = launch.detect_step(
        RUN, "org/m", ["a.jsonl", "b=hf:x"], ["c.csv"], mode="racing", epsilon=0.5, prompt_field="q"
    )
    assert step[5:] == [
        *("--probe", "a.jsonl", "--probe", "b=hf:x", "--contrast", "c.csv"),
        *("--mode", "racing", "--epsilon", "0.5", "--prompt-field", "q"),
    ]
    assert launch.score_step(RUN, ["demo"], baselines=True)[-1] == "--baselines"
    assert launch.select_step(RUN, fraction=0.25, temperature=0.0)[3:] == [
        *("--fraction", "0.25", "--temperature", "0"),
    ]


def test_the_typed_form_quotes_what_a_shell_would_split() -> None:
    assert "'runs/my run'" in launch.as_typed(launch.score_step(RUN, ["demo"]))


def test_an_unknown_option_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="probe_sise"):
        launch.detect_step(RUN, "demo", ["demo"], probe_sise=3)


@pytest.mark.parametrize(
    ("table", "step"),
    [
        (launch.DETECT_DEFAULTS, "detect"),
        (launch.SCORE_DEFAULTS, "score"),
        (launch.SELECT_DEFAULTS, "select"),
    ],
)
def test_every_option_exists_on_the_command_line(table: dict[str, object], step: str) -> None:
    """The command line is the contract; its own help is the witness."""
    import typer.main

    from circuitseer_core.cli.main import app

    command = typer.main.get_command(app).commands[step]  # type: ignore[attr-defined]
    by_flag = {flag: p for p in command.params for flag in p.opts}
    for name, default in (table | (launch.FIELD_DEFAULTS if step != "select" else {})).items():
        assert "--" + name.replace("_", "-") in by_flag
        if name != "fraction":
            assert by_flag["--" + name.replace("_", "-")].default == default


def test_exact_cost_is_probe_times_heads_and_racing_is_its_schedule() -> None:
    size = cost.ModelSize(30, 270, 135e6)
    exact = cost.detect_cost(
        size, model="demo", probe_size=300, mode="exact", contrast=False, runs=[]
    )
    assert exact.evaluations == 81_000 and not exact.measured
    race = cost.detect_cost(
        size, model="demo", probe_size=300, mode="racing", contrast=False, runs=[]
    )
    assert race.evaluations == racing_cost(schedule(300, 270, 14)) < exact.evaluations
    assert race.seconds is not None and exact.seconds is not None
    assert race.seconds / exact.seconds == pytest.approx(race.evaluations / exact.evaluations)


def test_a_local_folder_tells_its_size(tmp_path: Path) -> None:
    config = {"num_hidden_layers": 4, "num_attention_heads": 8, "hidden_size": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))
    size = cost.model_size(str(tmp_path), [])
    assert size is not None and (size.layers, size.heads) == (4, 32)
    assert cost.model_size("org/unknown", []) is None
