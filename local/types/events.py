"""Amazon EventBridge: rules and their targets."""

from local.aws import Aws, hex_digits
from local.parameters import call, complete
from local.record import ResourceType, tag_actions
from local.run import Created, Resource

TARGET_ID_DIGITS = 26
"""Length of the id that the provider makes up for a target."""


class EventRule(ResourceType, token="aws:cloudwatch/eventRule:EventRule"):
    """A rule on an event bus; `isEnabled` is the older way to say `state`."""

    name = "name"
    needs = (
        "events:DeleteRule events:DescribeRule events:DisableRule events:EnableRule events:PutRule"
        f" {tag_actions('events')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        state = inputs.get("state", "ENABLED" if inputs.get("isEnabled", True) else "DISABLED")
        arn = call(aws.client("events"), "put_rule", inputs, leave=("forceDestroy", "isEnabled"), state=state)[
            "RuleArn"
        ]
        bus = inputs.get("eventBusName", "default")
        return Created(
            id=inputs["name"] if bus == "default" else f"{bus}/{inputs['name']}",
            outputs=inputs | {"arn": arn, "eventBusName": bus, "state": state},
        )


class EventTarget(ResourceType, token="aws:cloudwatch/eventTarget:EventTarget"):
    """Where a rule sends its events."""

    needs = "events:ListTargetsByRule events:PutTargets events:RemoveTargets"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = {"targetId": f"terraform-{hex_digits(TARGET_ID_DIGITS)}"} | dict(new.inputs)
        bus = inputs.get("eventBusName", "default")
        around = ("rule", "eventBusName", "forceDestroy", "region")
        made = call(
            aws.client("events"),
            "put_targets",
            {key: inputs[key] for key in around if key in inputs},
            rename={
                "Targets.targetId": "Id",
                "Targets.appsyncTarget": "AppSyncParameters",
                "Targets.AppSyncParameters.graphqlOperation": "GraphQLOperation",
                "Targets.batchTarget": "BatchParameters",
                "Targets.BatchParameters.arraySize": "ArrayProperties.Size",
                "Targets.BatchParameters.jobAttempts": "RetryStrategy.Attempts",
                "Targets.ecsTarget": "EcsParameters",
                "Targets.EcsParameters.networkConfiguration": "NetworkConfiguration.awsvpcConfiguration",
                "Targets.EcsParameters.orderedPlacementStrategies": "PlacementStrategy",
                "Targets.httpTarget": "HttpParameters",
                "Targets.inputTransformer.inputPaths": "InputPathsMap",
                "Targets.kinesisTarget": "KinesisParameters",
                "Targets.redshiftTarget": "RedshiftDataParameters",
                "Targets.RedshiftDataParameters.secretsManagerArn": "SecretManagerArn",
                "Targets.runCommandTargets": "RunCommandParameters.RunCommandTargets",
                "Targets.sagemakerPipelineTarget": "SageMakerPipelineParameters",
                "Targets.sqsTarget": "SqsParameters",
            },
            leave=("forceDestroy",),
            Targets=[{key: value for key, value in inputs.items() if key not in around}],
        )
        if failures := made.get("FailedEntries"):
            raise ValueError(f"targetId: {failures[0]['ErrorMessage']}")
        parts = (inputs["rule"], inputs["targetId"]) if bus == "default" else (bus, inputs["rule"], inputs["targetId"])
        return Created(id="-".join(parts), outputs=inputs | {"eventBusName": bus})
