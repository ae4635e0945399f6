"""Stage 1: ablate every head, measure the loss, take the reasoning heads."""
