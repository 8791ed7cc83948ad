"""The Python client of Paceline: channels, calls, the folding of streams, typed errors.

Import from its modules. It needs gRPC, protobuf and the generated stubs, and nothing of the server.
"""
