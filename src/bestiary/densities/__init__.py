"""Densities: modules that turn a context into a distribution, and the divergences between distributions."""
