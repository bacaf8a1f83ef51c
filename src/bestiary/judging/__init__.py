"""Judging: chapters of numbers about samples and models."""
