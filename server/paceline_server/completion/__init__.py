"""The vocabulary of a completion: prompt, parts, deltas, usage, errors. Values only."""
