"""Export: the draw's dial, its effect, and taking it away."""
