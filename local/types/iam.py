"""AWS IAM: roles, their policies and instance profiles."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from local.aws import Aws
from local.edits import Edit, Effect
from local.parameters import call, complete, only, retag
from local.properties import Property
from local.record import ResourceType
from local.run import Created, Resource, State

ROLE = "aws:iam/role:Role"
MOST_INLINE_CHARACTERS = 10_240
"""Limit of all policies inside one role; white space does not count (IAM user guide, "IAM and AWS STS quotas")."""

MOST_MANAGED_CHARACTERS = 6_144
"""Of a policy of its own, counted alike."""


class Role(ResourceType, token=ROLE):
    """A role."""

    name = "name"
    rename = {"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"}
    needs = (
        "iam:CreateRole iam:DeleteRole iam:GetRole iam:ListAttachedRolePolicies iam:ListInstanceProfilesForRole"
        " iam:DeleteRolePermissionsBoundary iam:ListRolePolicies iam:ListRoleTags iam:PutRolePermissionsBoundary"
        " iam:TagRole iam:UntagRole iam:UpdateAssumeRolePolicy iam:UpdateRole iam:UpdateRoleDescription"
    )

    def work(self, edit: Edit) -> Iterator[Effect]:
        """Another name makes another role; a role is deleted only together with what uses it."""
        if edit.operation == "replace":
            yield Effect(
                work="stopped",
                what="what still runs under the old role loses its permissions",
                first="deploy when nothing runs under it",
            )
        elif edit.operation == "update" and edit.after.get("permissionsBoundary") not in (
            None,
            edit.before.get("permissionsBoundary"),
        ):
            yield Effect(
                work="goes on",
                what="what runs under it has from then on no permission beyond the boundary",
                first="see that the boundary allows what the roles' own policies do",
            )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        made = call(aws.client("iam"), "create_role", inputs, rename=self.rename)["Role"]
        return Created(
            id=inputs["name"],
            outputs=inputs
            | {
                "arn": made["Arn"],
                "createDate": made["CreateDate"].isoformat(),
                "maxSessionDuration": made["MaxSessionDuration"],
                "path": made["Path"],
                "uniqueId": made["RoleId"],
            },
        )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        """What IAM returns for it, with its tags."""
        found = aws.client("iam").get_role(RoleName=there.id)["Role"]
        return found | {
            "AssumeRolePolicyDocument": json.dumps(found["AssumeRolePolicyDocument"]),
            "PermissionsBoundary": found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        }

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set who may assume it, its description and its boundary."""
        iam = aws.client("iam")
        iam.update_assume_role_policy(RoleName=there.id, PolicyDocument=new.inputs["assumeRolePolicy"])
        call(iam, "update_role", only(new.inputs, "description", "maxSessionDuration"), roleName=there.id)
        if boundary := new.inputs.get("permissionsBoundary"):
            iam.put_role_permissions_boundary(RoleName=there.id, PermissionsBoundary=boundary)
        elif "permissionsBoundary" in there.inputs:
            iam.delete_role_permissions_boundary(RoleName=there.id)
        return {}

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        retag(aws.client("iam"), {"roleName": there.id}, tags, gone, what="role")

    def delete(self, aws: Aws, there: State) -> None:
        """Remove it from its instance profiles and delete it; IAM refuses while it has policies."""
        iam = aws.client("iam")
        for profile in iam.list_instance_profiles_for_role(RoleName=there.id)["InstanceProfiles"]:
            iam.remove_role_from_instance_profile(InstanceProfileName=profile["InstanceProfileName"], RoleName=there.id)
        iam.delete_role(RoleName=there.id)


class RolePolicy(ResourceType, token="aws:iam/rolePolicy:RolePolicy"):
    """A policy inside a role."""

    name = "name"
    rename = {"name": "PolicyName", "policy": "PolicyDocument", "role": "RoleName"}
    refers = {"role": ROLE}
    needs = "iam:DeleteRolePolicy iam:GetRolePolicy iam:PutRolePolicy"

    def refused(self, given: Property) -> Iterator[str]:
        """A policy that is too large."""
        for one in given.select("policy"):
            if (size := len(re.sub(r"\s", "", str(one.value)))) > MOST_INLINE_CHARACTERS:
                rule = f"Maximum policy size of {MOST_INLINE_CHARACTERS} bytes exceeded for the role"
                yield Property(one.path, size).wrong(rule)

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, tags=False)
        call(aws.client("iam"), "put_role_policy", inputs, rename=self.rename)
        return Created(id=f"{inputs['role']}:{inputs['name']}", outputs=inputs)

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        found = aws.client("iam").get_role_policy(**_names(there))
        return found | {"PolicyDocument": json.dumps(found["PolicyDocument"])}

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("iam").delete_role_policy(**_names(there))


