"""The effects of the commands about lists, for test_commands.py."""

LISTS = {}
