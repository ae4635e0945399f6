"""Stage 3: who may be drawn, the soft draw, its budget and its diagnostics."""
