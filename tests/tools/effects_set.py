"""The effects of the commands about sets, for test_commands.py."""

SETS = {}
