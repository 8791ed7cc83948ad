"""Paceline: a gRPC gateway in front of LLM providers."""
