"""Amazon FSx for Lustre: file systems and their links to S3."""

from local.aws import Aws, hex_digits
from local.parameters import call, complete
from local.record import ResourceType, tag_actions
from local.run import Created, Resource

COMMON = {
    "fileSystemTypeVersion",
    "kmsKeyId",
    "region",
    "securityGroupIds",
    "storageCapacity",
    "storageType",
    "subnetIds",
    "tags",
    "tagsAll",
}
"""Inputs that every kind of file system has; the rest is Lustre's own."""

MOUNT_NAME_DIGITS = 8
"""Length of the mount name that AWS makes up."""


class LustreFileSystem(ResourceType, token="aws:fsx/lustreFileSystem:LustreFileSystem"):
    """A Lustre file system."""

    needs = (
        "ec2:DescribeSubnets ec2:GetSecurityGroupsForVpc fsx:CreateFileSystem fsx:DeleteFileSystem"
        f" fsx:DescribeFileSystems fsx:UpdateFileSystem iam:CreateServiceLinkedRole {tag_actions('fsx')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        lustre = "LustreConfiguration"
        made = call(
            aws.client("fsx"),
            "create_file_system",
            inputs,
            rename={key: f"{lustre}.{key}" for key in inputs if key not in COMMON}
            | {f"{lustre}.dataReadCacheConfiguration.size": "SizeGiB"},
            leave=("finalBackupTags", "skipFinalBackup"),
            fileSystemType="LUSTRE",
            subnetIds=[inputs["subnetIds"]],
        )["FileSystem"]
        subnet = aws.client("ec2").describe_subnets(SubnetIds=[inputs["subnetIds"]])["Subnets"][0]
        file_system_id = made["FileSystemId"]
        return Created(
            id=file_system_id,
            outputs=inputs
            | {
                "arn": made["ResourceARN"],
                "dnsName": made["DNSName"],
                # moto has no mount name; AWS calls that of the oldest deployment type just so
                "mountName": "fsx"
                if inputs.get("deploymentType", "SCRATCH_1") == "SCRATCH_1"
                else hex_digits(MOUNT_NAME_DIGITS),
                "networkInterfaceIds": made.get("NetworkInterfaceIds", []),
                "ownerId": aws.account_id,
                "vpcId": subnet["VpcId"],
            },
        )


class DataRepositoryAssociation(ResourceType, token="aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation"):
    """A folder of a file system that mirrors a prefix in S3, which moto does not have."""

    simulated = True
    needs = (
        "fsx:CreateDataRepositoryAssociation fsx:DeleteDataRepositoryAssociation"
        " fsx:DescribeDataRepositoryAssociations fsx:UpdateDataRepositoryAssociation"
        # the link's own role, which FSx makes in its caller's name (FSx for Lustre user guide, "Adding permissions to
        # use data repositories in Amazon S3")
        f" iam:AttachRolePolicy iam:CreateServiceLinkedRole iam:PutRolePolicy s3:ListBucket {tag_actions('fsx')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        association_id = f"dra-{hex_digits(17)}"
        arn = aws.arn("fsx", f"association/{inputs['fileSystemId']}/{association_id}")
        return Created(id=association_id, outputs=inputs | {"arn": arn, "associationId": association_id})
