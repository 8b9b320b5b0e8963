"""What asks AWS Batch every few minutes how the job queues are, because Batch itself does not tell all of it.

Batch has neither an event nor a metric of a compute environment's status or of how long jobs wait. The function is in
no VPC: it reaches AWS without a NAT gateway and without endpoints.
"""

import inspect
from collections.abc import Mapping

import pulumi
from pulumi_aws import cloudwatch, lambda_

from components import iam
from components.batch import BatchJobQueue
from components.json_document import to_json
from components.observability import job_queue_probe_handler
from components.observability.job_queue_probe_handler import METRICS

PROBE_MINUTES = 5
"""How often Batch is asked."""
RUNTIME = "python3.14"
"""The newest Python of Lambda that the AWS provider knows."""
MEMORY_MIB = 256
TIMEOUT_SECONDS = 120
"""Shorter than the time to the next question, so that no two run at once."""


class JobQueueProbe(pulumi.ComponentResource):
    """A function that puts metrics of job queues when there is something to tell, and the rule that starts it."""

    function_name: pulumi.Output[str]
    """Name of the function, of whose errors AWS has metrics."""

    def __init__(
        self,
        name: str,
        job_queues: Mapping[str, BatchJobQueue],
        *,
        account: iam.Account,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("distributed-training:index:JobQueueProbe", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        log_group = account.logs.group(name, opts=child)
        role = iam.ServiceRole(
            name,
            account=account,
            service="lambda.amazonaws.com",
            source_account=account.id,
            statements=[
                iam.write_logs(log_group.arn),
                iam.allow(["batch:GetJobQueueSnapshot"], [queue.arn for queue in job_queues.values()]),
                # AWS knows no resource for these
                iam.allow(
                    [
                        "batch:DescribeComputeEnvironments",
                        "batch:DescribeJobQueues",
                        "batch:DescribeJobs",
                        "batch:ListJobs",
                    ],
                    ["*"],
                ),
                iam.allow(["cloudwatch:PutMetricData"], ["*"], {"StringEquals": {"cloudwatch:namespace": METRICS}}),
            ],
            opts=child,
        )
        function = lambda_.Function(
            name,
            description=f"Asks AWS Batch every {PROBE_MINUTES} minutes how the job queues are",
            runtime=RUNTIME,
            handler="index.handler",
            # its text, so that neither the file's time nor the place of the checkout is in the archive
            code=pulumi.AssetArchive({"index.py": pulumi.StringAsset(inspect.getsource(job_queue_probe_handler))}),
            memory_size=MEMORY_MIB,
            timeout=TIMEOUT_SECONDS,
            role=role.arn,
            logging_config={"log_format": "Text", "log_group": log_group.name},
            # without its policies it may ask nothing
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role]),
        )
        rule = cloudwatch.EventRule(
            name,
            description=f"Every {PROBE_MINUTES} minutes, for the function that asks AWS Batch how the job queues are",
            schedule_expression=f"rate({PROBE_MINUTES} minutes)",
            opts=child,
        )
        permission = lambda_.Permission(
            name,
            function=function.name,
            action="lambda:InvokeFunction",
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            opts=child,
        )
        cloudwatch.EventTarget(
            name,
            rule=rule.name,
            arn=function.arn,
            input=to_json({"queues": [queue.queue_name for queue in job_queues.values()]}),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )
        self.function_name = function.name
        self.register_outputs({"functionName": self.function_name})
