"""What the forms take from a settings class: bounds of the field's own kind, choices, defaults."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from circuitseer_core.detection.settings import ABLATIONS, DetectSettings
from circuitseer_core.export.formats import FORMATS, LABELS
from circuitseer_core.runs.review_records import ReviewOptions
from circuitseer_core.selection.settings import SelectionSettings
from ui.samples.blind import SPREADS
from ui.try_it.heads import ABLATION
from ui.widgets.settings_field import bounds, choices, proposed


@pytest.mark.parametrize(
    ("kind", "name", "ends"),
    [
        (ReviewOptions, "pairs", (1, 200)),
        (ReviewOptions, "gap", (0.0, 99.0)),
        (SelectionSettings, "near_duplicates", (0.5, 1.0)),
        (SelectionSettings, "run_words", (4, 100)),
        (SelectionSettings, "seed", (0, None)),
        (DetectSettings, "max_length", (2, None)),
        (SelectionSettings, "name", (None, None)),
    ],
)
def test_bounds_are_the_fields(
    kind: type[BaseModel], name: str, ends: tuple[float | None, float | None]
) -> None:
    read = bounds(kind, name)
    assert read == ends and list(map(type, read)) == list(map(type, ends))


def test_every_choice_has_its_words() -> None:
    assert choices(ReviewOptions, "spread") == list(SPREADS)
    assert proposed(ReviewOptions, "spread") in SPREADS
    assert set(ABLATIONS) == set(choices(DetectSettings, "ablation")) == set(ABLATION)
    assert set(FORMATS) == set(LABELS)
