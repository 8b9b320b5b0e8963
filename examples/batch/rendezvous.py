"""Where this node stands among the nodes of its Batch job, from the variables that Batch sets in every container.

AWS Batch user guide, "Multi-node parallel jobs", "Environment variables".
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

PORT = 29_500
START_TIMEOUT_SECONDS = 1800
"""The other nodes start only once the main one runs, and pull the image first."""


@dataclass(frozen=True, kw_only=True)
class Rendezvous:
    """What `torchrun` must know to bring the nodes of a job together."""

    nodes: int
    """Nodes of the job; 1 for a single-node job, which has none of the multi-node variables."""
    node: int
    """This node's number, 0 for the main one, which holds rank 0."""
    address: str
    """Where the main node is found."""
    port: int = PORT
    """The port on which the main node is found."""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Read Batch's variables, and `MASTER_PORT`, for where another job has the usual port.

        Raises:
            KeyError: in a multi-node job without its other variables: this is not Batch.

        """
        port = int(environ.get("MASTER_PORT", PORT))
        if "AWS_BATCH_JOB_NUM_NODES" not in environ:
            return cls(nodes=1, node=0, address="127.0.0.1", port=port)
        nodes, node, main = (
            int(environ[f"AWS_BATCH_JOB_{name}"]) for name in ("NUM_NODES", "NODE_INDEX", "MAIN_NODE_INDEX")
        )
        # the main node alone is not told its own address; rank 0 must be on it, whatever its index
        address = "127.0.0.1" if node == main else environ["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"]
        return cls(nodes=nodes, node=(node - main) % nodes, address=address, port=port)

    def torchrun(self, processes: str, script: str, *arguments: str) -> list[str]:
        """The command that starts so many processes here (`auto` is one per GPU) and joins the other nodes."""
        return [
            sys.executable,
            "-m",
            "torch.distributed.run",
            f"--nnodes={self.nodes}",
            f"--node-rank={self.node}",
            f"--master-addr={self.address}",
            f"--master-port={self.port}",
            f"--nproc-per-node={processes}",
            f"--rdzv-conf=timeout={START_TIMEOUT_SECONDS}",
            script,
            *arguments,
        ]


def run_name(environ: Mapping[str, str]) -> str:
    """What all nodes and all attempts of a job have in common: the job's id, without the node's number."""
    return environ["AWS_BATCH_JOB_ID"].partition("#")[0]
