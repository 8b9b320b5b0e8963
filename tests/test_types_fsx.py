"""Amazon FSx for Lustre in moto: what is made, seen, changed and ended."""

from local.aws import Aws
from tests.support import Life

FILE_SYSTEM = "aws:fsx/lustreFileSystem:LustreFileSystem"
LINK = "aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation"


def test_a_file_system_grows_in_place_is_seen_and_ends(aws: Aws) -> None:
    fsx = aws.client("fsx")
    one = Life(
        aws,
        FILE_SYSTEM,
        {
            "deploymentType": "PERSISTENT_2",
            "fileSystemTypeVersion": "2.15",
            "perUnitStorageThroughput": 125,
            "storageCapacity": 1200,
            "storageType": "SSD",
            "subnetIds": aws.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"],
            "tags": {"Name": "it"},
        },
    )
    mount_name = one.outputs["mountName"]
    one.update(storageCapacity=2400, perUnitStorageThroughput=250, tags={"Kind": "artifacts"})
    [there] = fsx.describe_file_systems(FileSystemIds=[one.state.id])["FileSystems"]
    assert there["StorageCapacity"] == 2400
    assert there["LustreConfiguration"]["PerUnitStorageThroughput"] == 250
    assert {tag["Key"]: tag["Value"] for tag in there["Tags"]} == {**aws.default_tags, "Kind": "artifacts"}
    assert one.outputs["mountName"] == mount_name
    fsx.update_file_system(FileSystemId=one.state.id, StorageCapacity=4800)
    assert one.seen()["storageCapacity"] == 4800
    one.delete()
    assert fsx.describe_file_systems(FileSystemIds=[one.state.id])["FileSystems"] == []


def test_a_link_to_a_bucket_keeps_its_id_when_its_tags_change(aws: Aws) -> None:
    one = Life(aws, LINK, {"fileSystemId": "fs-1", "fileSystemPath": "/", "dataRepositoryPath": "s3://it"})
    link = one.outputs["associationId"]
    one.change(tags={"Kind": "artifacts"})
    assert one.outputs["associationId"] == link
    assert one.outputs["tagsAll"] == {**aws.default_tags, "Kind": "artifacts"}
