"""Applies a policy pack to what a run registered, as the engine does in a preview."""

import runpy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pulumi_policy
from pulumi_policy import (
    EnforcementLevel,
    PolicyCustomTimeouts,
    PolicyResource,
    PolicyResourceOptions,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import unknown_checking_proxy

from local.run import PROVIDER_PREFIX, Run
from local.stack_files import StackFile

Rule = ResourceValidationPolicy | StackValidationPolicy


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A rule that a resource breaks."""

    policy: str
    """Name of the rule."""
    urn: str
    """The resource."""
    message: str
    """Property, rule and the value that it got."""
    mandatory: bool
    """Whether it stops a deployment."""

    @property
    def line(self) -> str:
        """As one line."""
        return f"policy {self.policy}: {self.urn}: {self.message}"


def rules(pack: Path) -> list[Rule]:
    """The rules of the pack in a folder, run as the engine runs it: by its path, with an import path of its own."""
    found: list[Rule] = []

    def hand_over(_name: str, policies: list[Rule], *_: Any, **__: Any) -> None:
        found.extend(policies)

    before = set(sys.modules)
    with patch.object(pulumi_policy, "PolicyPack", hand_over):
        runpy.run_path(str(pack), run_name="__main__")
    # the names of its modules are unique in its own folder only
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").is_relative_to(pack):
            del sys.modules[name]
    return found


def violations(rules: Sequence[Rule], stack: StackFile, run: Run) -> list[Violation]:
    """Violations of these rules by the resources of a run, and by the provider that the stack file configures."""
    resources = [_default_provider(stack), *_registered(run)]
    return [one for rule in rules for one in broken(rule, resources)]


def broken(rule: Rule, resources: list[PolicyResource]) -> Iterator[Violation]:
    """Violations of one rule by resources."""
    found: list[tuple[str, str]] = []

    def of(resource: PolicyResource) -> ReportViolation:
        return lambda message, _=None: found.append((resource.urn, message))

    if isinstance(rule, StackValidationPolicy):
        rule.validate(StackValidationArgs(resources), lambda message, urn: found.append((urn or "", message)))
    else:
        for one in resources:
            args = ResourceValidationArgs(one.resource_type, one.props, one.urn, one.name, one.opts, one.provider)
            rule.validate(args, of(one))
    mandatory = rule.enforcement_level == EnforcementLevel.MANDATORY
    return (Violation(policy=rule.name, urn=urn, message=text, mandatory=mandatory) for urn, text in found)


def resource(
    type_: str,
    properties: dict[str, object],
    *,
    urn: str,
    protect: bool = False,
    ignore_changes: tuple[str, ...] = (),
) -> PolicyResource:
    """A resource as a rule gets it, still without its dependencies."""
    options = PolicyResourceOptions(
        protect=protect,
        ignore_changes=list(ignore_changes),
        delete_before_replace=None,
        aliases=[],
        custom_timeouts=PolicyCustomTimeouts(0, 0, 0),
        additional_secret_outputs=[],
    )
    # unknown values raise when they are used, as in the engine's own previews
    return PolicyResource(
        resource_type=type_,
        props=unknown_checking_proxy(properties),
        urn=urn,
        name=urn.rsplit("::", 1)[-1],
        opts=options,
        provider=None,
        parent=None,
        dependencies=[],
        property_dependencies={},
    )


def _registered(run: Run) -> list[PolicyResource]:
    known = {
        urn: resource(one.type, dict(one.inputs), urn=urn, protect=one.protect, ignore_changes=one.ignore_changes)
        for urn, one in run.registrations.items()
    }
    for urn, one in run.registrations.items():
        known[urn].property_dependencies = {
            key: [known[of] for of in sorted(made_of) if of in known]
            for key, made_of in one.property_dependencies.items()
        }
    return list(known.values())


def _default_provider(stack: StackFile) -> PolicyResource:
    """The provider that the engine makes from a stack's `aws:` keys, whose values are all text."""
    type_ = f"{PROVIDER_PREFIX}aws"
    return resource(
        type_,
        {key.removeprefix("aws:"): value for key, value in stack.config.items() if key.startswith("aws:")},
        urn=f"urn:pulumi:{stack.stack}::{stack.project}::{type_}::default",
    )
