"""Policies as data: statements that components hand to each other, and the roles that hold them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import pulumi
import pulumi_aws as aws
from pulumi_aws import iam

Statement = dict[str, Any]
"""One statement of a policy, under IAM's own key names; values may be Outputs."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """Where the stack is deployed, according to AWS."""

    id: str
    """The account's twelve digits."""
    partition: str
    """`aws`, `aws-cn` or `aws-us-gov`: the second part of every ARN."""
    region: str
    """The region of the default provider."""
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
        return "ec2.amazonaws.com.cn" if self.partition == "aws-cn" else "ec2.amazonaws.com"

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
    """Whether a key under `secretKeyArns` can be none of these secrets', the setting, the rule and the value got."""
    regions = sorted({region for _, region in _places(secret_arns)})
    for arn in key_arns:
        where = f"in {' or '.join(regions)}, as what is under secrets" if regions else "left out without secrets"
        yield arn.split(":")[3] not in regions, "secretKeyArns", f"must be {where}", arn


def start_containers(
    log_group_arn: pulumi.Input[str], secret_arns: Collection[str], key_arns: Collection[str]
) -> list[Statement]:
    """Statements for the agent of ECS and Batch, which writes a container's log and reads its secrets.

    `key_arns`: keys of the customer under which secrets are; AWS's own keys ask for no statement.
    """
    streams = pulumi.Output.concat(log_group_arn, ":*")
    return [
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], [streams]),
        *read_secrets(secret_arns),
        *decrypt_secrets(secret_arns, key_arns),
    ]


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
    """The statements with those as one that differ in nothing but their resources: so a policy has room for more."""
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
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True)


def _places(arns: Iterable[str]) -> set[tuple[str, str]]:
    """Service and region of what these ARNs name."""
    return {(service, region) for _, _, service, region, *_ in (arn.split(":") for arn in arns)}


class ServiceRole(pulumi.ComponentResource):
    """A role that one AWS service assumes, with exactly these permissions.

    A component, so that `depends_on` waits for its policies too: what uses a role before it may do anything fails, and
    what outlives its role's policies cannot be deleted.
    """

    arn: pulumi.Output[str]
    """ARN of the role."""
    role_name: pulumi.Output[str]
    """Name of the role."""

    def __init__(
        self,
        name: str,
        *,
        service: str,
        statements: Sequence[Statement] = (),
        managed_policies: Sequence[str] = (),
        source_account: str | None = None,
        service_account: tuple[str, str] | None = None,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`source_account` keeps other accounts from using the service as a deputy against this role.

        Leave it out for services that set no source, such as EC2 (IAM user guide, "The confused deputy problem").
        `service_account` is the namespace and name of the only Kubernetes service account that EKS Pod Identity may
        assume the role for; it says so in tags of the session (EKS user guide, "Create IAM role with trust policy").
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
        role = iam.Role(name, assume_role_policy=document([trust]), opts=child)
        if statements:
            iam.RolePolicy(name, role=role.name, policy=document(merged(statements)), opts=child)
        for policy_arn in managed_policies:
            iam.RolePolicyAttachment(
                f"{name}-{policy_arn.rsplit('/', 1)[-1]}", role=role.name, policy_arn=policy_arn, opts=child
            )
        self.arn, self.role_name = role.arn, role.name
        self.register_outputs({"arn": self.arn})
