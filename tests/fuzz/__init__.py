"""Hostile trials: command lines and files that no person means, each of which must end in a result or a sentence."""
