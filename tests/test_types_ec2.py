"""Launch templates in moto: made, seen, changed and ended."""

from typing import Any

from local.aws import Aws
from tests.support import Life

TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def template(aws: Aws, **more: Any) -> Life:
    inputs = {
        "blockDeviceMappings": disk(100),
        "tagSpecifications": [{"resourceType": "instance", "tags": {"Name": "node"}}],
        "userData": "aGVsbG8=",
    }
    return Life(aws, TEMPLATE, inputs | more)


def disk(gib: int) -> list[dict[str, Any]]:
    return [{"deviceName": "/dev/xvda", "ebs": {"volumeSize": gib, "volumeType": "gp3"}}]


def test_another_disk_is_another_version(aws: Aws) -> None:
    it = template(aws)
    assert (it.outputs["latestVersion"], it.outputs["defaultVersion"]) == (1, 1)
    it.update(blockDeviceMappings=disk(200))
    assert (it.outputs["latestVersion"], it.outputs["defaultVersion"]) == (2, 1)
    [latest] = aws.client("ec2").describe_launch_template_versions(LaunchTemplateId=it.state.id, Versions=["$Latest"])[
        "LaunchTemplateVersions"
    ]
    assert latest["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 200


def test_a_template_that_says_so_starts_what_it_is_now(aws: Aws) -> None:
    it = template(aws, updateDefaultVersion=True)
    it.update(blockDeviceMappings=disk(200))
    assert (it.outputs["latestVersion"], it.outputs["defaultVersion"]) == (2, 2)
    [found] = aws.client("ec2").describe_launch_templates(LaunchTemplateIds=[it.state.id])["LaunchTemplates"]
    assert found["DefaultVersionNumber"] == 2


def test_other_tags_are_no_other_version(aws: Aws) -> None:
    it = template(aws, tags={"Old": "1"})
    it.update(tags={"New": "2"})
    assert it.outputs["latestVersion"] == 1
    assert it.seen()["tags"] == {"New": "2"}


def test_a_version_that_somebody_made_by_hand_is_seen(aws: Aws) -> None:
    it = template(aws)
    aws.client("ec2").create_launch_template_version(
        LaunchTemplateId=it.state.id, LaunchTemplateData={"UserData": "YnllCg=="}
    )
    assert it.seen()["userData"] == "YnllCg=="


def test_a_template_may_be_gone_already(aws: Aws) -> None:
    it = template(aws)
    aws.client("ec2").delete_launch_template(LaunchTemplateId=it.state.id)
    it.delete()
