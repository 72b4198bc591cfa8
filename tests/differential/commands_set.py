"""The grammar of the commands about sets, for commands.py."""

SETS = ()
