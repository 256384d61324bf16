"""Distances between sets of videos, and the controls that tell whether such a distance can be trusted.

Nothing is imported here: ``vdmbench.metrics.protocol`` stays free of torch, the other modules import it.
"""
