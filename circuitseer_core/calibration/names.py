"""What the lines of a comparison and the ways of judging are called; light to import."""

from __future__ import annotations

HEADS, REASONING, RANDOM, WORDS, REST = "heads", "reasoning heads", "random heads", "words", "rest"
"""Blocks; ``rest`` is all but the heads."""
PLUS = " + heads"
"""Behind a block's name: that block and the heads."""
POOLED, WITHIN, OWN, OTHER, PAIRS = "pooled", "within", "own", "other", "pairs"
"""Ways of judging: see ``Estimate`` in runs/calibration_records.py."""
MIN_ROWS = 60
"""Fewest rows that are fitted to: with fewer a fold has hardly anything to learn from."""
MIN_PAIRS = 40
"""Fewest decided pairs that are fitted to."""
