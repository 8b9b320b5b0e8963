"""Makes Pulumi refuse to destroy a protected stack before any part of it is deleted.

Pulumi takes down first what nothing depends on, and looks whether something is protected only when its turn comes.
"""

from collections.abc import Iterable

import pulumi


class Protection(pulumi.ComponentResource):
    """Nothing in itself: it depends on the whole stack, so a destroy begins with it, and ends there if it is protected.

    It must not depend on what goes through the Kubernetes API, because a deployment may leave that out; of that part
    the service account of training jobs is the first to go.
    """

    def __init__(self, name: str, stack: Iterable[pulumi.Resource], *, protect: bool) -> None:
        """`stack` is what stands in AWS."""
        super().__init__(
            "distributed-training:index:Protection",
            name,
            {},
            pulumi.ResourceOptions(depends_on=list(stack), protect=protect),
        )
        self.register_outputs({})
