"""The rules that every stack file must keep."""

from collections.abc import Sequence

from pulumi_policy import ResourceValidationPolicy, StackValidationPolicy

from . import encryption, idle, keeping, least_privilege, privacy, tags

RULES: Sequence[ResourceValidationPolicy | StackValidationPolicy] = [
    idle.idle_at_zero,
    idle.scaling_is_left_alone,
    privacy.no_public_address,
    privacy.no_ingress_from_everywhere,
    privacy.kubernetes_api_is_not_for_everybody,
    privacy.buckets_block_public_access,
    privacy.instances_demand_imdsv2,
    encryption.stores_are_encrypted,
    encryption.buckets_are_encrypted,
    encryption.resource_policies_demand_tls,
    encryption.stores_have_a_resource_policy,
    least_privilege.no_wildcard_actions,
    least_privilege.no_wildcard_resources,
    least_privilege.no_public_principals,
    least_privilege.no_broad_managed_policies,
    keeping.kept_is_protected,
    keeping.logs_expire,
    keeping.images_are_immutable_and_scanned,
    tags.everything_is_tagged,
    tags.tags_reach_what_aws_starts,
]
"""Every rule of the pack, in the order of docs/policy.md."""
