"""About how long a forward pass takes on this machine, from what the run has measured."""

from __future__ import annotations

from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run

LOADING = 15.0
"""Seconds to load a small model and its tokenizer."""
_SLOW = 500.0
"""Tokens a second of a 135M model on two cores, where nothing was measured."""
_TOKENS = 60.0


def tokens_per_second(run: Run) -> float:
    """Of the run's fastest finished scoring; a slow machine's where there is none."""
    rates = []
    for name in run.scorings():
        scoring = run.scoring(name)
        if scoring.tokens and scoring.seconds > 0:
            rates.append(scoring.tokens / scoring.seconds)
    return max(rates, default=_SLOW)


def mean_tokens(run: Run, scores: str = "default") -> float:
    """Mean tokens of a scored sample; a short question's where nothing is scored."""
    try:
        scoring = run.scoring(scores)
    except UserError:
        return _TOKENS
    return scoring.tokens / scoring.rows if scoring.tokens and scoring.rows else _TOKENS


def forward_seconds(run: Run, tokens: float) -> float:
    """Seconds to load the model and pass so many tokens through it."""
    return LOADING + tokens / tokens_per_second(run)
