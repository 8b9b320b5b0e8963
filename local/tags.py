"""Tags: their limits, which hold for every type, and the operations of the services that keep tags by ARN."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

from local.aws import Aws
from local.parameters import call, retag
from local.properties import Property
from local.record import ResourceType
from local.run import State
from local.wire import UNKNOWN

TAGS_PER_RESOURCE = 50
KEY_CHARACTERS = 128
VALUE_CHARACTERS = 256
"""AWS general reference, "Tag naming limits and requirements"."""


class Tagged(ResourceType):
    """A type whose service keeps tags by ARN."""

    service: ClassVar[str]
    """The service's name in boto3."""

    def tags_of(self, aws: Aws, there: State) -> Any:
        """Its tags, as a mapping or as a list of pairs."""
        found = call(aws.client(self.service), "list_tags_for_resource", {"resourceArn": there.outputs["arn"]})
        return found.get("tags", found.get("Tags"))

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        """Set these tags, and remove the keys in `gone`."""
        retag(aws.client(self.service), {"resourceArn": there.outputs["arn"]}, tags, gone)


def mistakes(given: Property) -> Iterator[str]:
    """Tags that AWS refuses, on a resource and on what the resource starts."""
    for one in given.elements():
        yield from mistakes(one)
    if isinstance(given.value, dict):
        for key in cast("dict[str, Any]", given.value):
            inner = Property(f"{given.path}.{key}".lstrip("."), given.value[key])
            tagged = (key == "tags" or key.endswith("Tags")) and isinstance(inner.value, dict)
            yield from _tags(inner) if tagged else mistakes(inner)


def _tags(tags: Property) -> Iterator[str]:
    if len(tags.value) > TAGS_PER_RESOURCE:
        yield Property(tags.path, len(tags.value)).wrong(f"must have at most {TAGS_PER_RESOURCE} tags")
    for key, value in tags.value.items():
        where = f"{tags.path}.{key}"
        if not 1 <= len(key) <= KEY_CHARACTERS:
            yield Property(where, key).wrong(f"must have a key of 1 to {KEY_CHARACTERS} characters")
        if key.lower().startswith("aws:"):
            yield Property(where, key).wrong("Tag keys starting with 'aws:' are reserved for internal use")
        if isinstance(value, str) and value != UNKNOWN:
            if len(value) > VALUE_CHARACTERS:
                yield Property(where, len(value)).wrong(f"must have a value of at most {VALUE_CHARACTERS} characters")
            for text in (key, value):
                if not re.fullmatch(r"[\w\s.:/=+\-@]*", text):
                    yield Property(where, text).wrong("must be letters, digits, white space and _.:/=+-@")
