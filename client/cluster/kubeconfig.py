"""`train cluster kubeconfig`: what `kubectl` needs to reach the cluster."""

from pathlib import Path

from client import show, stack
from client.errors import TrainError
from client.stack import Stack

READ_BY_OWNER = 0o600


def run(name: str | None, path: Path | None, file: Path | None) -> int:
    """Print the kubeconfig, or write it.

    Raises:
        TrainError: when the stack has no cluster, or the file is another one.

    """
    with stack.opened(name, path) as opened:
        text = f"{of(opened)}\n"
    if file is None:
        print(text, end="", flush=True)
        return 0
    try:
        if file.exists() and file.read_text(encoding="utf-8") != text:
            raise TrainError(f"--file: must not be there yet, as it may have other clusters, got '{file}'")
        file.touch(READ_BY_OWNER)
        file.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainError(f"--file: '{file}' cannot be written: {error}") from None
    show.hint(f"export KUBECONFIG={file.absolute()}")
    return 0


def of(opened: Stack) -> str:
    """The kubeconfig of a stack.

    Raises:
        TrainError: when it has no cluster.

    """
    if not opened.outputs.kubeconfig:
        raise TrainError("this stack has no EKS cluster: its stack file has no section eks")
    return opened.outputs.kubeconfig
