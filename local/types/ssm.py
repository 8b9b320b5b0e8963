"""AWS Systems Manager: parameters, also the public ones in which AWS publishes its images."""

from collections.abc import Mapping
from typing import Any

from local.aws import Aws
from local.parameters import call
from local.record import answers


@answers("aws:ssm/getParameter:getParameter")
def get_parameter(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The value of a parameter, decrypted unless the program says otherwise."""
    found = call(aws.client("ssm"), "get_parameter", {"withDecryption": True, **inputs})["Parameter"]
    result = {
        "arn": found["ARN"],
        "id": found["Name"],
        "name": found["Name"],
        "type": found["Type"],
        "value": found["Value"],
        "version": found["Version"],
    }
    return result if found["Type"] == "SecureString" else result | {"insecureValue": found["Value"]}
