"""Settings as command lines: what is shown is what a person would type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from circuitseer_core.data.fields import FieldOptions
from circuitseer_core.detection.ablate_settings import AblateSettings
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.commands import arguments, as_typed, checked, options, step
from circuitseer_core.runs.survey_settings import SurveySettings
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import SelectionSettings

RUN = Path("runs/my run")


def test_defaults_stay_out_of_the_command() -> None:
    settings = DetectSettings(model="demo", probe=["demo"], probe_size=300, mode="exact", seed=0)
    assert step("detect", RUN, settings) == [
        *("detect", "--run", "runs/my run", "--model", "demo", "--probe", "demo"),
    ]


def test_options_flags_and_several_specs() -> None:
    settings = DetectSettings(
        model="org/m", probe=["a.jsonl", "b=hf:x"], contrast=["c.csv"], mode="racing",
        ablation="scaled", epsilon=0.5, prompt_field="q",
    )  # fmt: skip
    assert arguments(settings) == [
        *("--model", "org/m", "--probe", "a.jsonl", "--probe", "b=hf:x", "--contrast", "c.csv"),
        *("--mode", "racing", "--ablation", "scaled", "--epsilon", "0.5", "--prompt-field", "q"),
    ]
    assert arguments(ScoreSettings(data=["demo"], baselines=True))[-1] == "--baselines"
    select = SelectionSettings.of(fraction=0.25, temperature=float("inf"), review=False)
    assert arguments(select) == ["--fraction", "0.25", "--temperature", "inf", "--no-review"]


def test_the_typed_form_quotes_what_a_shell_would_split() -> None:
    assert "'runs/my run'" in as_typed(step("score", RUN, ScoreSettings(data=["demo"])))


def test_internal_settings_are_no_options() -> None:
    settings = ScoreSettings(data=["demo"], shard_rows=7, token_budget=9)
    assert arguments(settings) == ["--data", "demo"]


def test_a_selection_spells_out_its_budget() -> None:
    assert "--fraction 0.1" in SelectionSettings.of().command(RUN)
    assert "--fraction" not in SelectionSettings.of(count=5).command(RUN)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"dtype": "fp7"}, "--dtype: Input should be 'auto', 'fp32', 'bf16' or 'fp16'"),
        ({"probe_size": 0}, "--probe-size: Input should be greater than or equal to 1"),
        ({"probe_sise": 3}, "there is no option 'probe_sise': did you mean 'probe_size'?"),
        ({"probe_pool": 1}, "--probe-pool cannot be smaller than --probe-size"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_its_option(
    values: dict[str, object], line: str
) -> None:
    with pytest.raises(UserError) as caught:
        checked(DetectSettings, model="demo", probe=["demo"], **values)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("options", "fingerprint"),
    [
        ({}, "83842f9fe25c4e81"),
        ({"prompt_field": "frage", "id_field": "key", "response_items": "all"}, "3e46746983b89903"),
        ({"ablation": "scaled", "epsilon": 1e-5, "contrast": ["ü.jsonl"], "weight_bits": "4",
          "max_length": 64}, "c533190883b4ae23"),
        ({"ablation": "scaled", "epsilon": 0.1, "response_field": 'r"x'}, "749be3669b3bd924"),
    ],
)  # fmt: skip
def test_runs_of_before_go_on(options: dict[str, Any], fingerprint: str) -> None:
    """The hash that a resumed detection must share; these were computed by an earlier version."""
    assert DetectSettings(model="m", probe=["a.jsonl"], **options).fingerprint() == fingerprint


@pytest.mark.parametrize("kind", [DetectSettings, ScoreSettings, AblateSettings, SurveySettings])
def test_columns_are_one_class_and_stand_last(kind: type[FieldOptions]) -> None:
    assert issubclass(kind, FieldOptions)
    assert list(options(kind))[-5:] == list(FieldOptions.model_fields)
