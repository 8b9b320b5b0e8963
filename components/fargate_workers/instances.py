"""The EC2 instances of a fleet whose workers have GPUs: an Auto Scaling group that rests at zero.

ECS sizes the group by the workers that wait for a place (ECS developer guide, "Automatically manage Amazon ECS capacity
with cluster auto scaling"). Why no managed instances: docs/decisions.md.
"""

import base64

import pulumi
from pulumi_aws import autoscaling, ec2, ecs, ssm
from pulumi_aws import iam as aws_iam

from components import iam
from components.fargate_workers.settings import WorkerSettings

IMAGE_PARAMETER = "/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"
"""AWS's own parameter that holds the id of ECS's newest image with NVIDIA's driver.

ECS developer guide, "Retrieving Amazon ECS-optimized Linux AMI metadata". A template that names the parameter itself is
refused in a mixed instances policy (hashicorp/terraform-provider-aws issue 38767).
"""
ROOT_VOLUME_GIB = 100
CLUSTER_TAG = "EcsCluster"
"""Tag of the instances; its value is the name of the fleet's cluster."""


class GpuInstances(pulumi.ComponentResource):
    """What the workers of a fleet run on: an Auto Scaling group, and the capacity provider that sizes it."""

    capacity_provider: pulumi.Output[str]
    """Name of the capacity provider."""

    def __init__(
        self,
        name: str,
        settings: WorkerSettings,
        *,
        account: iam.Account,
        cluster_name: pulumi.Output[str],
        security_group_id: pulumi.Input[str],
        subnet_ids: list[pulumi.Output[str]],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("distributed-training:index:GpuInstances", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = iam.ServiceRole(
            f"{name}-instance",
            account=account,
            service=account.instances,
            statements=iam.run_agent(account, cluster_name),
            opts=child,
        )
        profile = aws_iam.InstanceProfile(name, role=role.role_name, opts=child)
        tags = {**account.tags, "Name": name, CLUSTER_TAG: cluster_name}
        template = ec2.LaunchTemplate(
            name,
            update_default_version=True,
            image_id=ssm.get_parameter_output(
                name=IMAGE_PARAMETER, opts=pulumi.InvokeOutputOptions(parent=self)
            ).insecure_value,
            iam_instance_profile={"arn": profile.arn},
            vpc_security_group_ids=[security_group_id],
            metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
            block_device_mappings=[
                {
                    "device_name": "/dev/xvda",
                    "ebs": {
                        "volume_size": ROOT_VOLUME_GIB,
                        "volume_type": "gp3",
                        "encrypted": "true",
                        "delete_on_termination": "true",
                    },
                }
            ],
            user_data=cluster_name.apply(user_data),
            # the provider's own tags stop at what it makes itself
            tag_specifications=[{"resource_type": kind, "tags": tags} for kind in ("instance", "volume")],
            opts=child,
        )
        group = autoscaling.Group(
            name,
            min_size=0,
            # a worker may need an instance of its own
            max_size=settings.max_tasks,
            vpc_zone_identifiers=subnet_ids,
            mixed_instances_policy={
                "launch_template": {
                    "launch_template_specification": {
                        "launch_template_id": template.id,
                        "version": template.latest_version.apply(str),
                    },
                    "overrides": [{"instance_type": one} for one in settings.types],
                },
                "instances_distribution": distribution(settings),
            },
            # ECS takes it from an instance on which nothing runs
            protect_from_scale_in=True,
            # it would end instances, and with them workers, for the sake of an even spread
            suspended_processes=["AZRebalance"],
            tags=[
                # ECS sets it; not said here, with this value, the provider would take it away
                {"key": "AmazonECSManaged", "value": "true", "propagate_at_launch": True},
                *(
                    {"key": key, "value": value, "propagate_at_launch": False}
                    for key, value in sorted(account.tags.items())
                ),
            ],
            # a protected instance would hold up the deletion for ever
            force_delete=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[role],
                # ECS owns it
                ignore_changes=["desiredCapacity"],
            ),
        )
        self.capacity_provider = ecs.CapacityProvider(
            # a name of a capacity provider must not begin with aws, ecs or fargate, as that of a fleet may
            f"gpu_{name}",
            auto_scaling_group_provider={
                "auto_scaling_group_arn": group.arn,
                "managed_scaling": {"status": "ENABLED", "target_capacity": 100},
                "managed_termination_protection": "ENABLED",
                "managed_draining": "ENABLED",
            },
            opts=child,
        ).name
        self.register_outputs({"capacityProvider": self.capacity_provider})


def distribution(settings: WorkerSettings) -> autoscaling.GroupMixedInstancesPolicyInstancesDistributionArgsDict:
    """How the instances are split between on demand and spot."""
    return {
        "on_demand_base_capacity": 0,
        "on_demand_percentage_above_base_capacity": 100 - round(settings.spot_share * 100),
        # in the order of the types
        "on_demand_allocation_strategy": "prioritized",
        "spot_allocation_strategy": "price-capacity-optimized",
    }


def user_data(cluster_name: str) -> str:
    """What an instance tells its ECS agent before that starts, encoded.

    Which cluster is its own; that tasks with a network interface of their own, as all are, may not ask the instance's
    metadata; that it drains when spot capacity is taken back (ECS developer guide, "Amazon ECS container agent
    configuration").
    """
    config = {
        "ECS_CLUSTER": cluster_name,
        "ECS_AWSVPC_BLOCK_IMDS": "true",
        "ECS_ENABLE_SPOT_INSTANCE_DRAINING": "true",
    }
    lines = [f"echo {key}={value} >> /etc/ecs/ecs.config" for key, value in config.items()]
    return base64.b64encode("\n".join(["#!/bin/bash", *lines, ""]).encode()).decode()
