"""Security groups and their rules in moto: made, seen, changed and ended."""

import pytest

from local.aws import Aws
from local.run import RefusedError
from local.types.ec2 import described
from tests.support import Life

GROUP, RULE = "aws:ec2/securityGroup:SecurityGroup", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
HTTPS = {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "cidrIpv4": "10.0.0.0/16"}


@pytest.fixture
def group(aws: Aws) -> Life:
    vpc = Life(aws, "aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"})
    return Life(aws, GROUP, {"vpcId": vpc.state.id, "description": "x"})


@pytest.fixture
def rule(aws: Aws, group: Life) -> Life:
    return Life(aws, RULE, {"securityGroupId": group.state.id, **HTTPS})


def test_a_group_has_no_rule_of_its_own(aws: Aws, group: Life) -> None:
    [found] = described(aws, "security_groups", GroupIds=[group.state.id])
    assert (found["IpPermissions"], found["IpPermissionsEgress"]) == ([], [])


def test_a_group_is_not_called_as_ids_are(group: Life) -> None:
    with pytest.raises(RefusedError, match=r"::sg-1: name: cannot begin with sg-, got 'sg-1'$"):
        Life(group.provider.aws, GROUP, group.resource.inputs, name="sg-1")


def test_a_rule_stays_under_its_id_when_its_ports_change(aws: Aws, rule: Life) -> None:
    rule.update(toPort=444, description="more")
    [found] = described(aws, "security_group_rules", SecurityGroupRuleIds=[rule.state.id])
    assert (found["FromPort"], found["ToPort"], found["Description"]) == (443, 444, "more")


def test_what_somebody_deleted_by_hand_is_gone(aws: Aws, group: Life, rule: Life) -> None:
    assert rule.read() == rule.state
    aws.client("ec2").revoke_security_group_ingress(GroupId=group.state.id, SecurityGroupRuleIds=[rule.state.id])
    rule.delete()
    aws.client("ec2").delete_security_group(GroupId=group.state.id)
    group.delete()
