"""`python -m local`; what it does is in `local/command_line.py`."""

import sys

try:
    # here, because Ctrl-C may come while Pulumi is still imported
    from local.command_line import to_its_end

    status = to_its_end()
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    status = 130
sys.exit(status)
