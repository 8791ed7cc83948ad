"""The shell that speaks gRPC: the only package that knows the generated stubs."""
