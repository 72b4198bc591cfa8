"""The grammar of the commands about sorted sets, for commands.py."""

SORTED_SETS = ()
