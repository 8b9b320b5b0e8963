"""`python -m local`; the commands are in `local/command_line.py`."""

import gc
import os
import sys

try:
    from local import sealed

    # Python itself has read such a variable: start again without it
    if sealed.seal():
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

    from local import interrupt

    interrupt.listen()
    # Pulumi's modules are a million objects that are never freed: searching them for garbage takes a tenth of a short
    # run
    gc.set_threshold(200_000, 20, 20)
    # imported here, because this takes longest
    from local.command_line import to_its_end

    status = to_its_end()
except ModuleNotFoundError as error:
    # `pulumi install` installs only what the program needs, and this command needs more
    print(f"error: {error.name} is not installed in {sys.prefix}; `make local` installs it", file=sys.stderr)
    status = 1
except KeyboardInterrupt:
    # Ctrl-C before `listen`: end at once, because another one may follow
    os.write(2, b"interrupted\n")
    os._exit(130)
sys.stderr.flush()
# standard output is flushed and the server has ended; freeing those objects would take a second or two
os._exit(status)
