"""CircuitSeer: find a model's reasoning heads, score every sample by them, draw the subset."""
