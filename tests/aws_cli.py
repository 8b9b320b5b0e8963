"""The AWS CLI in one process, asked over a socket: to start it takes half a second, and documents call it often."""

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import cast

from awscli.clidriver import create_clidriver

CLIENT = """
import json, os, socket, sys
with socket.create_connection(("127.0.0.1", int(os.environ["AWS_CLI_PORT"]))) as server:
    stream = server.makefile("rw", encoding="utf-8")
    print(json.dumps([sys.argv[1:], dict(os.environ)]), file=stream, flush=True)
    status, out, err = json.loads(stream.readline())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(status)
"""
"""A program that passes on its arguments and its environment."""


@contextlib.contextmanager
def serving() -> Generator[int]:
    """The port at which a process of its own answers."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.aws_cli"], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def main() -> None:
    """Print a port, and answer there one call after another until somebody ends it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            with connection, connection.makefile("rw", encoding="utf-8") as stream:
                print(json.dumps(call(*json.loads(stream.readline()))), file=stream, flush=True)


def call(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one call."""
    # where the CLI's own data is: it enters that itself when it is imported
    data_path = os.environ["AWS_DATA_PATH"]
    os.environ.clear()
    os.environ.update(environment, AWS_DATA_PATH=data_path)
    with (
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) as out,
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) as err,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            # version 1 asks AWS's own address for SQS, whatever the environment says
            status = cast(
                "int", create_clidriver().main(["--endpoint-url", environment["AWS_ENDPOINT_URL"], *arguments])
            )
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        return status, _text(out), _text(err)


def _text(stream: io.TextIOWrapper) -> str:
    return cast("io.BytesIO", stream.buffer).getvalue().decode()


if __name__ == "__main__":
    main()
