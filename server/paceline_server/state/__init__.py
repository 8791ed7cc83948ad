"""What replicas share, and the stores that hold it."""
