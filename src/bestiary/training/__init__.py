"""Training: one loop in which players take turns, and everything that keeps a run safe, exact and fast."""
