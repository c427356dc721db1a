"""The schedule of the fleet's periodic work."""
