"""The apps' logs in Redis: entries, their stream, and how lines get there."""
