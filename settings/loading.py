"""How a stack file becomes settings and facts: all of its mistakes are said at once, or none is made."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pulumi
from pulumi.runtime.config import is_config_secret

from components import quotas
from components.fargate_workers import one_fleet
from components.schema import WrongFieldError, as_far_as_right, judged
from components.task_queue import left_out
from settings import checks
from settings.facts import Facts
from settings.relations import RELATIONS
from settings.sections import configured, sections
from settings.stack import StackSettings
from stack_file import configuration
from stack_file.mistakes import NOTHING, Mistake, near
from stack_file.reading import WrongStackFileError

NAMES = {field.alias or name: name for name, field in StackSettings.model_fields.items()}
"""Section -> field."""


def load() -> StackSettings:
    """The stack's configuration, checked.

    Raises:
        pulumi.RunError: naming every mistake; those, too, that AWS finds in what is right.

    """
    raw, origin = sections(), _origin()
    wrong = [*origin.mistakes, *configuration.mistakes(pulumi.get_project(), configured())]
    region_is_right = all(one.path != configuration.REGION for one in wrong)
    settings, found = _judged(raw)
    wrong += found
    if wrong and region_is_right:
        wrong += _asked_all_the_same(settings, raw)
    if wrong:
        raise _refusal(wrong, origin)
    return settings


def ask_aws(settings: StackSettings) -> Facts:
    """The facts that AWS gives about the account and about everything that the stack file names.

    Raises:
        pulumi.RunError: naming every setting that AWS cannot satisfy.

    """
    facts, wrong = _asked(settings, sections())
    if wrong:
        raise _refusal(wrong, _origin())
    for notice in quotas.notices(facts.account, settings.demands(facts.instance_types)):
        pulumi.log.warn(notice)
    for notice in left_out("queues", settings.queues, facts.deployed, protect=settings.protect):
        pulumi.log.warn(notice)
    return facts


def _origin() -> configuration.Origin:
    return configuration.Origin.of(pulumi.get_project(), pulumi.get_stack(), configured())


def _refusal(wrong: Iterable[Mistake], origin: configuration.Origin) -> pulumi.RunError:
    """Every mistake, with its place; what is a secret of the configuration is not shown again."""
    secret = [key.removeprefix(f"{pulumi.get_project()}:") for key in configured() if is_config_secret(key)]
    error = WrongStackFileError(
        replace(one, got=NOTHING) if any(one.is_in(key) for key in secret) else one for one in wrong
    )
    refusal = pulumi.RunError(origin.said(error.mistakes))
    refusal.__cause__ = error
    return refusal


def _judged(raw: Mapping[str, Any]) -> tuple[StackSettings, list[Mistake]]:
    """The sections as far as they are right, and their mistakes, each section's own and those between them."""
    wrong: list[Mistake] = []
    right: dict[str, Any] = {}
    lost: list[str] = []
    for key, value in raw.items():
        if (name := NAMES.get(key)) is None:
            meant = near(key, NAMES)
            rule = "is no section of a stack file" + ("" if meant else f", must be one of {', '.join(sorted(NAMES))}")
            wrong.append(Mistake(path=key, rule=rule, meant=meant, of_key=True))
            continue
        if key == "workers" and (line := one_fleet(key, value)):
            wrong.append(line)
            continue
        section, found = judged(key, StackSettings.model_fields[name].annotation, value)
        wrong += found
        if section is None and found:
            lost.append(name)
        else:
            right[name] = section
    settings = StackSettings.model_construct(**right)
    for name in lost:
        vars(settings).pop(name)
    for relation in RELATIONS:
        wrong += as_far_as_right(relation(settings, raw))
    return settings, wrong


def _asked_all_the_same(settings: StackSettings, raw: Mapping[str, Any]) -> list[Mistake]:
    """What AWS finds in a stack file that is wrong anyway, if it can be asked."""
    try:
        return _asked(settings, raw)[1]
    except Exception as error:
        return [Mistake(path="", rule=f"AWS could not be asked: {' '.join(str(error).split())}")]


def _asked(settings: StackSettings, raw: Mapping[str, Any]) -> tuple[Facts, list[Mistake]]:
    """The facts that AWS gives, and what it cannot satisfy of what is right.

    `raw` are the sections of the stack file, right or wrong.
    """
    facts = Facts.ask(settings)
    wrong = checks.mistakes(settings, raw, facts)
    with suppress(WrongFieldError):
        if not wrong:
            facts = facts.with_other_environments(settings)
            wrong += checks.draining(settings, facts)
    return facts, wrong
