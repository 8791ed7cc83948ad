"""What is known of the vendors, as data: how each is reached, its dialect, its habits and its limits."""
