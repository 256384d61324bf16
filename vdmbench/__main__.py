"""``python -m vdmbench`` is ``vdmbench``."""

from vdmbench.cli.app import main

if __name__ == "__main__":
    main()
