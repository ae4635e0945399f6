"""Overview: where a run stands and what to beware of."""
