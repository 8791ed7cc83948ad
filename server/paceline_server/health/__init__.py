"""Whether a target is worth trying."""
