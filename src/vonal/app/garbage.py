"""How often Python looks for garbage that only its collector finds."""

import gc

# Each call event makes dozens of objects that die by themselves; looking through them after every 700 took a tenth of a
# delivery's CPU. What is found is as good as nothing, and some ten thousand small objects may wait for it.
AFTER = (10_000, 20, 50)


def collect_seldom() -> None:
    """For a process that serves."""
    gc.set_threshold(*AFTER)
