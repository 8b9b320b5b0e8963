"""What stands where the providers stand: moto for AWS, AWS-shaped answers for what moto lacks."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from botocore.exceptions import BotoCoreError, ClientError

from local import checks
from local.aws import ANSWER, CREATE, Aws, Create, Created, Resource
from local.engine import RefusedError, Registration
from local.facts import Facts
from local.services import kubernetes

BY_PREFIX: Mapping[str, Create] = {
    "kubernetes:": kubernetes.simulate_any,
    "pulumi:providers:": kubernetes.provider_instance,
}
"""Beginning of a resource type -> how all such types are created."""

Answered = TypeVar("Answered")


class LocalCloud:
    """Creates resources in moto and answers provider functions from it."""

    def __init__(self, aws: Aws, facts: Facts | None = None) -> None:
        self.aws, self.facts = aws, facts
        self.known = checks.Known()

    def begin(self, config: Mapping[str, str]) -> None:
        """Take what a stack file names for something that exists."""
        self.known = checks.Known()
        self.known.give(config)

    def wrong_with(self, registration: Registration) -> list[str]:
        """What AWS would refuse and moto does not."""
        return checks.problems(registration, self.known)

    def made(self, registration: Registration, created: Created | None) -> None:
        """Take a resource for something that later ones may refer to."""
        self.known.add(registration, created)

    def create(self, resource: Resource) -> Created:
        """Create a resource.

        Raises:
            RefusedError: naming the resource, the call and AWS's message, or the type that nothing here knows.

        """
        by_prefix = next((create for prefix, create in BY_PREFIX.items() if resource.type.startswith(prefix)), None)
        create = CREATE.get(resource.type, by_prefix)
        if create is None:
            raise RefusedError(f"{resource.urn}: the type {resource.type} is not known here")
        return self._asked(resource.urn, lambda: create(self.aws, resource))

    def answer(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a provider function.

        Raises:
            RefusedError: naming the function and AWS's message, or that nothing here knows the function.

        """
        if (answer := ANSWER.get(token)) is None:
            raise RefusedError(f"{token}: this provider function is not known here")

        def ask() -> dict[str, Any]:
            return self._asked(token, lambda: answer(self.aws, arguments))

        answered = ask() if self.facts is None else self.facts.answer(token, arguments, ask)
        self.known.give(answered)
        return answered

    def _asked(self, who: str, ask: Callable[[], Answered]) -> Answered:
        try:
            return ask()
        except ClientError as error:
            said = cast("dict[str, Any]", error.response)["Error"]
            raise RefusedError(f"{who}: {error.operation_name}: {said['Code']}: {said['Message']}") from error
        except (BotoCoreError, TypeError, ValueError) as error:
            raise RefusedError(f"{who}: {self.aws.last_call}: {' '.join(str(error).split())}") from error
