"""The runner: a supervising parent, one worker process a cell, and records that outlive both.

The parent never imports torch; planner and workers, which do, are processes of their own.
"""
