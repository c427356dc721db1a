"""The store: apps, versions, base images, updates and everything else that Redis is the authority on."""
