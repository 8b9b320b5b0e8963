"""The log of a network's traffic."""

import pulumi
from pulumi_aws import ec2

from components import iam


class FlowLogs(pulumi.ComponentResource):
    """A log of the network's accepted and rejected traffic."""

    def __init__(
        self, name: str, *, vpc_id: pulumi.Output[str], account: iam.Account, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("distributed-training:index:FlowLogs", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        log_group = account.logs.group(f"{name}-flow", opts=child)
        role = iam.ServiceRole(
            f"{name}-flow-logs",
            account=account,
            service="vpc-flow-logs.amazonaws.com",
            source_account=account.id,
            statements=[
                iam.allow(
                    ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                    [pulumi.Output.concat(log_group.arn, ":*")],
                )
            ],
            opts=child,
        )
        ec2.FlowLog(
            name,
            vpc_id=vpc_id,
            traffic_type="ALL",
            log_destination=log_group.arn,
            iam_role_arn=role.arn,
            tags={"Name": name},
            opts=child,
        )
        self.register_outputs({})
