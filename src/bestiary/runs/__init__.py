"""Runs: a folder in which a model was fitted, and what one does with it: fit → sample → judge → report; resume."""
