"""The set of the Heads page as commands take it."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from circuitseer_core.aliases import Head
from circuitseer_core.detection.heads import select_heads
from ui.heads.panel import commands_with


@pytest.mark.parametrize("heads", [[(0, 5)], [(2, 1)], [(0, 5), (2, 1)]])
def test_the_heads_copied_are_those_that_commands_take(heads: list[Head]) -> None:
    """``--heads 0.5`` would be half of all heads, ``2.1`` no share at all."""
    table = pd.DataFrame([(a, b) for a in range(3) for b in range(8)], columns=["layer", "head"])
    table = table.assign(importance=0.0, rank=range(1, 25), raced_out=False)
    copied = re.findall(r'--heads "?([\d.,]+)', commands_with(Path("run"), heads))
    assert len(copied) == 3
    assert [select_heads(table, rule) for rule in copied] == [heads] * 3
