"""Videos: procedural, recorded and read from files; windows of them, and batches of windows.

Submodules are imported by name (``from vdmbench.data.store.store import Store``), so that nobody pays for numba, Pillow,
vizdoom or torch who does not use them.
"""
