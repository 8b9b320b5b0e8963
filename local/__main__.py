"""`python -m local`; what it does is in `local/command_line.py`."""

import gc
import os
import sys

try:
    from local import sealed

    # what Python took of it at its start is left behind in another
    if sealed.seal():
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

    from local import interrupt

    interrupt.listen()
    # Pulumi's modules are a million objects that all stay: to look for garbage among them again and again takes a tenth
    # of a short run
    gc.set_threshold(200_000, 20, 20)
    # here, because these imports take longest
    from local.command_line import to_its_end

    status = to_its_end()
except ModuleNotFoundError as error:
    # `pulumi install` brings what the program needs, not what this needs besides
    print(f"error: {error.name} is not installed in {sys.prefix}; `make local` installs it", file=sys.stderr)
    status = 1
except KeyboardInterrupt:
    # before it listened; at once, because another may follow
    os.write(2, b"interrupted\n")
    os._exit(130)
sys.stderr.flush()
# standard output is flushed and the server has ended; to take those objects apart again would take a second or two
os._exit(status)
