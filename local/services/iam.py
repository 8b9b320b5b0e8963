"""AWS IAM: roles, policies and what ties them together."""

from local.aws import Aws, Created, Resource, creates
from local.services._params import call, complete


@creates("aws:iam/role:Role")
def role(aws: Aws, resource: Resource) -> Created:
    """A role with the policies that are given inline or by ARN."""
    iam = aws.client("iam")
    inputs = complete(aws, resource)
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


@creates("aws:iam/rolePolicy:RolePolicy")
def role_policy(aws: Aws, resource: Resource) -> Created:
    """A policy inside a role."""
    inputs = complete(aws, resource, tags=False)
    names = {"name": "PolicyName", "policy": "PolicyDocument", "role": "RoleName"}
    call(aws.client("iam"), "put_role_policy", inputs, rename=names)
    return Created(id=f"{inputs['role']}:{inputs['name']}", outputs=inputs)


@creates("aws:iam/policy:Policy")
def policy(aws: Aws, resource: Resource) -> Created:
    """A policy of its own."""
    inputs = complete(aws, resource)
    made = call(
        aws.client("iam"),
        "create_policy",
        inputs,
        rename={"name": "PolicyName", "policy": "PolicyDocument"},
        leave=("delayAfterPolicyCreationInMs",),
    )["Policy"]
    outputs = {"arn": made["Arn"], "attachmentCount": 0, "path": made["Path"], "policyId": made["PolicyId"]}
    return Created(id=made["Arn"], outputs=inputs | outputs)


@creates("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
def role_policy_attachment(aws: Aws, resource: Resource) -> Created:
    """A policy attached to a role."""
    inputs = resource.inputs
    call(aws.client("iam"), "attach_role_policy", inputs, rename={"role": "RoleName"})
    return Created(id=f"{inputs['role']}/{inputs['policyArn']}")


@creates("aws:iam/instanceProfile:InstanceProfile")
def instance_profile(aws: Aws, resource: Resource) -> Created:
    """An instance profile that holds its role."""
    iam = aws.client("iam")
    inputs = complete(aws, resource)
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


@creates("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
def open_id_connect_provider(aws: Aws, resource: Resource) -> Created:
    """An identity provider whose tokens IAM trusts; IAM knows it by its URL without the scheme."""
    inputs = complete(aws, resource, name=None)
    arn = call(aws.client("iam"), "create_open_id_connect_provider", inputs)["OpenIDConnectProviderArn"]
    return Created(id=arn, outputs=inputs | {"arn": arn, "url": inputs["url"].removeprefix("https://")})


def service_linked_role(aws: Aws, service: str) -> str:
    """The ARN of the role that AWS keeps for a service, made on first use as AWS does."""
    iam = aws.client("iam")
    path = f"/aws-service-role/{service}/"
    roles = iam.list_roles(PathPrefix=path)["Roles"]
    role = roles[0] if roles else iam.create_service_linked_role(AWSServiceName=service)["Role"]
    return role["Arn"]
