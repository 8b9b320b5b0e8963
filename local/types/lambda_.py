"""AWS Lambda: functions, and who may call them. moto keeps them, and runs none."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from local.aws import Aws, hex_digits
from local.parameters import call, complete, only
from local.properties import Property
from local.record import ResourceType
from local.run import Created, Resource, State
from local.tags import Tagged

FUNCTION = "aws:lambda/function:Function"
LONGEST_TIMEOUT_SECONDS = 900
"""Lambda developer guide, "Lambda quotas"."""
STATEMENT_ID_DIGITS = 26
"""Length of the id that the provider invents for a statement."""


class Function(Tagged, token=FUNCTION):
    """A function whose code is an archive of texts."""

    service = "lambda"
    name = "name"
    takes = ("lambda", "CreateFunction")
    rename = {"name": "functionName"}
    refers = {"role": "aws:iam/role:Role", "loggingConfig.logGroup": "aws:cloudwatch/logGroup:LogGroup"}
    needs = (
        "iam:PassRole lambda:CreateFunction lambda:DeleteFunction lambda:GetFunction"
        " lambda:GetFunctionCodeSigningConfig lambda:GetFunctionConfiguration lambda:ListTags"
        " lambda:ListVersionsByFunction lambda:TagResource lambda:UntagResource lambda:UpdateFunctionCode"
        " lambda:UpdateFunctionConfiguration"
    )

    def refused(self, given: Property) -> Iterator[str]:
        """More time than a function may have, of which the API's model does not tell."""
        yield from given.within("timeout", 1, LONGEST_TIMEOUT_SECONDS)

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        code = {"zipFile": _zipped(inputs["code"])}
        made = call(aws.client("lambda"), "create_function", inputs, rename=self.rename, code=code)
        return Created(id=inputs["name"], outputs=inputs | {"arn": made["FunctionArn"]})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        """Its configuration; of its code AWS tells a hash, and moto does not tell where it logs."""
        return {
            **aws.client("lambda").get_function_configuration(FunctionName=there.id),
            "tags": self.tags_of(aws, there),
        }

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set its code, if that is another, and its configuration."""
        client = aws.client("lambda")
        if new.inputs["code"] != there.inputs["code"]:
            client.update_function_code(FunctionName=there.id, ZipFile=_zipped(new.inputs["code"]))
        configuration = only(
            new.inputs, "description", "handler", "loggingConfig", "memorySize", "role", "runtime", "timeout"
        )
        call(client, "update_function_configuration", configuration, functionName=there.id)
        return {}

    def tags_of(self, aws: Aws, there: State) -> Any:
        return aws.client("lambda").list_tags(Resource=there.outputs["arn"])["Tags"]

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        client, arn = aws.client("lambda"), there.outputs["arn"]
        if tags:
            client.tag_resource(Resource=arn, Tags=dict(tags))
        if gone:
            client.untag_resource(Resource=arn, TagKeys=gone)

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("lambda").delete_function(FunctionName=there.id)


class Permission(ResourceType, token="aws:lambda/permission:Permission"):
    """A statement of a function's policy: who may call it."""

    rename = {"function": "functionName"}
    refers = {"function": FUNCTION, "sourceArn": "aws:cloudwatch/eventRule:EventRule"}
    needs = "lambda:AddPermission lambda:GetPolicy lambda:RemovePermission"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = {"statementId": f"terraform-{hex_digits(STATEMENT_ID_DIGITS)}"} | dict(new.inputs)
        call(aws.client("lambda"), "add_permission", inputs, rename=self.rename)
        return Created(id=inputs["statementId"], outputs=inputs)

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """None when there is no such statement; a change of one replaces it."""
        policy = json.loads(aws.client("lambda").get_policy(FunctionName=there.inputs["function"])["Policy"])
        return next((one for one in policy["Statement"] if one["Sid"] == there.id), None)

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("lambda").remove_permission(FunctionName=there.inputs["function"], StatementId=there.id)


def _zipped(code: Mapping[str, Any]) -> bytes:
    """An archive of texts, in Pulumi's form, as the file that Lambda takes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, asset in code["assets"].items():
            # of no day, so that the same code has the same hash
            archive.writestr(zipfile.ZipInfo(path), asset["text"])
    return buffer.getvalue()
