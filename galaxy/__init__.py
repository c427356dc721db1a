"""The deployment pipeline: domain, adapters, services, and their two faces."""
