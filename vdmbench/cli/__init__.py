"""The command line: one file a command. Nothing here imports torch, pandas or matplotlib before a command needs it."""
