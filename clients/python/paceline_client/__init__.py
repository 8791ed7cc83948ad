"""The Python client of Paceline."""
