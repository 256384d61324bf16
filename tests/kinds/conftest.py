"""What tests of kinds share with those of the command line."""

from tests.cli.commands import vdmbench

__all__ = ["vdmbench"]
