"""The effects of the commands about sorted sets, for test_commands.py."""

SORTED_SETS = {}
