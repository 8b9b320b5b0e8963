"""AWS IAM: roles, policies and what ties them together."""

from local.aws import Aws
from local.parameters import call, complete
from local.record import ResourceType
from local.run import Created, Resource


class Role(ResourceType, token="aws:iam/role:Role"):
    """A role with the policies that are given inline or by ARN."""

    name = "name"
    needs = (
        "iam:CreateRole iam:DeleteRole iam:GetRole iam:ListAttachedRolePolicies iam:ListInstanceProfilesForRole"
        " iam:ListRolePolicies iam:ListRoleTags iam:TagRole iam:UntagRole iam:UpdateAssumeRolePolicy iam:UpdateRole"
        " iam:UpdateRoleDescription"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        iam = aws.client("iam")
        inputs = complete(aws, new)
        made = call(
            iam,
            "create_role",
            inputs,
            rename={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"},
            leave=("forceDetachPolicies", "inlinePolicies", "managedPolicyArns"),
        )["Role"]
        for arn in inputs.get("managedPolicyArns", []):
            iam.attach_role_policy(RoleName=inputs["name"], PolicyArn=arn)
        for policy in inputs.get("inlinePolicies", []):
            names = {"name": "PolicyName", "policy": "PolicyDocument"}
            call(iam, "put_role_policy", policy, rename=names, roleName=inputs["name"])
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


class RolePolicy(ResourceType, token="aws:iam/rolePolicy:RolePolicy"):
    """A policy inside a role."""

    name = "name"
    needs = "iam:DeleteRolePolicy iam:GetRolePolicy iam:PutRolePolicy"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, tags=False)
        names = {"name": "PolicyName", "policy": "PolicyDocument", "role": "RoleName"}
        call(aws.client("iam"), "put_role_policy", inputs, rename=names)
        return Created(id=f"{inputs['role']}:{inputs['name']}", outputs=inputs)


class RolePolicyAttachment(ResourceType, token="aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
    """A policy attached to a role."""

    needs = "iam:AttachRolePolicy iam:DetachRolePolicy iam:ListAttachedRolePolicies"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = new.inputs
        call(aws.client("iam"), "attach_role_policy", inputs, rename={"role": "RoleName"})
        return Created(id=f"{inputs['role']}/{inputs['policyArn']}")


class InstanceProfile(ResourceType, token="aws:iam/instanceProfile:InstanceProfile"):
    """An instance profile that holds its role."""

    name = "name"
    needs = (
        "iam:AddRoleToInstanceProfile iam:CreateInstanceProfile iam:DeleteInstanceProfile iam:GetInstanceProfile"
        " iam:GetRole iam:PassRole iam:RemoveRoleFromInstanceProfile iam:TagInstanceProfile iam:UntagInstanceProfile"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        iam = aws.client("iam")
        inputs = complete(aws, new)
        names = {"name": "InstanceProfileName"}
        made = call(iam, "create_instance_profile", inputs, rename=names, leave=("role",))["InstanceProfile"]
        if "role" in inputs:
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


def service_linked_role(aws: Aws, service: str) -> str:
    """The ARN of the role that AWS keeps for a service, made on first use as AWS does."""
    iam = aws.client("iam")
    path = f"/aws-service-role/{service}/"
    roles = iam.list_roles(PathPrefix=path)["Roles"]
    role = roles[0] if roles else iam.create_service_linked_role(AWSServiceName=service)["Role"]
    return role["Arn"]
