"""What every test shares: one way to try random inputs, printed so that a failure can be repeated."""

from hypothesis import settings

# No deadline: a busy machine is no bug. The blob repeats a failure exactly.
settings.register_profile("filmgate", deadline=None, print_blob=True)
settings.load_profile("filmgate")
