"""What `make bench` runs: our way of doing things against the least that could do them, measured side by side."""
