"""The bucket, the image repository and Lustre over the bucket: who may use them, what is kept, what can be deleted."""

import json
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from components.artifacts import Artifacts, ArtifactsSettings
from components.deployed import Deployed
from components.iam import Account
from components.network import Network, NetworkFacts, NetworkSettings, Zones
from local import engine
from local.aws import Aws
from local.provider import Provider
from local.run import Run
from tests.conftest import RunStack
from tests.support import all_of, one_of

MistakesIn = Callable[[dict[str, Any]], list[str]]

HOLDS_DATA = {
    "aws:s3/bucket:Bucket",
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:ecr/repository:Repository",
    "aws:fsx/lustreFileSystem:LustreFileSystem",
}


@pytest.fixture(scope="module")
def deployed(run_sections: RunStack) -> Run:
    return run_sections({"artifacts": {"lustre": {}}}, preview=False)


@pytest.fixture(scope="module")
def bucket(deployed: Run) -> str:
    return deployed.exports["artifacts_bucket"]


def test_the_bucket_is_private_and_owned_by_the_account(aws: Aws, bucket: str) -> None:
    s3 = aws.client("s3")
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert len(blocked) == 4
    assert all(blocked.values())
    (rule,) = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rule["ObjectOwnership"] == "BucketOwnerEnforced"


def test_objects_are_encrypted_by_kms_with_a_bucket_key(aws: Aws, bucket: str) -> None:
    (rule,) = aws.client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule == {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"},
        "BucketKeyEnabled": True,
        **{key: rule[key] for key in rule if key == "BlockedEncryptionTypes"},
    }


def test_the_bucket_refuses_what_does_not_come_over_tls(deployed: Run, bucket: str) -> None:
    policy = one_of(deployed, "aws:s3/bucketPolicy:BucketPolicy", "artifacts").inputs["policy"]
    (statement,) = json.loads(policy)["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == {"AWS": "*"}
    assert statement["Resource"] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_deleted_checkpoint_can_be_brought_back(aws: Aws, bucket: str) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=bucket, Key="checkpoints/run/1", Body=b"weights")
    s3.delete_object(Bucket=bucket, Key="checkpoints/run/1")
    (version,) = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert s3.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])["Body"].read() == b"weights"


