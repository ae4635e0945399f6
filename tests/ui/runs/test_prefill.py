"""A form that is filled in as another run was measured takes no value that would break it."""

from __future__ import annotations

from typing import Any

import pytest

from circuitseer_core.detection.settings import DetectSettings
from ui.runs.prefill import _KEYS, fits


@pytest.mark.parametrize("name", _KEYS)
def test_a_default_fits_and_nonsense_does_not(name: str) -> None:
    default = DetectSettings.model_fields[name].default
    assert default is None or fits(name, default)
    for value in ([], {}, True, -1, 10**30):
        assert not fits(name, value), (name, value)


@pytest.mark.parametrize(("name", "value"), [("epsilon", 0), ("max_length", 512), ("seed", 2**40)])
def test_what_was_measured_with_fits(name: str, value: Any) -> None:
    assert fits(name, value) and not fits(name, str(value))
