"""What all tests share: one thread a process, so that they can run side by side on few cores, and nothing of the user's."""

from __future__ import annotations

import os

# Before torch is imported, and inherited by the workers that tests start: threads that wait for each other by spinning
# are many times slower than one, as soon as there are more of them than cores.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"

from hypothesis import settings

# The same examples every time, and no opinion on how long one takes on a shared machine.
settings.register_profile("vdmbench", deadline=None, derandomize=True)
settings.load_profile("vdmbench")
