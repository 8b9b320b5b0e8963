"""Parameter Store in moto: what is put, seen, changed and ended, and what is refused."""

import pytest

from local.aws import Aws
from local.run import RefusedError
from tests.support import Life

PARAMETER = "aws:ssm/parameter:Parameter"
INPUTS = {"name": "/it/1", "type": "String", "tier": "Standard", "value": "one", "overwrite": True}


def test_a_parameter_takes_another_value_and_tags_in_place(aws: Aws) -> None:
    ssm = aws.client("ssm")
    one = Life(aws, PARAMETER, INPUTS | {"tags": {"Name": "it"}})
    one.update(value="two", tags={"Kind": "outputs"})
    there = ssm.get_parameter(Name="/it/1")["Parameter"]
    assert (there["Value"], one.outputs["version"]) == ("two", there["Version"])
    tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/it/1")["TagList"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {**aws.default_tags, "Kind": "outputs"}
    ssm.put_parameter(Name="/it/1", Value="somebody's", Overwrite=True)
    assert one.seen()["value"] == "somebody's"
    one.delete()
    assert ssm.get_parameters_by_path(Path="/it")["Parameters"] == []


def test_a_parameter_that_somebody_deleted_is_gone(aws: Aws) -> None:
    one = Life(aws, PARAMETER, INPUTS)
    aws.client("ssm").delete_parameter(Name="/it/1")
    assert one.read() is None


def test_another_parameter_of_the_name_is_overwritten_only_where_that_is_wanted(aws: Aws) -> None:
    one = Life(aws, PARAMETER, INPUTS)
    Life(aws, PARAMETER, INPUTS | {"value": "two"}, name="another")
    with pytest.raises(RefusedError, match="ParameterAlreadyExists"):
        Life(aws, PARAMETER, INPUTS | {"value": "three", "overwrite": False}, name="third")
    assert aws.client("ssm").get_parameter(Name="/it/1")["Parameter"]["Value"] == "two"
    one.delete()