class Policy(ResourceType, token="aws:iam/policy:Policy"):
    """A policy that may be attached to roles, users and groups."""

    name = "name"
    rename = {"name": "PolicyName", "policy": "PolicyDocument"}
    needs = (
        "iam:CreatePolicy iam:CreatePolicyVersion iam:DeletePolicy iam:DeletePolicyVersion iam:GetPolicy"
        " iam:GetPolicyVersion iam:ListPolicyVersions iam:TagPolicy iam:UntagPolicy"
    )

    def refused(self, given: Property) -> Iterator[str]:
        """A policy that is too large."""
        for one in given.select("policy"):
            if (size := len(re.sub(r"\s", "", str(one.value)))) > MOST_MANAGED_CHARACTERS:
                rule = f"Cannot exceed quota for PolicySize: {MOST_MANAGED_CHARACTERS}"
                yield Property(one.path, size).wrong(rule)

    def create(self, aws: Aws, new: Resource) -> Created:
        """Make it."""
        inputs = complete(aws, new)
        made = call(aws.client("iam"), "create_policy", inputs, rename=self.rename)["Policy"]
        outputs = {"arn": made["Arn"], "attachmentCount": 0, "path": made["Path"], "policyId": made["PolicyId"]}
        return Created(id=made["Arn"], outputs=inputs | outputs)

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        """What IAM says of it, its document and its tags too."""
        iam = aws.client("iam")
        found = iam.get_policy(PolicyArn=there.id)["Policy"]
        version = iam.get_policy_version(PolicyArn=there.id, VersionId=found["DefaultVersionId"])["PolicyVersion"]
        return found | {"PolicyDocument": json.dumps(version["Document"])}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Give it another document; the versions before it go, of which IAM keeps five."""
        iam = aws.client("iam")
        _drop_versions(iam, there.id)
        iam.create_policy_version(PolicyArn=there.id, PolicyDocument=new.inputs["policy"], SetAsDefault=True)
        return {}

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        """Tag it anew."""
        retag(aws.client("iam"), {"policyArn": there.id}, tags, gone, what="policy")

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it with its versions; IAM refuses while somebody has it."""
        iam = aws.client("iam")
        _drop_versions(iam, there.id)
        iam.delete_policy(PolicyArn=there.id)


class RolePolicyAttachment(ResourceType, token="aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
    """A policy attached to a role."""

    rename = {"role": "RoleName"}
    refers = {"role": ROLE}
    needs = "iam:AttachRolePolicy iam:DetachRolePolicy iam:ListAttachedRolePolicies"

    def create(self, aws: Aws, new: Resource) -> Created:
        call(aws.client("iam"), "attach_role_policy", new.inputs, rename=self.rename)
        return Created(id=f"{new.inputs['role']}/{new.inputs['policyArn']}")

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The policy's entry in the role's list."""
        listed = aws.client("iam").list_attached_role_policies(RoleName=there.inputs["role"])["AttachedPolicies"]
        return next((one for one in listed if one["PolicyArn"] == there.inputs["policyArn"]), None)

    def delete(self, aws: Aws, there: State) -> None:
        call(aws.client("iam"), "detach_role_policy", there.inputs, rename=self.rename)


class InstanceProfile(ResourceType, token="aws:iam/instanceProfile:InstanceProfile"):
    """An instance profile that holds its role."""

    name = "name"
    rename = {"name": "InstanceProfileName"}
    refers = {"role": ROLE}
    needs = (
        "iam:AddRoleToInstanceProfile iam:CreateInstanceProfile iam:DeleteInstanceProfile iam:GetInstanceProfile"
        " iam:GetRole iam:PassRole iam:RemoveRoleFromInstanceProfile iam:TagInstanceProfile iam:UntagInstanceProfile"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create the profile, and put its role into it."""
        iam = aws.client("iam")
        inputs = complete(aws, new)
        made = call(iam, "create_instance_profile", inputs, rename=self.rename, leave=("role",))["InstanceProfile"]
        iam.add_role_to_instance_profile(InstanceProfileName=inputs["name"], RoleName=inputs["role"])
        return Created(
            id=inputs["name"],
            outputs=inputs
            | {
                "arn": made["Arn"],
                "createDate": made["CreateDate"].isoformat(),
                "path": made["Path"],
                "uniqueId": made["InstanceProfileId"],
            },
        )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        """What IAM returns for it, with the name of its role."""
        found = aws.client("iam").get_instance_profile(InstanceProfileName=there.id)["InstanceProfile"]
        return found | {"role": "".join(role["RoleName"] for role in found["Roles"])}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Replace its role."""
        _empty(aws, there)
        iam = aws.client("iam")
        iam.add_role_to_instance_profile(InstanceProfileName=there.id, RoleName=new.inputs["role"])
        return {}

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        retag(aws.client("iam"), {"instanceProfileName": there.id}, tags, gone, what="instance_profile")

    def delete(self, aws: Aws, there: State) -> None:
        """Remove its role and delete it."""
        _empty(aws, there)
        aws.client("iam").delete_instance_profile(InstanceProfileName=there.id)


def service_linked_role(aws: Aws, service: str) -> str:
    """The ARN of a service's own role, which is created at the first use, as by AWS."""
    iam = aws.client("iam")
    path = f"/aws-service-role/{service}/"
    roles = iam.list_roles(PathPrefix=path)["Roles"]
    role = roles[0] if roles else iam.create_service_linked_role(AWSServiceName=service)["Role"]
    return role["Arn"]


def _names(there: State) -> dict[str, str]:
    return {"RoleName": there.inputs["role"], "PolicyName": there.outputs["name"]}


def _empty(aws: Aws, there: State) -> None:
    iam = aws.client("iam")
    for role in iam.get_instance_profile(InstanceProfileName=there.id)["InstanceProfile"]["Roles"]:
        iam.remove_role_from_instance_profile(InstanceProfileName=there.id, RoleName=role["RoleName"])


def _drop_versions(iam: Any, arn: str) -> None:
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
