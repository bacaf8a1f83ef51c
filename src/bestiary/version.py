"""The version of this package and of the run folders that it writes: the one place that says it."""

__all__ = ["FORMAT", "__version__"]

__version__ = "0.2.0"
FORMAT = 2  # of run folders: 1 had a spec of kind, levels and columns, and options in the place of tricks
