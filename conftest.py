"""For all tests: what a slow machine does to Hypothesis' clock says nothing of the code."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
