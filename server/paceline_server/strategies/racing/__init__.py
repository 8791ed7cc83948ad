"""How a race is run and decided: one rule a strategy, and what they have in common."""
