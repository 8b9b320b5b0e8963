"""Amazon FSx for Lustre: file systems and their links to S3."""

from local.aws import Aws, Created, Resource, creates, hex_digits, simulates
from local.services._params import call, complete

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


@creates("aws:fsx/lustreFileSystem:LustreFileSystem")
def lustre_file_system(aws: Aws, resource: Resource) -> Created:
    """A Lustre file system."""
    inputs = complete(aws, resource, name=None)
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


@simulates("aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation")
def data_repository_association(aws: Aws, resource: Resource) -> Created:
    """A folder of a file system that mirrors a prefix in S3, which moto does not have."""
    inputs = complete(aws, resource, name=None)
    association_id = f"dra-{hex_digits(17)}"
    arn = aws.arn("fsx", f"association/{inputs['fileSystemId']}/{association_id}")
    return Created(id=association_id, outputs=inputs | {"arn": arn, "associationId": association_id}, simulated=True)
