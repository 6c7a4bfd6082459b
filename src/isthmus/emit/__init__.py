"""Intent to the configuration of an engine. Pure functions."""
