"""What a call through Paceline costs, as a ratio to a bare gRPC server in the same run: `make bench`."""
