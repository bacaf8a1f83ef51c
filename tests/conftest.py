"""One profile of hypothesis for all tests: the same examples at every run, and no deadline on a busy machine."""

from hypothesis import settings

settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")
