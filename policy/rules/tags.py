"""Everything has tags that say whose it is, also the instances and tasks that AWS starts."""

from collections.abc import Iterator

from . import kinds
from .rule import UNKNOWN, Property, Resource, each

REQUIRED = ("Project", "Environment", "ManagedBy")


@each(kinds.PROVIDER)
def everything_is_tagged(resource: Resource) -> Iterator[str]:
    """Every AWS provider tags all that it creates with Project, Environment and ManagedBy (aws:defaultTags)."""
    yield from _missing(resource.properties.parsed("defaultTags").at("tags"))


@each(kinds.LAUNCH_TEMPLATE, kinds.ECS_SERVICE, kinds.BATCH_JOB_DEFINITION)
def tags_reach_what_aws_starts(resource: Resource) -> Iterator[str]:
    """Instances, volumes, tasks and jobs have those tags, too; a provider tags only what it creates itself."""
    one = resource.properties
    match resource.type:
        case kinds.LAUNCH_TEMPLATE:
            specifications = {spec.at("resourceType").value: spec for spec in one.each("tagSpecifications")}
            for kind in ("instance", "volume"):
                if kind in specifications:
                    yield from _missing(specifications[kind].at("tags"))
                elif one.at("tagSpecifications").value is not UNKNOWN and UNKNOWN not in specifications:
                    yield f"tagSpecifications: must hold one for {kind}, got {', '.join(specifications) or 'nothing'}"
        case kinds.ECS_SERVICE:
            yield from one.must_be("propagateTags", "SERVICE", "TASK_DEFINITION")
        case _:
            yield from one.must_be("propagateTags", "true")


def _missing(tags: Property) -> Iterator[str]:
    if isinstance(tags.value, dict | None):
        yield from (tags.at(name).wrong("is required") for name in REQUIRED if tags.at(name).value in (None, ""))
