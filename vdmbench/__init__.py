"""vdmbench: which temporal layer is best at the same memory."""

__version__ = "0.1.0"
