"""The bucket, the image repository and the file system."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from client.account import Account, code_of
from client.outputs import Outputs
from client.smoke.check import Check, Finding, failed, missing, not_checked

AGAIN = "`pulumi refresh` and `pulumi up` set it again"


def checks(outputs: Outputs, account: Account) -> Iterator[Check]:
    """The bucket, private, encrypted and versioned, the repository, and the file system."""
    s3, bucket = account.client("s3"), outputs.artifacts_bucket
    yield Check(f"artifacts {bucket}", "exists and is this account's", partial(_bucket, s3, bucket, outputs.account_id))
    yield Check(f"artifacts {bucket}", "lets nobody in from outside", partial(_private, s3, bucket))
    yield Check(f"artifacts {bucket}", "encrypts with a KMS key", partial(_encrypted, s3, bucket))
    yield Check(f"artifacts {bucket}", "keeps old versions", partial(_versioned, s3, bucket))
    url = outputs.image_repository_url
    ecr = account.client("ecr")
    yield Check(f"artifacts {url.partition('/')[2]}", "takes images", partial(_repository, ecr, url))
    for registry, cache in outputs.image_cache_urls.items():
        what = "fetches its images through a cache in ECR"
        yield Check(f"artifacts {registry}", what, partial(_cache, ecr, cache, account.is_local("ecr")))

    if outputs.lustre_file_system_id:
        find = partial(_file_system, account.client("fsx"), outputs)
        yield Check(f"artifacts {outputs.lustre_file_system_id}", "is a file system that can be mounted", find)


def _bucket(s3: Any, bucket: str, account_id: str) -> Iterator[Finding]:
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account_id)
    yield from ()


def _private(s3: Any, bucket: str) -> Iterator[Finding]:
    switches = {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
    try:
        block: dict[str, bool] = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if code_of(error) != "NoSuchPublicAccessBlockConfiguration":
            raise
        block = {}
    if off := sorted(switch for switch in switches if not block.get(switch)):
        yield failed(f"{', '.join(off)} is off; {AGAIN}")


def _encrypted(s3: Any, bucket: str) -> Iterator[Finding]:
    try:
        rules: list[Any] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        if code_of(error) != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        rules = []
    used: list[str] = [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules]
    if used != ["aws:kms"]:
        yield failed(f"encrypts with {', '.join(used) or 'nothing'}; {AGAIN}")


def _versioned(s3: Any, bucket: str) -> Iterator[Finding]:
    status = s3.get_bucket_versioning(Bucket=bucket).get("Status", "off")
    if status != "Enabled":
        yield failed(f"versioning is {status}, so that what is overwritten or deleted is gone; {AGAIN}")


def _cache(ecr: Any, url: str, local: bool) -> Iterator[Finding]:
    if local:
        yield not_checked("the local AWS has no caches")
        return
    registry, _, prefix = url.partition("/")
    of_account = {"registryId": registry.split(".")[0], "ecrRepositoryPrefixes": [prefix]}
    if not ecr.describe_pull_through_cache_rules(**of_account)["pullThroughCacheRules"]:
        yield missing(prefix)


def _file_system(fsx: Any, outputs: Outputs) -> Iterator[Finding]:
    (found,) = fsx.describe_file_systems(FileSystemIds=[outputs.lustre_file_system_id])["FileSystems"]
    # an update in progress does not disturb clients
    if found["Lifecycle"] not in ("AVAILABLE", "UPDATING"):
        yield failed(f"is {found['Lifecycle']}")
    if found["DNSName"] != outputs.lustre_dns_name:
        yield failed(f"its name is {found['DNSName']}, and {outputs.lustre_dns_name} is exported")


def _repository(ecr: Any, url: str) -> Iterator[Finding]:
    registry, _, name = url.partition("/")
    (repository,) = ecr.describe_repositories(registryId=registry.split(".")[0], repositoryNames=[name])["repositories"]
    if repository["repositoryUri"] != url:
        yield failed(f"its URL is {repository['repositoryUri']}, and {url} is exported")