@pytest.mark.parametrize(
    ("settings", "checkpoints"),
    [({}, {"Days": 90}), ({"checkpointDays": 7}, {"Days": 7}), ({"checkpointDays": None}, None)],
    ids=["left out", "7 days", "kept"],
)
def test_what_the_bucket_lets_go_with_time(
    settings: dict[str, Any], checkpoints: dict[str, int] | None, aws: Aws, run_sections: RunStack
) -> None:
    bucket = run_sections({"artifacts": settings}, preview=False).exports["artifacts_bucket"]
    rules = aws.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    by_name = {rule["ID"]: rule for rule in rules}
    assert all(rule["Status"] == "Enabled" for rule in rules)
    assert by_name["incomplete-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert by_name["noncurrent-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert by_name["noncurrent-versions"]["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    records = by_name["worker-records"]
    assert (records["Filter"], records["Expiration"]) == ({"Prefix": "worker-records/"}, {"Days": 15})
    assert by_name.get("checkpoints", {}).get("Expiration") == checkpoints
    if checkpoints is not None:
        assert by_name["checkpoints"]["Filter"] == {"Prefix": "checkpoints/"}


def test_images_are_scanned_keep_their_tag_and_expire_only_without_one(aws: Aws, deployed: Run) -> None:
    ecr = aws.client("ecr")
    name = deployed.exports["image_repository_url"].split("/", 1)[1]
    (repository,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    (rule,) = json.loads(ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"])["rules"]
    assert rule["selection"] == {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": 14,
    }
    assert rule["action"] == {"type": "expire"}


def test_lustre_shows_the_bucket_in_the_training_subnet_to_the_network_alone(deployed: Run) -> None:
    lustre = one_of(deployed, "aws:fsx/lustreFileSystem:LustreFileSystem", "artifacts").inputs
    assert lustre["subnetIds"] == deployed.exports["private_subnet_ids"][0]
    assert (lustre["deploymentType"], lustre["fileSystemTypeVersion"]) == ("PERSISTENT_2", "2.15")
    assert (lustre["storageCapacity"], lustre["perUnitStorageThroughput"]) == (1200, 125)
    link = one_of(deployed, "aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation", "artifacts").inputs
    assert link["dataRepositoryPath"] == f"s3://{deployed.exports['artifacts_bucket']}"
    for direction in ("Ingress", "Egress"):
        rules = all_of(deployed, f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule")
        of_lustre = [
            one.inputs for one in rules.values() if [one.inputs["securityGroupId"]] == lustre["securityGroupIds"]
        ]
        assert {(one["fromPort"], one["toPort"], one["cidrIpv4"]) for one in of_lustre} == {
            (988, 988, "10.0.0.0/16"),
            (1018, 1023, "10.0.0.0/16"),
        }


def test_lustre_for_a_short_time_shows_the_bucket_too_and_is_known_by_its_kind(run_sections: RunStack) -> None:
    run = run_sections({"artifacts": {"lustre": {"deployment": "scratch"}}})
    lustre = one_of(run, "aws:fsx/lustreFileSystem:LustreFileSystem", "artifacts").inputs
    assert lustre["deploymentType"] == "SCRATCH_2"
    assert "perUnitStorageThroughput" not in lustre
    assert lustre["tags"]["distributed-training:part"] == "test/artifacts.lustre/1200/scratch"
    assert len(all_of(run, "aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation")) == 1


@pytest.mark.parametrize("protect", [True, False])
def test_protect_guards_what_holds_data(protect: bool, run_sections: RunStack) -> None:
    run = run_sections({"protect": protect, "artifacts": {"lustre": {}}})
    (artifacts,) = all_of(run, "distributed-training:index:Artifacts").values()
    guarded = {one.type for one in run.registrations.values() if one.protect and one.custom}
    assert guarded == (HOLDS_DATA if protect else set())
    assert not artifacts.protect, "a lifecycle policy is replaced when it changes, and must stay replaceable"
    assert one_of(run, "aws:s3/bucket:Bucket", "artifacts").inputs["forceDestroy"] is False
    assert one_of(run, "aws:ecr/repository:Repository", "artifacts").inputs["forceDelete"] is False


def test_force_destroy_lets_destroy_empty_what_it_deletes(run_sections: RunStack, mistakes_in: MistakesIn) -> None:
    run = run_sections({"artifacts": {"forceDestroy": True}})
    assert one_of(run, "aws:s3/bucket:Bucket", "artifacts").inputs["forceDestroy"] is True
    assert one_of(run, "aws:ecr/repository:Repository", "artifacts").inputs["forceDelete"] is True
    assert mistakes_in({"protect": True, "artifacts": {"forceDestroy": True}}) == [
        "artifacts.forceDestroy: must be false together with protect, got true"
    ]


@pytest.mark.parametrize(
    ("lustre", "line"),
    [
        ({"storageGib": 1800}, "storageGib: must be 1200 or a multiple of 2400, got 1800"),
        ({"storageGib": 3600}, "storageGib: must be 1200 or a multiple of 2400, got 3600"),
        ({"storageGib": 0}, "storageGib: must be at least 1200, got 0"),
        (
            {"deployment": "scratch", "throughputPerTib": 125},
            "throughputPerTib: must be left out with deployment scratch, whose throughput FSx sets, got 125",
        ),
        ({"throughputPerTib": 200}, "throughputPerTib: must be 125, 250, 500 or 1000, got 200"),
    ],
)
def test_a_file_system_that_fsx_does_not_offer_is_refused(
    lustre: dict[str, Any], line: str, mistakes_in: MistakesIn
) -> None:
    assert mistakes_in({"artifacts": {"lustre": lustre}}) == [f"artifacts.lustre.{line}"]


def test_grants_name_the_bucket_and_the_repository_and_delete_nothing(aws: Aws) -> None:
    def program() -> None:
        account = Account(id="123456789012", partition="aws", region="us-west-2")
        network = Network(
            "network",
            NetworkSettings(),
            facts=NetworkFacts(zones=Zones(places={"us-west-2a": 0, "us-west-2b": 1}, training="us-west-2a")),
            account=account,
            deployed=Deployed(stack="test"),
            in_default_group=[],
        )
        artifacts = Artifacts(
            "artifacts",
            ArtifactsSettings(),
            account=account,
            network=network,
            deployed=Deployed(stack="test"),
            images=[],
            protect=False,
        )
        pulumi.export("bucket", artifacts.bucket_arn)
        pulumi.export("repository", artifacts.repository_arn)
        pulumi.export("read", artifacts.read())
        pulumi.export("read_write", artifacts.read_write())
        pulumi.export("pull", artifacts.pull())

    run = engine.run(program, Provider(aws), preview=False)
    assert run.error is None
    bucket, repository = run.exports["bucket"], run.exports["repository"]

    def allowed(grant: str) -> dict[str, list[str]]:
        assert all(statement["Effect"] == "Allow" for statement in run.exports[grant])
        return {action: statement["Resource"] for statement in run.exports[grant] for action in statement["Action"]}

    assert allowed("read") == {"s3:GetObject": [f"{bucket}/*"], "s3:ListBucket": [bucket]}
    assert allowed("read_write") == {
        "s3:AbortMultipartUpload": [f"{bucket}/*"],
        "s3:GetObject": [f"{bucket}/*"],
        "s3:ListBucket": [bucket],
        "s3:ListBucketMultipartUploads": [bucket],
        "s3:ListMultipartUploadParts": [f"{bucket}/*"],
        "s3:PutObject": [f"{bucket}/*"],
    }
    assert allowed("pull") == {
        "ecr:BatchCheckLayerAvailability": [repository],
        "ecr:BatchGetImage": [repository],
        "ecr:GetAuthorizationToken": ["*"],
        "ecr:GetDownloadUrlForLayer": [repository],
    }
