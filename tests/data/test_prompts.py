"""Normalised prompts."""

from __future__ import annotations

import math

from circuitseer_core.data.prompts import normalise, prompt_hashes


def test_normalised_text() -> None:
    assert normalise("  Ａ\tStraße\n\n1 ") == "a strasse 1"
    hashes = prompt_hashes(["x", "X ", None, "", math.nan])
    assert hashes[0] == hashes[1] != 0 and not hashes[2:].any()
