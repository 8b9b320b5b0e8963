"""AWS IAM (API; user guide, "IAM and AWS STS quotas")."""

import re
from collections.abc import Iterator, Mapping

from local.checks import policies
from local.checks.plain import wrong
from local.checks.references import Known
from local.checks.rules import Checks, Inputs, Rule, at_most, conflicting
from local.engine import UNKNOWN

ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"

INLINE_CHARACTERS = 10_240
"""Of all policies inside one role together; white space does not count."""
MANAGED_CHARACTERS = 6144
TRUST_CHARACTERS = 2048
ATTACHED_POLICIES = 10


def _characters(text: object) -> int:
    return len(re.sub(r"\s", "", text)) if isinstance(text, str) and text != UNKNOWN else 0


def _at_most(path: str, largest: int, words: str) -> Rule:
    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        del known
        if (size := _characters(inputs.get(path))) > largest:
            yield wrong(path, words, size)

    return rule


def _inline(inputs: Inputs, known: Known) -> Iterator[str]:
    role = inputs.get("role")
    size = _characters(inputs.get("policy"))
    if isinstance(role, str) and role != UNKNOWN:
        size += sum(
            _characters(one.inputs.get("policy")) for one, _ in known.of(ROLE_POLICY) if one.inputs.get("role") == role
        )
    if size > INLINE_CHARACTERS:
        yield wrong("policy", f"Maximum policy size of {INLINE_CHARACTERS} bytes exceeded for role {role}", size)


def _attached(inputs: Inputs, known: Known) -> Iterator[str]:
    role = inputs.get("role")
    if not isinstance(role, str) or role == UNKNOWN:
        return
    others = [one for one, _ in known.of(ATTACHMENT) if one.inputs.get("role") == role]
    if len(others) >= ATTACHED_POLICIES:
        yield wrong("role", f"Cannot exceed quota for PoliciesPerRole: {ATTACHED_POLICIES}", len(others) + 1)


CHECKS: Mapping[str, Checks] = {
    "aws:iam/role:Role": Checks(
        api=("iam", "CreateRole"),
        rename={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"},
        documents={"assumeRolePolicy": policies.trust, "inlinePolicies[].policy": policies.identity},
        values=(conflicting("name", ("namePrefix",)),),
        limits=(
            _at_most(
                "assumeRolePolicy", TRUST_CHARACTERS, f"Cannot exceed quota for ACLSizePerRole: {TRUST_CHARACTERS}"
            ),
            at_most("managedPolicyArns", ATTACHED_POLICIES, "policies"),
        ),
    ),
    ROLE_POLICY: Checks(
        api=("iam", "PutRolePolicy"),
        rename={"name": "PolicyName", "policy": "PolicyDocument", "role": "RoleName"},
        documents={"policy": policies.identity},
        values=(conflicting("name", ("namePrefix",)),),
        limits=(_inline,),
    ),
    "aws:iam/policy:Policy": Checks(
        api=("iam", "CreatePolicy"),
        rename={"name": "PolicyName", "policy": "PolicyDocument"},
        documents={"policy": policies.identity},
        values=(conflicting("name", ("namePrefix",)),),
        limits=(_at_most("policy", MANAGED_CHARACTERS, f"Cannot exceed quota for PolicySize: {MANAGED_CHARACTERS}"),),
    ),
    ATTACHMENT: Checks(api=("iam", "AttachRolePolicy"), rename={"role": "RoleName"}, limits=(_attached,)),
    "aws:iam/instanceProfile:InstanceProfile": Checks(
        api=("iam", "CreateInstanceProfile"),
        rename={"name": "InstanceProfileName"},
        values=(conflicting("name", ("namePrefix",)),),
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": Checks(api=("iam", "CreateOpenIDConnectProvider")),
}
