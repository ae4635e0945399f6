"""Try it: ablate heads on one text and see what changes."""
