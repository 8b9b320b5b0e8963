"""Amazon FSx for Lustre: file systems and their links to S3."""

from collections.abc import Iterator, Mapping
from typing import Any

from local.aws import Aws, hex_digits
from local.costs import Line, Priced
from local.edits import Edit, Effect
from local.parameters import call, complete, only
from local.record import ResourceType, tag_actions
from local.run import Created, Resource, State
from local.tags import Tagged

FILE_SYSTEM = "aws:fsx/lustreFileSystem:LustreFileSystem"
OF_LUSTRE = ("dataCompressionType", "deploymentType", "perUnitStorageThroughput")
"""Inputs that only Lustre file systems have."""
CHANGEABLE = ("dataCompressionType", "perUnitStorageThroughput", "storageCapacity")
MOUNT_NAME_DIGITS = 8
"""Length of the mount name, which AWS invents and moto does not."""


class LustreFileSystem(Tagged, token=FILE_SYSTEM):
    """A Lustre file system."""

    service = "fsx"
    takes = ("fsx", "CreateFileSystem")
    rename = {key: f"LustreConfiguration.{key}" for key in OF_LUSTRE}
    refers = {"securityGroupIds": "aws:ec2/securityGroup:SecurityGroup", "subnetIds": "aws:ec2/subnet:Subnet"}
    needs = (
        "ec2:DescribeSubnets ec2:GetSecurityGroupsForVpc fsx:CreateFileSystem fsx:DeleteFileSystem"
        f" fsx:DescribeFileSystems fsx:UpdateFileSystem iam:CreateServiceLinkedRole {tag_actions('fsx')}"
    )

    ended = Effect(
        work="stopped",
        what="jobs that have it mounted lose it, and what was not written to the bucket is gone",
        first="deploy when no job uses it and all of it is in the bucket (aws fsx create-data-repository-task)",
    )

    def work(self, edit: Edit) -> Iterator[Effect]:
        """Storage grows while it is in use; another throughput needs other servers (FSx for Lustre user guide)."""
        yield from super().work(edit)
        if edit.touches("perUnitStorageThroughput"):
            yield Effect(
                work="waits",
                what="it does not answer for some minutes while its servers are exchanged; clients try again",
            )

    def paid(self, one: Priced) -> Iterator[Line]:
        """Its storage, which has no price here yet."""
        yield one.line(FILE_SYSTEM)

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create the file system in its one subnet."""
        inputs = complete(aws, new, name=None)
        subnets = [inputs["subnetIds"]]
        made = call(
            aws.client("fsx"),
            "create_file_system",
            inputs,
            rename=self.rename,
            fileSystemType="LUSTRE",
            subnetIds=subnets,
        )["FileSystem"]
        return Created(
            id=made["FileSystemId"],
            outputs=inputs
            | {
                "arn": made["ResourceARN"],
                "dnsName": made["DNSName"],
                "mountName": hex_digits(MOUNT_NAME_DIGITS),
                "ownerId": aws.account_id,
                "vpcId": aws.client("ec2").describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"],
            },
        )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """What FSx returns for it, with its tags."""
        found = aws.client("fsx").describe_file_systems(FileSystemIds=[there.id])["FileSystems"]
        return found[0] if found else None

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set its size, throughput and compression."""
        given = only(new.inputs, *CHANGEABLE)
        call(aws.client("fsx"), "update_file_system", given, rename=self.rename, fileSystemId=there.id)
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it with its files."""
        aws.client("fsx").delete_file_system(FileSystemId=there.id)


class DataRepositoryAssociation(ResourceType, token="aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation"):
    """A folder of a file system that mirrors a prefix in S3; moto does not have the type."""

    simulated = True
    refers = {"dataRepositoryPath": "aws:s3/bucket:Bucket", "fileSystemId": FILE_SYSTEM}
    needs = (
        "fsx:CreateDataRepositoryAssociation fsx:DeleteDataRepositoryAssociation"
        " fsx:DescribeDataRepositoryAssociations fsx:UpdateDataRepositoryAssociation"
        # for the role of the link, which FSx creates with the permissions of its caller (FSx for Lustre user guide,
        # "Adding permissions to use data repositories in Amazon S3")
        f" iam:AttachRolePolicy iam:CreateServiceLinkedRole iam:PutRolePolicy s3:ListBucket {tag_actions('fsx')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        association_id = f"dra-{hex_digits(17)}"
        arn = aws.arn("fsx", f"association/{inputs['fileSystemId']}/{association_id}")
        return Created(id=association_id, outputs=inputs | {"arn": arn, "associationId": association_id})
