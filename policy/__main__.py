"""The policy pack, as the Pulumi CLI runs it: `pulumi preview --policy-pack policy`."""

from pulumi_policy import PolicyPack
from rules import RULES

PolicyPack("distributed-training", list(RULES))
