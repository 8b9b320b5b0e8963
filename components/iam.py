"""Policies as data: statements that components hand to each other, and the roles that hold them."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

import pulumi
import pulumi_aws as aws
from pulumi_aws import iam
from pydantic import StringConstraints

from components.deployed import Deployed
from components.json_document import to_json
from components.logs import LogsSettings
from components.schema import Like, PolicyArn, Settings, mistake
from stack_file.mistakes import Mistake

Statement = dict[str, Any]
"""One statement of a policy, under IAM's own key names; values may be Outputs."""
ROLE_PATH = "iam.rolePath"
"""Path under which a later deployment finds the path of the roles."""

RolePath = Annotated[
    str,
    # the policies of the pipelines name it many times (tools/roles.py)
    StringConstraints(max_length=32),
    Like(
        r"^/(?!aws-)([A-Za-z0-9_+=,.@-]+/)+$",
        "must be a path between two slashes, such as /training/, that does not begin with /aws-, which is AWS's own",
    ),
]
"""A path of IAM, which is a part of a role's ARN."""


class RolesSettings(Settings):
    """The `iam` section: what all roles of the stack have. Roles of AWS's own services are none of them."""

    permissions_boundary_arn: PolicyArn | None = None
    """A managed policy of the account beyond which no role of the stack has any right. It is set in place."""
    role_path: RolePath | None = None
    """Path of the roles, `/` without it. Set it before the first deployment: roles under another path are others."""

    def preflight(self, path: str, account_id: str) -> Iterator[Mistake]:
        """The mistake where the boundary is in another account."""
        arn = self.permissions_boundary_arn
        if arn is not None and arn.split(":")[4] not in (account_id, "aws"):
            yield mistake(f"{path}.permissionsBoundaryArn", f"must be a policy of the account {account_id}", arn)

    def losses(self, path: str, deployed: Deployed) -> Iterator[Mistake]:
        """The mistake that would take the roles away from what runs under them."""
        before = next((f"/{one}/" for one in deployed.noted(ROLE_PATH)), None)
        if deployed.arns and self.role_path != before:
            yield mistake(
                f"{path}.rolePath",
                (
                    f"must {'be left out' if before is None else f'stay {before}'}: a role under another path is"
                    " another role, so that running jobs and tasks would lose their rights and the EKS cluster would"
                    " be made anew; make another stack, or destroy this one first"
                ),
                self.role_path,
            )

    def note(self, deployed: Deployed) -> dict[str, str]:
        """The tag that tells a later deployment of the path; nothing without one."""
        return {} if self.role_path is None else deployed.tag(f"{ROLE_PATH}{self.role_path.rstrip('/')}")


