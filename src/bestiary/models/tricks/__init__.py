"""Tricks: what is added to the bare game, one file each. `table.py` has their names."""
