"""Objectives: pure functions of tensors, per example; the model averages once, at its edge."""
