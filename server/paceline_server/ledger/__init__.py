"""What happened: records, their writer, and their queries."""
