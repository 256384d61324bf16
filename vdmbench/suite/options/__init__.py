"""Option models of everything a suite names: one file for each table of the registry. Never imports torch."""
