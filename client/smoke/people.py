"""The policies of the people who use the stack."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from client.account import Account
from client.outputs import Outputs
from client.smoke.check import Check, Finding, failed


def checks(outputs: Outputs, account: Account) -> Iterator[Check]:
    """Each policy, and what people tag their jobs with by the first."""
    # a stack of before has none
    if not outputs.train_policy_arns:
        return
    iam = account.client("iam")
    for arn in outputs.train_policy_arns:
        yield Check(f"people {arn.rpartition('/')[2]}", "is a policy", partial(_policy, iam, arn))
    if outputs.batch_job_queue_arns:
        yield Check(
            "people train_submitted_by",
            "is what the policy lets people tag their jobs with",
            partial(_submitter, iam, outputs.train_policy_arns[0], outputs.train_submitted_by),
        )


def _policy(iam: Any, arn: str) -> Iterator[Finding]:
    iam.get_policy(PolicyArn=arn)
    yield from ()


def _submitter(iam: Any, arn: str, submitter: str) -> Iterator[Finding]:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    if json.dumps(submitter) not in json.dumps(document):
        yield failed(f"{arn} does not name {submitter}; `pulumi refresh` and `pulumi up` set it again")
