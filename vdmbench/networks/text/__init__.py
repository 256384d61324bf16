"""Encoders of captions: what they hand over is tokens of one width, and which of them count."""
