"""Real video recorded from engines that need no display."""
