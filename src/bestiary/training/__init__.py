"""Training: the one loop in which players take turns, with checkpoints, schedules, devices and parallel processes."""
