"""One text at a time: what changes when heads are ablated, at once and to look at."""
