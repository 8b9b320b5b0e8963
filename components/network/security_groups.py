"""Security groups whose members reach each other, as EFA needs it."""

import pulumi
from pulumi_aws import vpc


def let_members_talk(name: str, group_id: pulumi.Input[str], description: str, *, opts: pulumi.ResourceOptions) -> None:
    """Let what is in a security group reach all else in it: EFA passes only where the group names itself both ways.

    An address range is not enough.
    """
    for rule in (vpc.SecurityGroupIngressRule, vpc.SecurityGroupEgressRule):
        rule(
            name,
            security_group_id=group_id,
            description=description,
            ip_protocol="-1",
            referenced_security_group_id=group_id,
            opts=opts,
        )


def members_talk(group_id: str) -> bool:
    """Whether a security group lets in all traffic from itself, and lets out all."""
    listed = vpc.get_security_group_rules(filters=[{"name": "group-id", "values": [group_id]}])
    rules = [vpc.get_security_group_rule(security_group_rule_id=rule_id) for rule_id in listed.ids]
    unbounded = [rule for rule in rules if rule.ip_protocol == "-1"]
    return any(not rule.is_egress and rule.referenced_security_group_id == group_id for rule in unbounded) and any(
        rule.is_egress and rule.cidr_ipv4 == "0.0.0.0/0" for rule in unbounded
    )
