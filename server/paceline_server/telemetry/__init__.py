"""Hooks to logs, metrics and traces."""
