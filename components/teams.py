"""Teams that share the stack: how much each gets, who is in it, and what it may spend.

What they share is made elsewhere: namespaces and queues on the cluster, shares of job queues, policies, budgets.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field, field_validator

from components.schema import Principal, Settings, each_once, mistake
from stack_file.mistakes import Mistake

TEAM_TAG = "Team"
"""Tag by which costs are a team's."""


class TeamSettings(Settings):
    """One team under `teams`."""

    weight: Annotated[int, Field(ge=1, le=100)] = 1
    """How much it gets of what several teams want at once: with 2 twice as much as a team with 1.

    What the others leave unused it gets besides.
    """
    principal_arns: tuple[Principal, ...] = ()
    """IAM roles and users of its people, who run jobs in the team's namespace of the cluster and administer nothing."""
    monthly_budget_usd: Annotated[float, Field(gt=0)] | None = None
    """Monthly budget in US dollars of what is tagged `Team` with its name. Alerts: as of the account's budget."""

    @field_validator("principal_arns")
    @classmethod
    def _are_different(cls, arns: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(arns)

    def preflight(self, path: str, partition: str) -> Iterator[Mistake]:
        """The mistake of a budget in GovCloud, which has none; see `AlertsSettings`."""
        if self.monthly_budget_usd is not None and partition == "aws-us-gov":
            rule = "must be left out in GovCloud, which has no AWS Budgets: set it in the account that pays"
            yield mistake(f"{path}.monthlyBudgetUsd", rule, self.monthly_budget_usd)


def namespace(team: str) -> str:
    """The team's namespace on the cluster, and the Kubernetes group of its people; no other begins so."""
    return f"team-{team}"


def prefix(team: str) -> str:
    """What the names of the team's objects in the bucket begin with."""
    return f"teams/{team}/"


def shares(teams: Mapping[str, TeamSettings]) -> dict[str, float]:
    """Team -> weight of its share in Batch, where a lower one gets more."""
    return {team: round(1 / one.weight, 4) for team, one in teams.items()}


def groups_of_people(teams: Mapping[str, TeamSettings]) -> dict[str, list[str]]:
    """Principal -> the Kubernetes groups of all the teams that it is in."""
    found = defaultdict[str, list[str]](list)
    for team in sorted(teams):
        for arn in teams[team].principal_arns:
            found[arn].append(namespace(team))
    return found
