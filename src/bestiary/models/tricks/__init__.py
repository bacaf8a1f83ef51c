"""Tricks: additions to the bare game of a GAN, one file each. `table.py` lists them by name."""
