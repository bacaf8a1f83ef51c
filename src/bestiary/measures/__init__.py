"""Measures: pure functions of arrays and callables, never of a model class. Each gives numbers with their protocol."""
