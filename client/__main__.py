"""The command `train`, also as `python -m client`; what it does is in `client/command_line.py`."""

import os
import sys


def main() -> None:
    """Run the command of this process, and end it."""
    try:
        # here, because Ctrl-C may come while it is imported
        from client import command_line

        status = command_line.main()
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed in {sys.prefix}; `make local` installs it", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.stderr.flush()
    # standard output is flushed; calls that a second Ctrl-C left under way are not waited for
    os._exit(status)


if __name__ == "__main__":
    main()
