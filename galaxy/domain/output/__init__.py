"""A container's output on its way to the log: lines, redaction, and how much is kept."""
