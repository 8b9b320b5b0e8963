"""What the stack has on AWS already, before this deployment changes it.

A Pulumi program does not see the state of its stack. What a change must not disturb (jobs that run, the zones of a
control plane, a queue's messages) is found on AWS, by a tag that names the part in the stack file.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar

from pulumi_aws import resourcegroupstaggingapi

PART_TAG = "distributed-training:part"
"""Tag of what a later deployment looks for; its value is the stack's name and a path in the stack file."""


NOT_THERE = ("couldn't find resource", "empty result", "no matching", "DELETED", "INACTIVE")
"""Words by which the provider says that there is no such thing (hashicorp/terraform-provider-aws, `tfresource`)."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What the stack has on AWS, of the parts that carry the tag."""

    stack: str
    """Name of the stack; in one account and region no other may have it."""
    arns: Mapping[str, Sequence[str]] = field(default_factory=dict[str, list[str]])
    """Path in the stack file -> ARNs of what is there for it."""

    @classmethod
    def ask(cls, stack: str) -> Self:
        """Ask AWS what the stack has; a new stack has nothing."""
        found = resourcegroupstaggingapi.get_resources(tag_filters=[{"key": PART_TAG}])
        stack_alone, arns = cls(stack=stack), defaultdict[str, list[str]](list)
        for one in found.resource_tag_mapping_lists:
            path = stack_alone.path(one.tags)
            if path is not None:
                arns[path].append(one.resource_arn)
        return cls(stack=stack, arns={path: sorted(listed) for path, listed in arns.items()})

    def tag(self, path: str) -> dict[str, str]:
        """The tag by which a later deployment finds what is made for this path."""
        return {PART_TAG: f"{self.stack}/{path}"}

    def path(self, tags: Mapping[str, str]) -> str | None:
        """The path in the stack file for which something with these tags was made; None if not for this stack."""
        owner, _, path = tags.get(PART_TAG, "").partition("/")
        return path if owner == self.stack else None

    def noted(self, path: str) -> list[str]:
        """The notes in tags `PATH/NOTE` of this path: what no data source tells is kept there."""
        return [one.removeprefix(f"{path}/") for one in self.arns if one.startswith(f"{path}/")]

    def of(self, path: str, kind: str) -> list[str]:
        """ARNs of what is there for a path, of one kind, such as `batch:compute-environment`.

        The kind is the service and the beginning of the resource in the ARN (`sqs:` for a queue, whose ARN names no
        kind).
        """
        service, _, resource = kind.partition(":")
        return [
            arn
            for arn in self.arns.get(path, ())
            if (parts := arn.split(":", 5))[2] == service and parts[5].startswith(resource)
        ]


def if_there(ask: Callable[[], Answer]) -> Answer | None:
    """What AWS answers, or None when there is no such thing; other errors are raised, as of a missing permission."""
    try:
        return ask()
    except Exception as error:  # the SDK raises no narrower one
        if any(words in str(error) for words in NOT_THERE):
            return None
        raise
