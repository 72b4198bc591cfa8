"""What a row of test_commands.py is made of: commands, and what is expected of each reply."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import ErrorReply  # noqa: E402


def does(*steps):
    """Commands, each with the reply that it must get; a function judges the reply itself."""
    return steps


def within(low, high):
    return lambda reply: low <= reply <= high


def error(start):
    return lambda reply: isinstance(reply, ErrorReply) and str(reply).startswith(start)


def beginning(wanted):
    return lambda reply: reply.startswith(wanted)


def names(*wanted):
    return lambda reply: all(name in reply for name in wanted)
