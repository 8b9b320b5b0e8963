"""Run a command whose output nobody sees, and print what it took: seconds on the clock, MiB of memory, exit status.

A program of its own, because a process begins with the memory of the one that starts it (getrusage(2)).
"""

import os
import sys
import time

if __name__ == "__main__":
    started = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)]
    pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
    _, status, used = os.wait4(pid, 0)
    # kilobytes, on macOS bytes
    mib = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(time.perf_counter() - started, mib, os.waitstatus_to_exitcode(status))