@dataclass(frozen=True, kw_only=True)
class Account:
    """Where the stack is deployed, according to AWS, and what everything that it makes there has in common."""

    id: str
    """The account's twelve digits."""
    partition: str
    """`aws`, `aws-cn` or `aws-us-gov`: the second part of every ARN."""
    region: str
    """The region of the default provider."""
    roles: RolesSettings = field(default_factory=RolesSettings)
    """What all roles of the stack have."""
    logs: LogsSettings = field(default_factory=LogsSettings)
    """What all log groups of the stack have."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """The provider's default tags; instances that a service starts get them from their launch template."""

    @classmethod
    def ask(cls) -> Self:
        """Ask AWS which account, partition and region the credentials and the provider stand for, and its tags."""
        return cls(
            id=aws.get_caller_identity().account_id,
            partition=aws.get_partition().partition,
            region=aws.get_region().region,
            tags=aws.get_default_tags().tags,
        )

    @property
    def console(self) -> str:
        """Address of the region's console, without a slash at the end."""
        domain = {"aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}.get(self.partition, "aws.amazon.com")
        return f"https://{self.region}.console.{domain}"

    @property
    def instances(self) -> str:
        """What IAM calls EC2; the other services have one name in all partitions (aws/aws-cdk, `region-info`)."""
        return f"ec2.{self.domain}"

    @property
    def domain(self) -> str:
        """What the names of AWS's services end with (boto/botocore, `endpoints.json`, `dnsSuffix`)."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def arn(self, service: str, path: str) -> str:
        """The ARN of a regional resource of this account."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.id}:{path}"

    def managed_policy(self, path: str) -> str:
        """The ARN of an AWS managed policy."""
        return f"arn:{self.partition}:iam::aws:policy/{path}"


def allow(
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    condition: dict[str, Any] | None = None,
) -> Statement:
    """A statement that allows these actions on these resources."""
    statement: Statement = {"Effect": "Allow", "Action": sorted(actions), "Resource": list(resources)}
    return statement if condition is None else statement | {"Condition": condition}


def read_secrets(arns: Iterable[str]) -> list[Statement]:
    """Statements that allow reading the values of these secrets and parameters."""
    # a reference to one key of a secret goes on after the secret's own ARN: `...:secret:name-AbCdEf:key::`
    whole = {":".join(arn.split(":")[:7]) for arn in arns}
    actions = {"secretsmanager": "secretsmanager:GetSecretValue", "ssm": "ssm:GetParameters"}
    return [
        allow([action], matching)
        for service, action in actions.items()
        if (matching := sorted(arn for arn in whole if arn.split(":")[2] == service))
    ]


def decrypt_secrets(secret_arns: Iterable[str], key_arns: Collection[str]) -> list[Statement]:
    """Statements that allow using these keys for secrets and parameters, and for nothing else."""
    # the service's host (KMS developer guide, "kms:ViaService"); no page says how it ends in China
    hosts = [
        f"{service}.{region}.amazonaws.com{end}"
        for service, region in sorted(_places(secret_arns))
        for end in (("", ".cn") if region.startswith("cn-") else ("",))
    ]
    return [allow(["kms:Decrypt"], sorted(key_arns), {"StringEquals": {"kms:ViaService": hosts}})] if key_arns else []


def wrong_keys(secret_arns: Collection[str], key_arns: Iterable[str]) -> Iterator[tuple[bool, str, str, object]]:
    """For each key: whether it can belong to none of these secrets, the setting, the rule and the value got."""
    regions = sorted({region for _, region in _places(secret_arns)})
    for arn in key_arns:
        where = f"in {' or '.join(regions)}, as what is under secrets" if regions else "left out without secrets"
        yield arn.split(":")[3] not in regions, "secretKeyArns", f"must be {where}", arn


def run_agent(account: Account, cluster: pulumi.Input[str]) -> list[Statement]:
    """Statements that the ECS agent of an instance needs to serve a cluster, named or by a pattern of its name.

    They are those that AWS's AmazonEC2ContainerServiceforEC2Role allows for all clusters, except making one.
    """
    clusters = pulumi.Output.concat(account.arn("ecs", "cluster/"), cluster)
    instances = pulumi.Output.concat(account.arn("ecs", "container-instance/"), cluster, "/*")
    return [
        allow(
            [
                "ecs:DeregisterContainerInstance",
                "ecs:RegisterContainerInstance",
                "ecs:SubmitAttachmentStateChanges",
                "ecs:SubmitContainerStateChange",
                "ecs:SubmitTaskStateChange",
            ],
            [clusters],
        ),
        allow(["ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState"], [instances]),
        allow(["ecs:TagResource"], [instances], {"StringEquals": {"ecs:CreateAction": "RegisterContainerInstance"}}),
        # AWS knows no resource for these; the agent reads its own tags, and ends where it is to and may not
        allow(["ec2:DescribeTags", "ecs:DiscoverPollEndpoint"], ["*"]),
    ]


def write_logs(log_group_arn: pulumi.Input[str]) -> Statement:
    """A statement that allows writing to the streams of a log group."""
    return allow(["logs:CreateLogStream", "logs:PutLogEvents"], [pulumi.Output.concat(log_group_arn, ":*")])


def tls_only(action: str, resources: Sequence[pulumi.Input[str]]) -> Statement:
    """A statement of a resource policy that refuses every call without TLS."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": action,
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def merged(statements: Iterable[Statement]) -> list[Statement]:
    """The statements, where several that differ only in their resources become one: so a policy has room for more."""
    found: list[Statement] = []
    for statement in statements:
        rest = {key: value for key, value in statement.items() if key != "Resource"}
        same = next((one for one in found if {**one, "Resource": ...} == {**rest, "Resource": ...}), None)
        if same is None:
            found.append({**rest, "Resource": list(statement["Resource"])})
        else:
            # an Output equals itself alone
            same["Resource"] += [one for one in statement["Resource"] if one not in same["Resource"]]
    return found


def document(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """A policy document with sorted keys, so that an unchanged policy shows no change."""
    return to_json({"Version": "2012-10-17", "Statement": list(statements)})


def _places(arns: Iterable[str]) -> set[tuple[str, str]]:
    """Service and region of what these ARNs name."""
    return {(service, region) for _, _, service, region, *_ in (arn.split(":") for arn in arns)}


class ServiceRole(pulumi.ComponentResource):
    """A role that one AWS service assumes, with exactly these permissions.

    A component, so that `depends_on` waits for its policies too: what uses a role before it may do anything fails, and
    what outlives its role's policies cannot be deleted.
    """

    role: iam.Role
    """The role itself."""
    arn: pulumi.Output[str]
    """ARN of the role."""
    role_name: pulumi.Output[str]
    """Name of the role."""

    def __init__(
        self,
        name: str,
        *,
        account: Account,
        service: str,
        statements: Sequence[Statement] = (),
        managed_policies: Sequence[str] = (),
        source_account: str | None = None,
        service_account: tuple[str, str] | None = None,
        formerly: tuple[str, pulumi.Input[str]] | None = None,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`source_account` keeps other accounts from using the service as a deputy against this role.

        Leave it out for services that set no source, such as EC2 (IAM user guide, "The confused deputy problem").
        `service_account` is the namespace and name of the only Kubernetes service account that EKS Pod Identity may
        assume the role for; it says so in tags of the session (EKS user guide, "Create IAM role with trust policy").
        `formerly` is the name and the URN of the component of `pulumi_eks` that the role was of in 0.1.0.
        """
        super().__init__("distributed-training:index:ServiceRole", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        trust: Statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        if source_account is not None:
            trust["Condition"] = {"StringEquals": {"aws:SourceAccount": source_account}}
        if service_account is not None:
            tags = zip(("kubernetes-namespace", "kubernetes-service-account"), service_account, strict=True)
            trust["Action"] = ["sts:AssumeRole", "sts:TagSession"]
            trust["Condition"] = {"StringEquals": {f"aws:RequestTag/{tag}": value for tag, value in tags}}

        def aliased(end: str) -> pulumi.ResourceOptions:
            before = formerly and [pulumi.Alias(name=f"{formerly[0]}-{end}", parent=formerly[1])]
            return pulumi.ResourceOptions(parent=self, aliases=before)

        role = iam.Role(
            name,
            assume_role_policy=document([trust]),
            path=account.roles.role_path,
            permissions_boundary=account.roles.permissions_boundary_arn,
            opts=aliased("role"),
        )
        if statements:
            iam.RolePolicy(name, role=role.name, policy=document(merged(statements)), opts=child)
        for policy_arn in managed_policies:
            iam.RolePolicyAttachment(
                f"{name}-{policy_arn.rsplit('/', 1)[-1]}",
                role=role.name,
                policy_arn=policy_arn,
                # as pulumi_eks calls it
                opts=aliased(hashlib.sha1(policy_arn.encode(), usedforsecurity=False).hexdigest()[:8]),
            )
        self.role, self.arn, self.role_name = role, role.arn, role.name
        self.register_outputs({"arn": self.arn})


def execution_role(
    name: str,
    *,
    account: Account,
    pull: Sequence[Statement],
    log_group_arn: pulumi.Input[str],
    secret_arns: Collection[str],
    key_arns: Collection[str],
    opts: pulumi.ResourceOptions,
) -> ServiceRole:
    """The role of the agent of ECS and Batch, which pulls a container's image, writes its log and reads its secrets.

    `key_arns`: keys of the customer under which secrets are; AWS's own keys ask for no statement.
    """
    return ServiceRole(
        f"{name}-execution",
        account=account,
        service="ecs-tasks.amazonaws.com",
        source_account=account.id,
        statements=[
            *pull,
            write_logs(log_group_arn),
            *read_secrets(secret_arns),
            *decrypt_secrets(secret_arns, key_arns),
        ],
        opts=opts,
    )
