"""Modules whose functions are shipped."""
