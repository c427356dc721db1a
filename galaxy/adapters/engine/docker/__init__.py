"""A Docker engine, through the SDK."""
