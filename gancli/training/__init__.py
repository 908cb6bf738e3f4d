"""Training as such: state, step, calendar and loop. Knows nothing of run directories."""
