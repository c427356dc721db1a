"""Container engines: what the services ask of them, and who answers."""
