"""Sources: scores by source and by length, and against random heads."""
