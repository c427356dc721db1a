"""Base images: references, the contract, checks, and the updates that a change causes."""
