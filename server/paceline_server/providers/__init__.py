"""Speaking to one target: the base protocol, HTTP, and one adapter for each wire format."""
