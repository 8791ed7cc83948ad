"""From the spec of a call to the targets worth trying."""
