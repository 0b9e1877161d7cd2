"""Doors to the street: the command line."""
