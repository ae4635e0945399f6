"""What the lines of a comparison and the ways of judging are called; light to import."""

from __future__ import annotations

HEADS, REASONING, RANDOM = "heads", "reasoning heads", "random heads"
WORDS, SURFACE, SOURCE = "words", "surface", "source"
PAPER, LOSSES, REST = "paper's scores", "perplexity and IFD", "rest"
"""Blocks; ``rest`` is all but the heads."""
PLUS = " + heads"
"""Behind a block's name: that block and the heads."""
POOLED, WITHIN, OWN, OTHER, PAIRS = "pooled", "within", "own", "other", "pairs"
"""Ways of judging: see ``Estimate`` in runs/calibration_records.py."""
MIN_ROWS = 60
"""Fewest rows that are fitted to: with fewer a fold has hardly anything to learn from."""
MIN_PAIRS = 40
"""Fewest decided pairs that are fitted to."""


def has_heads(line: str) -> bool:
    """Whether a fitted line reads any heads."""
    alone = line in (HEADS, REASONING) or line.startswith((f"{HEADS}: ", RANDOM))
    return alone or line.endswith(PLUS)
