"""Redis itself, for the tests that compare with it.

Debian's redis-tools holds the whole server under another name; the package redis-server would add
no more than a service, which would start on the host of whoever tries our tests.
"""

import os
import shutil


def path_with_server(directory):
    """A PATH on which redis-server is, a link in `directory` if need be; None where there is no
    Redis at all, or no redis-benchmark."""
    path = os.environ.get("PATH", os.defpath)
    if not shutil.which("redis-benchmark"):
        return None
    if shutil.which("redis-server"):
        return path
    program = shutil.which("redis-check-rdb")
    if program is None:
        return None
    link = os.path.join(directory, "redis-server")
    if not os.path.islink(link):
        os.symlink(program, link)
    return directory + os.pathsep + path
