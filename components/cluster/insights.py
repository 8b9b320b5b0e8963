"""Container Insights on the EKS cluster: what its GPUs do, and what pods of training write, in CloudWatch.

EKS's add-on brings the CloudWatch agent, DCGM's exporter on GPU nodes, and Fluent Bit. It has the exporter only for the
instance types that it knows: not for p5.4xlarge, g6f, g7 and g7e (aws-observability/helm-charts 6.4.0, `values.yaml`).
"""

import json
from typing import Any

import pulumi
from pulumi_aws import eks

from components import iam
from components.cluster.identities import NAMESPACE
from components.cluster.running import INSIGHTS

SERVICE_ACCOUNT = ("amazon-cloudwatch", "cloudwatch-agent")
"""Namespace and name of what the agent and Fluent Bit both run as."""

POD_LOGS = f"""\
[INPUT]
    Name                tail
    Tag                 application.*
    Path                /var/log/containers/*_{NAMESPACE}_*.log
    multiline.parser    docker, cri
    DB                  /var/fluent-bit/state/flb_{NAMESPACE}.db
    Mem_Buf_Limit       50MB
    Skip_Long_Lines     On
    Read_from_Head      On
    storage.type        filesystem

[OUTPUT]
    Name                cloudwatch_logs
    Match               application.*
    region              ${{AWS_REGION}}
    log_group_name      /aws/containerinsights/${{CLUSTER_NAME}}/application
    log_stream_prefix   ${{HOST_NAME}}-
    auto_create_group   false
"""
"""What Fluent Bit reads and where it writes; the name of a stream ends in that of the pod's log file."""
NOTHING = "# none\n"
"""What takes a file out: the chart always reads all of them (same place, `fluentbit-advanced-config`)."""


class ContainerInsights(pulumi.ComponentResource):
    """The add-on, its role, and the log groups, which it would make without an end of their retention."""

    def __init__(
        self,
        name: str,
        *,
        version: pulumi.Input[str],
        cluster_name: pulumi.Output[str],
        account: iam.Account,
        after: pulumi.Resource,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`after`: the nodes that it runs on."""
        super().__init__("distributed-training:index:ContainerInsights", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        groups = [
            account.logs.group(
                f"{name}-{kind}",
                name=pulumi.Output.format("/aws/containerinsights/{0}/{1}", cluster_name, kind),
                opts=child,
            )
            # what pods write, and the metrics, each as a line that CloudWatch reads them from
            for kind in ("application", "performance")
        ]
        role = iam.ServiceRole(
            name,
            account=account,
            service="pods.eks.amazonaws.com",
            service_account=SERVICE_ACCOUNT,
            statements=[
                *(iam.write_logs(group.arn) for group in groups),
                # the agent names a node's Auto Scaling group and volumes; AWS knows no resource for these
                iam.allow(["ec2:DescribeTags", "ec2:DescribeVolumes"], ["*"]),
            ],
            opts=child,
        )
        identity = eks.AddonPodIdentityAssociationArgs(role_arn=role.arn, service_account=SERVICE_ACCOUNT[1])
        eks.Addon(
            name,
            cluster_name=cluster_name,
            addon_name=INSIGHTS,
            addon_version=version,
            configuration_values=json.dumps(configuration(), sort_keys=True),
            pod_identity_associations=[identity],
            resolve_conflicts_on_update="PRESERVE",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[after, role, *groups]),
        )
        self.register_outputs({})


def configuration() -> dict[str, Any]:
    """The values of the add-on: metrics of Enhanced Container Insights alone, and logs of training's pods alone."""
    kubernetes = {"enhanced_container_insights": True}
    files = {"application-log.conf": POD_LOGS, "dataplane-log.conf": NOTHING, "host-log.conf": NOTHING}
    return {
        "agent": {"config": {"logs": {"metrics_collected": {"kubernetes": kubernetes}}}},
        "containerLogs": {"enabled": True, "fluentBit": {"config": {"extraFiles": files}}},
    }
