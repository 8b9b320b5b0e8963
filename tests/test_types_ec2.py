"""Launch templates in moto: made, seen, changed and ended."""

from typing import Any

import pytest

from local.aws import Aws
from local.provider import Provider
from tests.support import resource

TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def inputs(gib: int, **more: Any) -> dict[str, Any]:
    return {
        "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"volumeSize": gib, "volumeType": "gp3"}}],
        "tagSpecifications": [{"resourceType": "instance", "tags": {"Name": "node"}}],
        "userData": "aGVsbG8=",
        **more,
    }


@pytest.fixture
def provider(aws: Aws) -> Provider:
    return Provider(aws)


def test_another_disk_is_another_version(provider: Provider) -> None:
    there = provider.create(resource(TEMPLATE, inputs(100)))
    assert (there.outputs["latestVersion"], there.outputs["defaultVersion"]) == (1, 1)
    changed = provider.update(there, resource(TEMPLATE, inputs(200)))
    assert changed.id == there.id
    assert (changed.outputs["latestVersion"], changed.outputs["defaultVersion"]) == (2, 1)
    [version] = provider.aws.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=there.id, Versions=["$Latest"]
    )["LaunchTemplateVersions"]
    assert version["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 200
    assert provider.read(TEMPLATE, "", changed) == changed


def test_a_template_that_says_so_starts_what_it_is_now(provider: Provider) -> None:
    there = provider.create(resource(TEMPLATE, inputs(100, updateDefaultVersion=True)))
    changed = provider.update(there, resource(TEMPLATE, inputs(200, updateDefaultVersion=True)))
    assert (changed.outputs["latestVersion"], changed.outputs["defaultVersion"]) == (2, 2)
    [template] = provider.aws.client("ec2").describe_launch_templates(LaunchTemplateIds=[there.id])["LaunchTemplates"]
    assert template["DefaultVersionNumber"] == 2


def test_other_tags_are_no_other_version(provider: Provider) -> None:
    there = provider.create(resource(TEMPLATE, inputs(100, tags={"Old": "1"})))
    changed = provider.update(there, resource(TEMPLATE, inputs(100, tags={"New": "2"})))
    assert changed.outputs["latestVersion"] == 1
    seen = provider.read(TEMPLATE, "", changed)
    assert seen is not None
    assert seen.inputs["tags"] == {"New": "2"}


def test_a_version_that_somebody_made_by_hand_is_seen(provider: Provider) -> None:
    there = provider.create(resource(TEMPLATE, inputs(100)))
    provider.aws.client("ec2").create_launch_template_version(
        LaunchTemplateId=there.id, SourceVersion="1", LaunchTemplateData={"UserData": "YnllCg=="}
    )
    seen = provider.read(TEMPLATE, "", there)
    assert seen is not None
    assert seen.inputs["userData"] == "YnllCg=="


def test_a_template_ends_once(provider: Provider) -> None:
    there = provider.create(resource(TEMPLATE, inputs(100)))
    for _ in range(2):
        provider.delete(TEMPLATE, "", there)
    assert provider.read(TEMPLATE, "", there) is None
