"""Security groups of a VPC and their rules."""

from collections.abc import Mapping
from typing import Any

from local.aws import Aws
from local.parameters import call, complete
from local.record import answers
from local.run import Created, Resource, State
from local.types.ec2 import TAGS_OF_EC2, Ec2Resource, described, filters

GROUP_RULES = (
    "ec2:AuthorizeSecurityGroupEgress ec2:AuthorizeSecurityGroupIngress ec2:DescribeSecurityGroupRules"
    " ec2:DescribeSecurityGroups ec2:ModifySecurityGroupRules ec2:RevokeSecurityGroupEgress"
    f" ec2:RevokeSecurityGroupIngress {TAGS_OF_EC2}"
)
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"


class SecurityGroup(Ec2Resource, token=SECURITY_GROUP):
    """A security group without rules: the provider revokes the egress rule that AWS adds."""

    kind, plural, key = "security-group", "security_groups", "GroupId"
    made_by, ended_by = "create_security_group", "delete_security_group"
    name = "name"
    rename = {"name": "GroupName"}
    refers = {"vpcId": "aws:ec2/vpc:Vpc"}
    needs = f"ec2:CreateSecurityGroup ec2:DeleteSecurityGroup ec2:DescribeNetworkInterfaces {GROUP_RULES}"

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create it and remove its rules."""
        if new.name.startswith("sg-"):
            # a name in the stack file may begin so, and the group is named after it
            raise ValueError(f"name: cannot begin with sg-, got '{new.name}'")
        made = super().create(aws, new)
        _empty(aws, made.id)
        return made


class DefaultSecurityGroup(Ec2Resource, token="aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"):
    """A VPC's default security group, which the stack takes over: all its rules are removed."""

    kind, plural, key = "security-group", "security_groups", "GroupId"
    refers = {"vpcId": "aws:ec2/vpc:Vpc"}
    needs = GROUP_RULES

    def create(self, aws: Aws, new: Resource) -> Created:
        """Find the group and remove its rules."""
        inputs = complete(aws, new, name=None)
        [group] = described(aws, self.plural, Filters=filters(vpc_id=inputs["vpcId"], group_name="default"))
        made = self.made(aws, group["GroupId"], inputs)
        _empty(aws, made.id)
        self.retag(aws, State(id=made.id, inputs=inputs, outputs=made.outputs), inputs["tagsAll"], [])
        return made

    def delete(self, aws: Aws, there: State) -> None:
        """Nothing: AWS deletes it with its VPC."""


class _Rule(Ec2Resource):
    """One rule of a security group, in one direction."""

    kind, plural, key = "security-group-rule", "security_group_rules", "SecurityGroupRuleId"
    rename = {"referencedSecurityGroupId": "ReferencedGroupInfo.GroupId", "securityGroupId": "GroupId"}
    refers = {"referencedSecurityGroupId": SECURITY_GROUP, "securityGroupId": SECURITY_GROUP}
    needs = GROUP_RULES

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        rule = {key: value for key, value in inputs.items() if key not in ("securityGroupId", "tags", "tagsAll")}
        source = {"description": rule.pop("description", None)}
        for key, (ranges, member) in {
            "cidrIpv4": ("ipRanges", "cidrIp"),
            "referencedSecurityGroupId": ("userIdGroupPairs", "groupId"),
        }.items():
            if key in rule:
                rule[ranges] = [{member: rule.pop(key), **source}]
        answer = self.asked(aws, {"groupId": inputs["securityGroupId"], "ipPermissions": [rule]}, inputs["tagsAll"])
        rule_id = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        return self.made(aws, rule_id, inputs | {"securityGroupRuleId": rule_id})

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Change the rule and keep its id."""
        leave = ("securityGroupId", "tags")
        rule = {"fromPort": -1, "toPort": -1} | {key: new.inputs[key] for key in new.inputs if key not in leave}
        call(
            aws.client("ec2"),
            "modify_security_group_rules",
            {"groupId": new.inputs["securityGroupId"]},
            rename={"securityGroupRules.securityGroupRule.referencedSecurityGroupId": "ReferencedGroupId"},
            securityGroupRules=[{"securityGroupRuleId": there.id, "securityGroupRule": rule}],
        )
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        revoke = getattr(aws.client("ec2"), self.ended_by)
        revoke(GroupId=there.inputs["securityGroupId"], SecurityGroupRuleIds=[there.id])


class SecurityGroupIngressRule(_Rule, token="aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
    """A rule for inbound traffic."""

    made_by, ended_by = "authorize_security_group_ingress", "revoke_security_group_ingress"


class SecurityGroupEgressRule(_Rule, token="aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"):
    """A rule for outbound traffic."""

    made_by, ended_by = "authorize_security_group_egress", "revoke_security_group_egress"


@answers("aws:ec2/getSecurityGroup:getSecurityGroup", needs="ec2:DescribeSecurityGroups")
def get_security_group(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The security group of a VPC with this name."""
    found = described(aws, "security_groups", Filters=filters(vpc_id=inputs["vpcId"], group_name=inputs["name"]))
    if not found:
        raise ValueError(f"name: must be a security group of {inputs['vpcId']}, got '{inputs['name']}'")
    return {"arn": found[0]["SecurityGroupArn"], "id": found[0]["GroupId"], **inputs}


@answers("aws:vpc/getSecurityGroupRules:getSecurityGroupRules", needs="ec2:DescribeSecurityGroupRules")
def get_security_group_rules(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of all rules that match the filters."""
    found = call(aws.client("ec2"), "describe_security_group_rules", inputs)["SecurityGroupRules"]
    return {"id": aws.region, "ids": [rule["SecurityGroupRuleId"] for rule in found]}


@answers("aws:vpc/getSecurityGroupRule:getSecurityGroupRule", needs="ec2:DescribeSecurityGroupRules")
def get_security_group_rule(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The rule with this id."""
    rule_id = inputs["securityGroupRuleId"]
    [found] = described(aws, "security_group_rules", SecurityGroupRuleIds=[rule_id])
    answer = {
        "arn": aws.arn("ec2", f"security-group-rule/{rule_id}"),
        "cidrIpv4": found.get("CidrIpv4"),
        "id": rule_id,
        "ipProtocol": found["IpProtocol"],
        "isEgress": found["IsEgress"],
        "referencedSecurityGroupId": found.get("ReferencedGroupInfo", {}).get("GroupId"),
        "securityGroupId": found["GroupId"],
        "securityGroupRuleId": rule_id,
    }
    return {key: value for key, value in answer.items() if value is not None}


def _empty(aws: Aws, group_id: str) -> None:
    """Remove all rules from a security group."""
    ec2 = aws.client("ec2")
    [group] = described(aws, "security_groups", GroupIds=[group_id])
    if group["IpPermissions"]:
        ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=group["IpPermissions"])
    if group["IpPermissionsEgress"]:
        ec2.revoke_security_group_egress(GroupId=group_id, IpPermissions=group["IpPermissionsEgress"])
