"""The configuration: read from file and environment, checked whole, secrets masked."""
