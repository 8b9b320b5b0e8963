"""The store for what training makes: a bucket for checkpoints, a repository for images, Lustre over the bucket."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Literal, Self

import pulumi
from pulumi_aws import ec2, ecr, fsx, s3, vpc
from pydantic import Field, field_validator, model_validator

from components import iam
from components.deployed import Deployed
from components.images import OWN, UNTAGGED_EXPIRE, ImageCache, ecr_repository, full, to_cache
from components.json_document import to_json
from components.network import Network
from components.schema import Like, Settings, mistake, refuse
from components.teams import prefix
from stack_file.mistakes import Mistake

CHECKPOINT_PREFIX = "checkpoints/"
"""Objects under this prefix expire after `checkpointDays`, below the prefix of each team too."""
RECORDS_PREFIX = "worker-records"
"""Under it workers count how often each task failed."""
RECORDS_DAYS = 15
"""One more than a queue may keep a task."""
INCOMPLETE_UPLOAD_DAYS = 7
NONCURRENT_VERSION_DAYS = 30
LONGEST_DAYS = 2**31 - 1
"""The largest number that S3 takes (S3 API, `LifecycleExpiration`)."""
LUSTRE_VERSION = "2.15"
"""Always set, because a new default of AWS would replace the file system; the client of AL2023 supports it."""
LEAST_LUSTRE_GIB, LUSTRE_STEP_GIB = 1200, 2400
"""A file system has 1200 GiB or a multiple of 2400 (FSx for Lustre API, `StorageCapacity`)."""
LUSTRE_SIZE = "artifacts.lustre"
"""Path under which a later deployment finds the size of the file system, and its kind where it is not persistent."""
LUSTRE_PORTS = ((988, 988), (1018, 1023))
"""Ports between Lustre clients and servers (FSx for Lustre user guide, "File system access control")."""


RegistrySecret = Annotated[
    str,
    Like(
        r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:ecr-pullthroughcache/[A-Za-z0-9/_+=.@-]+$",
        (
            "must be the ARN of a Secrets Manager secret whose name begins with ecr-pullthroughcache/, such as"
            " arn:aws:secretsmanager:us-west-2:123456789012:secret:ecr-pullthroughcache/NAME-AbCdEf"
        ),
    ),
]
"""A secret with which ECR signs in at another registry (ECR API, `CredentialArn`)."""


class LustreSettings(Settings):
    """An FSx for Lustre file system that shows the bucket as files."""

    deployment: Literal["persistent", "scratch"] = "persistent"
    """`scratch` is for a short time: FSx replaces none of its servers that fails, and what was on one is lost.

    Both are linked to the bucket. Another kind is another file system, and is refused while there is one.
    """
    storage_gib: Annotated[int, Field(ge=LEAST_LUSTRE_GIB)] = LEAST_LUSTRE_GIB
    """Size in GiB: 1200, 2400, or a multiple of 2400. It can only grow."""
    throughput_per_tib: Literal[125, 250, 500, 1000] = 125
    """Throughput in MB/s per TiB of storage. Only with `deployment: persistent`."""

    @field_validator("storage_gib")
    @classmethod
    def _is_a_legal_size(cls, storage_gib: int) -> int:
        if storage_gib != LEAST_LUSTRE_GIB and storage_gib % LUSTRE_STEP_GIB:
            raise ValueError("must be 1200 or a multiple of 2400")
        return storage_gib

    @model_validator(mode="after")
    def _has_the_throughput_of_its_kind(self) -> Self:
        if self.deployment == "scratch" and "throughput_per_tib" in self.model_fields_set:
            rule = "must be left out with deployment scratch, whose throughput FSx sets"
            refuse([("throughputPerTib", rule, self.throughput_per_tib)])
        return self


class ArtifactsSettings(Settings):
    """The `artifacts` section."""

    checkpoint_days: Annotated[int, Field(ge=1, le=LONGEST_DAYS)] | None = 90
    """Days after which objects under `checkpoints/` expire, also those that exist already; null keeps them for ever."""
    force_destroy: bool = False
    """Whether `pulumi destroy` may delete the bucket and the repository with their content.

    Deploy this setting before the destroy that needs it. Not together with `protect`.
    """
    registry_secrets: dict[Literal["docker.io", "ghcr.io"], RegistrySecret] = Field(
        default_factory=dict[Literal["docker.io", "ghcr.io"], str]
    )
    """Registry -> ARN of the secret with which ECR signs in there, so that its images come through the stack's cache.

    Without a secret they come from the registry itself. public.ecr.aws, registry.k8s.io and quay.io need none.
    """
    lustre: LustreSettings | None = None
    """A file system linked to the bucket, in `network.trainingZone`. It is paid by the hour, also when idle."""

    def losses(self, path: str, deployed: Deployed) -> Iterator[Mistake]:
        """Mistakes that would lose the files of the file system that is there."""
        there = [note.partition("/") for note in deployed.noted(LUSTRE_SIZE)]
        largest = max((int(size) for size, _, _ in there), default=0)
        kinds = {kind or "persistent" for _, _, kind in there}
        if self.lustre is not None and kinds - {self.lustre.deployment}:
            yield mistake(
                f"{path}.lustre.deployment",
                (
                    f"must stay {' or '.join(sorted(kinds))}: another one is another file system, without what is not"
                    " in the bucket; take lustre out and deploy first if that may go"
                ),
                self.lustre.deployment,
            )
        if self.lustre is not None and self.lustre.storage_gib < largest:
            yield mistake(
                f"{path}.lustre.storageGib",
                (
                    f"must be {largest} or more: FSx only grows a file system, and a smaller one would be another,"
                    " without what is not in the bucket; take lustre out and deploy first if that may go"
                ),
                self.lustre.storage_gib,
            )

    def has_file_system(self, deployed: Deployed) -> bool:
        """Whether the file system that is there stays."""
        return self.lustre is not None and bool(deployed.noted(LUSTRE_SIZE))


class Artifacts(pulumi.ComponentResource):
    """A private, versioned, encrypted bucket and an image repository."""

    bucket: pulumi.Output[str]
    """Name of the bucket."""
    bucket_arn: pulumi.Output[str]
    """ARN of the bucket."""
    repository_url: pulumi.Output[str]
    """Where images are pushed to, without a tag."""
    repository_arn: pulumi.Output[str]
    """ARN of the image repository."""
    repository_name: pulumi.Output[str]
    """Name of the image repository, as in its events."""
    lustre: "Lustre | None"
    """The file system over the bucket, if there is one."""
    cached: Mapping[str, pulumi.Output[str]]
    """Public registry -> what takes its place in the name of an image that is to come through the stack's cache."""

    def __init__(
        self,
        name: str,
        settings: ArtifactsSettings,
        *,
        account: iam.Account,
        network: Network,
        deployed: Deployed,
        images: Collection[str],
        teams: Collection[str] = (),
        protect: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`images`: names of those that the stack pulls, for which the cache is made.

        `teams`: names of those whose checkpoints are in the bucket too, each below a prefix of its own.
        """
        super().__init__("distributed-training:index:Artifacts", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        # what holds data; without forceDestroy S3 and ECR themselves refuse to delete it while anything is in it
        kept = pulumi.ResourceOptions(parent=self, protect=protect)
        bucket = s3.Bucket(
            name,
            force_destroy=settings.force_destroy,
            # the bucket is always there
            tags=deployed.tag(network.adopted) if network.adopted else None,
            opts=kept,
        )
        private = s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        s3.BucketOwnershipControls(name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child)
        # to delete it is to suspend it, and a deleted checkpoint is then gone at once
        versioning = s3.BucketVersioning(
            name, bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=kept
        )
        s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            rules=[
                {
                    # AWS's own key for S3: whoever may use the bucket needs no further grant on a key
                    "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms"},
                    "bucket_key_enabled": True,
                }
            ],
            opts=child,
        )
        s3.BucketPolicy(
            name,
            bucket=bucket.id,
            policy=iam.document([iam.tls_only("s3:*", [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")])]),
            # S3 answers OperationAborted when a bucket's policy and public access block are written at once
            opts=pulumi.ResourceOptions(parent=self, depends_on=[private]),
        )
        s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.id,
            rules=_lifecycle_rules(settings, teams),
            # noncurrent versions exist only once versioning is on
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        repository = ecr.Repository(
            name,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            force_delete=settings.force_destroy,
            tags=account.roles.note(deployed) or None,
            opts=kept,
        )
        ecr.LifecyclePolicy(
            name,
            repository=repository.name,
            policy=to_json(UNTAGGED_EXPIRE),
            opts=child,
        )
        self.lustre = settings.lustre and Lustre(
            name,
            settings.lustre,
            network=network,
            bucket=bucket.bucket,
            deployed=deployed,
            is_new=not settings.has_file_system(deployed),
            protect=protect,
            opts=child,
        )
        self.bucket, self.bucket_arn = bucket.bucket, bucket.arn
        self.repository_url, self.repository_arn = repository.repository_url, repository.arn
        self.repository_name = repository.name
        self.cached = {}
        secrets: dict[str, str] = {**settings.registry_secrets}
        if registries := to_cache(images, secrets, account):
            self.cached = ImageCache(
                f"{name}-images",
                registries,
                below=repository.name,
                secrets=secrets,
                account=account,
                opts=child,
            ).prefixes
        self._account = account
        self.register_outputs({"bucket": self.bucket, "repositoryUrl": self.repository_url})

    def read(self) -> list[iam.Statement]:
        """Statements that allow reading artifacts."""
        return [
            iam.allow(["s3:GetObject"], [pulumi.Output.concat(self.bucket_arn, "/*")]),
            iam.allow(["s3:ListBucket"], [self.bucket_arn]),
        ]

    def read_write(self, team: str | None = None) -> list[iam.Statement]:
        """Statements that allow reading, writing and resuming multipart uploads; only the lifecycle deletes.

        With a team, only of what is below the prefix of that team.
        """
        below = "" if team is None else prefix(team)
        listing = ["s3:ListBucket"] if below else ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
        return [
            iam.allow(
                ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"],
                [pulumi.Output.concat(self.bucket_arn, f"/{below}*")],
            ),
            iam.allow(listing, [self.bucket_arn], {"StringLike": {"s3:prefix": f"{below}*"}} if below else None),
        ]

    def image(self, name: str) -> pulumi.Input[str]:
        """The address of an image: in the stack's own repository, through the cache, or as it is named."""
        if name.startswith(f"{OWN}:"):
            return pulumi.Output.concat(self.repository_url, name.removeprefix(OWN))
        registry, _, path = full(name).partition("/")
        return pulumi.Output.concat(self.cached[registry], "/", path) if registry in self.cached else name

    def pull(self, image: str | None = None) -> list[iam.Statement]:
        """Statements that allow pulling from the repository, through the cache, and `image` from elsewhere in ECR."""
        other = ecr_repository(image, self._account) if image else None
        cached = [pulumi.Output.concat(self.repository_arn, "/*")] if self.cached else []
        return [
            iam.allow(
                ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                [self.repository_arn, *cached, *([other] if other else [])],
            ),
            # the token is the account's: AWS knows no narrower resource for it
            iam.allow(["ecr:GetAuthorizationToken"], ["*"]),
            *self.fill_cache(),
        ]

    def fill_cache(self) -> list[iam.Statement]:
        """Statements that allow a pull to fetch an image into the cache (ECR user guide, "pull through cache", IAM)."""
        below = pulumi.Output.concat(self.repository_arn, "/*")
        return [iam.allow(["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"], [below])] if self.cached else []

    def push(self) -> list[iam.Statement]:
        """Statements that allow pulling images and pushing new ones; what is there is never overwritten."""
        actions = ["CompleteLayerUpload", "InitiateLayerUpload", "PutImage", "UploadLayerPart"]
        return [*self.pull(), iam.allow([f"ecr:{action}" for action in actions], [self.repository_arn])]


class Lustre(pulumi.ComponentResource):
    """A file system in the training subnet that shows the bucket as files and writes changes back to it."""

    file_system_id: pulumi.Output[str]
    """Id of the file system."""
    dns_name: pulumi.Output[str]
    """Name of its server."""
    mount_name: pulumi.Output[str]
    """Name of the file system on that server."""
    storage_gib: int
    """Its size in GiB."""
    is_new: bool
    """Whether it was not there before this deployment, as far as that is known."""

    def __init__(
        self,
        name: str,
        settings: LustreSettings,
        *,
        network: Network,
        bucket: pulumi.Output[str],
        deployed: Deployed,
        is_new: bool,
        protect: bool,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("distributed-training:index:Lustre", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        group = ec2.SecurityGroup(
            f"{name}-lustre",
            vpc_id=network.vpc_id,
            description="Lustre between clients and servers",
            tags={"Name": f"{name}-lustre"},
            # another description is another group, and another group another file system
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["description"]),
        )
        for first, last in LUSTRE_PORTS:
            # servers are clients of each other, from the same range
            for rule in (vpc.SecurityGroupIngressRule, vpc.SecurityGroupEgressRule):
                rule(
                    f"{name}-lustre-{first}",
                    security_group_id=group.id,
                    description="Lustre between the network and its servers",
                    ip_protocol="tcp",
                    from_port=first,
                    to_port=last,
                    cidr_ipv4=network.cidr,
                    opts=child,
                )
        persistent, noted = settings.deployment == "persistent", f"{LUSTRE_SIZE}/{settings.storage_gib}"
        file_system = fsx.LustreFileSystem(
            name,
            deployment_type="PERSISTENT_2" if persistent else "SCRATCH_2",
            file_system_type_version=LUSTRE_VERSION,
            storage_type="SSD",
            storage_capacity=settings.storage_gib,
            per_unit_storage_throughput=settings.throughput_per_tib if persistent else None,
            data_compression_type="LZ4",
            subnet_ids=network.training_subnet_id,
            security_group_ids=[group.id],
            tags={"Name": name, **deployed.tag(noted if persistent else f"{noted}/{settings.deployment}")},
            # it stays in the subnet in which it was made: another one is another file system
            opts=pulumi.ResourceOptions(parent=self, protect=protect, ignore_changes=["subnetIds"]),
        )
        fsx.DataRepositoryAssociation(
            name,
            file_system_id=file_system.id,
            file_system_path="/",
            data_repository_path=pulumi.Output.concat("s3://", bucket),
            batch_import_meta_data_on_create=True,
            s3={
                "auto_import_policy": {"events": ["NEW", "CHANGED", "DELETED"]},
                "auto_export_policy": {"events": ["NEW", "CHANGED", "DELETED"]},
            },
            opts=child,
        )
        self.file_system_id = file_system.id
        self.dns_name, self.mount_name = file_system.dns_name, file_system.mount_name
        self.storage_gib, self.is_new, self._zone = settings.storage_gib, is_new, network.zones.training
        self.register_outputs({"dnsName": self.dns_name, "mountName": self.mount_name})

    @property
    def source(self) -> pulumi.Output[str]:
        """What a client mounts, as Lustre's own tools write it."""
        return pulumi.Output.concat(self.dns_name, "@tcp:/", self.mount_name)

    def notices(self, path: str, zones: Collection[str]) -> Iterator[str]:
        """A warning where instances that mount it may be in another zone."""
        if others := sorted({*zones} - {self._zone}):
            yield (
                f"{path}: instances in {', '.join(others)} reach the file system in {self._zone} across zones, which is"
                " slower, and charged as data transfer"
            )


def _lifecycle_rules(
    settings: ArtifactsSettings, teams: Collection[str]
) -> list[s3.BucketLifecycleConfigurationRuleArgsDict]:
    rules: list[s3.BucketLifecycleConfigurationRuleArgsDict] = [
        {
            "id": "incomplete-uploads",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "abort_incomplete_multipart_upload": {"days_after_initiation": INCOMPLETE_UPLOAD_DAYS},
        },
        {
            "id": "noncurrent-versions",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "noncurrent_version_expiration": {"noncurrent_days": NONCURRENT_VERSION_DAYS},
            # what marks an expired checkpoint as deleted goes with its last version
            "expiration": {"expired_object_delete_marker": True},
        },
        {
            "id": "worker-records",
            "status": "Enabled",
            "filter": {"prefix": f"{RECORDS_PREFIX}/"},
            "expiration": {"days": RECORDS_DAYS},
        },
    ]
    if settings.checkpoint_days is not None:
        rules.extend(
            {
                "id": f"{below}checkpoints",
                "status": "Enabled",
                "filter": {"prefix": f"{below}{CHECKPOINT_PREFIX}"},
                "expiration": {"days": settings.checkpoint_days},
            }
            for below in ("", *sorted(map(prefix, teams)))
        )
    return rules
