"""`train job`: against the jobs of the local AWS, and against recorded answers where it runs none."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from client.account import Account
from client.jobs import following
from local.aws import Aws
from tests.client_support import Recorded, Train, TrainWith, error
from tests.conftest import RunStack

SECTIONS: dict[str, Any] = {
    "batch": {
        "single": {"instanceTypes": ["g6.12xlarge"]},
        "fair": {"fairShare": {"teamA": 1.0, "guest*": 2.0}},
        "multi": {"nodes": 2, "instanceTypes": ["p5.48xlarge"], "capacity": ["onDemand"], "efa": True,
                  "maxVcpus": 768},
    },
}  # fmt: skip
ID = "6b1c1d0a-2f0b-4c1c-9d4e-0d7c6f1a2b3c"


@pytest.fixture(scope="module")
def exports(run_sections: RunStack) -> dict[str, Any]:
    return run_sections(SECTIONS, preview=False).exports


@pytest.fixture
def train(train_with: TrainWith, exports: dict[str, Any]) -> Train:
    return train_with(exports, "job")


@pytest.fixture
def runs(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """An AWS that runs containers, and whose answers are not waited for."""
    monkeypatch.setattr(following, "POLL_SECONDS", 0)
    monkeypatch.setattr(following, "LAST_LOGS_SECONDS", 0)

    def is_local(account: Account, service: str) -> bool:
        del account, service
        return False

    monkeypatch.setattr(Account, "is_local", is_local)
    return recorded


def submitted(train: Train, recorded: Recorded, *arguments: str) -> dict[str, Any]:
    """The request of a job that is taken."""
    status, out, err = train("submit", *arguments)
    assert (status, err, len(out)) == (0, [], 1)
    (request,) = recorded.calls("SubmitJob")
    return request


def test_a_job_runs_the_command_it_was_given(
    train: Train, recorded: Recorded, exports: dict[str, Any], aws: Aws
) -> None:
    status, (job_id,), err = train("submit", "single", "--env", "LR=3e-4", "--name", "first", "--", "python", "-V")
    assert (status, err) == (0, [])
    (job,) = aws.client("batch").describe_jobs(jobs=[job_id])["jobs"]
    assert (job["jobName"], job["jobQueue"]) == ("first", exports["batch_job_queue_arns"]["single"])
    assert job["container"]["command"] == ["python", "-V"]
    assert {"name": "LR", "value": "3e-4"} in job["container"]["environment"]
    assert job["tags"] == {"SubmittedBy": exports["train_submitted_by"]}
    (request,) = recorded.calls("SubmitJob")
    assert request["jobDefinition"] == exports["batch_job_definition_arns"]["single"]


def test_without_a_command_a_job_runs_what_the_stack_file_says(train: Train, recorded: Recorded) -> None:
    request = submitted(train, recorded, "single")
    assert "containerOverrides" not in request
    assert request["jobName"].startswith("single-")


def test_every_node_runs_the_command_and_there_are_as_many_as_asked_for(train: Train, recorded: Recorded) -> None:
    request = submitted(train, recorded, "multi", "--nodes", "4", "--env", "A=b=c", "--", "python", "train.py")
    assert request["nodeOverrides"] == {
        "numNodes": 4,
        "nodePropertyOverrides": [
            {
                "targetNodes": "0:",
                "containerOverrides": {
                    "command": ["python", "train.py"],
                    "environment": [{"name": "A", "value": "b=c"}],
                },
            }
        ],
    }
    assert "containerOverrides" not in request


@pytest.mark.parametrize("share", ["teamA", "guest7"])
def test_a_queue_with_fair_share_takes_a_job_of_one_of_its_shares(share: str, train: Train, recorded: Recorded) -> None:
    assert submitted(train, recorded, "fair", "--share", share)["shareIdentifier"] == share


SHARES = "must be one of the shares of 'fair' (guest and letters or digits, teamA)"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["sinlge"], "job queue: must be one of this stack's (fair, multi, single), got 'sinlge'"),
        (["fair"], f"--share: {SHARES}, got nothing"),
        (["fair", "--share", "teamB"], f"--share: {SHARES}, got 'teamB'"),
        (["fair", "--share", "guest-1"], f"--share: {SHARES}, got 'guest-1'"),
        (["single", "--share", "a"], "--share: must be left out, since 'single' has no fair share, got 'a'"),
        (
            ["single", "--nodes", "2"],
            "--nodes: must be left out, since 'single' is for jobs on one node (batch.single.nodes), got 2",
        ),
        (
            ["multi", "--nodes", "5"],
            ("--nodes: must be at most 4, since a node takes 192 vCPUs and batch.multi.maxVcpus is 768, got 5"),
        ),
        (["multi", "--nodes", "1001"], "--nodes: must be from 1 to 1000, got 1001"),
        (
            ["single", "--env", "1=2"],
            "--env: must be NAME=VALUE, with a name of letters, digits and underscores, got '1=2'",
        ),
        (
            ["single", "--env", "AWS_BATCH_X=1"],
            "--env: must not begin with AWS_BATCH, which Batch keeps for itself, got 'AWS_BATCH_X'",
        ),
        (["single", "--env", "A=1", "--env", "A=2"], "--env: must name each variable once, got 'A' twice"),
        (["single", "--", "a", ""], "command[1]: must not be empty, which Batch refuses"),
    ],
)
def test_a_job_that_batch_would_refuse_is_not_submitted(
    arguments: list[str], line: str, train: Train, recorded: Recorded
) -> None:
    assert train("submit", *arguments) == (1, [], [f"error: {line}"])
    assert recorded.calls("SubmitJob") == []


def test_all_mistakes_are_said_at_once(train: Train) -> None:
    status, _, err = train("submit", "single", "--share", "a", "--nodes", "3", "--env", "=", "--name", "-", "--", "")
    assert status == 1
    assert [line.split(":")[1].strip() for line in err] == ["--name", "command[0]", "--env", "--share", "--nodes"]


def test_a_job_that_is_too_large_is_not_submitted(train: Train, recorded: Recorded) -> None:
    status, _, (line,) = train("submit", "single", "--", "x" * 31_000)
    assert status == 1
    assert line.startswith("error: a job: must be at most 30720 bytes as JSON, got 31")
    assert recorded.calls("SubmitJob") == []


def test_jobs_are_listed_with_their_queue_the_newest_first(train: Train) -> None:
    ids = [train("submit", "single", "--name", name)[1][0] for name in ("older", "newer")]
    status, out, _ = train("list", "single", "--json")
    listed = [one for one in json.loads("\n".join(out)) if one["id"] in ids]
    assert status == 0
    assert {one["name"]: (one["queue"], one["state"], one["nodes"]) for one in listed} == {
        "older": ("single", "SUCCEEDED", 1),
        "newer": ("single", "SUCCEEDED", 1),
    }
    created = [one["created"] for one in listed]
    assert created == sorted(created, reverse=True)
    _, out, _ = train("list")
    assert {line.split()[0] for line in out} >= set(ids)
    assert train("list", "nowhere")[0] == 1


def test_a_job_is_shown_with_what_it_runs_and_how_it_ended(train: Train) -> None:
    (job_id,) = train("submit", "single", "--name", "shown", "--", "python", "-V")[1]
    status, out, _ = train("show", job_id, "--json")
    shown = json.loads("\n".join(out))
    assert status == 0
    assert [shown[key] for key in ("id", "name", "queue", "state", "nodes", "command", "submittedBy")] == [
        job_id, "shown", "single", "SUCCEEDED", 1, ["python", "-V"], "train-test"
    ]  # fmt: skip
    _, out, _ = train("show", job_id)
    assert "command      python -V" in out


def test_a_job_of_nobody_or_of_somebody_else_is_refused(train: Train, aws: Aws, exports: dict[str, Any]) -> None:
    (line,) = train("show", "none")[2]
    assert line.startswith("error: job: AWS Batch knows no 'none'")
    batch = aws.client("batch")
    name = "somebody-elses"
    batch.create_job_queue(
        jobQueueName=name,
        priority=1,
        state="ENABLED",
        computeEnvironmentOrder=[
            {"order": 1, "computeEnvironment": exports["batch_compute_environment_arns"]["single"][0]}
        ],
    )
    theirs = batch.submit_job(
        jobName=name, jobQueue=name, jobDefinition=exports["batch_job_definition_arns"]["single"]
    )["jobId"]
    for command in ("cancel", "show", "logs", "cost"):
        status, out, (line,) = train(command, theirs)
        assert (status, out) == (1, [])
        assert line.startswith(
            f"error: job: must be in one of this stack's queues (fair, multi, single), got '{theirs}'"
        )


def job(exports: dict[str, Any], status: str, **more: Any) -> dict[str, Any]:
    """A job on one node, as `DescribeJobs` answers."""
    return {
        "jobId": ID,
        "jobName": "single",
        "jobArn": f"arn:aws:batch:us-west-2:123456789012:job/{ID}",
        "jobQueue": exports["batch_job_queue_arns"]["single"],
        "jobDefinition": exports["batch_job_definition_arns"]["single"],
        "startedAt": 0,
        "status": status,
        "container": {"logConfiguration": logs_to(exports, "single")},
        **more,
    }


def logs_to(exports: dict[str, Any], queue: str) -> dict[str, Any]:
    return {"logDriver": "awslogs", "options": {"awslogs-group": exports["batch_log_groups"][queue]}}


def ran(stream: str, exit_code: int | None = None, reason: str | None = None) -> dict[str, Any]:
    """The container of an attempt."""
    found = {"logStreamName": stream, "exitCode": exit_code, "reason": reason}
    return {key: value for key, value in found.items() if value is not None}


def write(aws: Aws, group: str, stream: str, *lines: str) -> None:
    logs = aws.client("logs")
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    logs.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[{"timestamp": 1_796_000_000_000 + number, "message": line} for number, line in enumerate(lines)],
    )


def test_a_job_that_is_waited_for_says_why_it_waits_what_it_writes_and_how_it_ends(
    train: Train, runs: Recorded, exports: dict[str, Any], aws: Aws
) -> None:
    group = exports["batch_log_groups"]["single"]
    write(aws, group, "single/wait", "step 0", "step 1")
    waits = job(exports, "RUNNABLE")
    ahead = {"jobArn": "arn:aws:batch:us-west-2:123456789012:job/other", "earliestTimeAtPosition": 1}
    own = {"jobArn": waits["jobArn"], "earliestTimeAtPosition": 1}
    container = waits["container"]
    runs.answer("SubmitJob", [{"jobId": ID, "jobName": "single", "jobArn": waits["jobArn"]}])
    runs.answer("GetJobQueueSnapshot", [{"frontOfQueue": {"jobs": [ahead, own]}}, {"frontOfQueue": {"jobs": [own]}}])
    runs.answer(
        "DescribeJobs",
        [
            {"jobs": [one]}
            for one in (
                job(exports, "SUBMITTED"),
                waits,
                job(exports, "RUNNABLE", statusReason="CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - All are full."),
                job(exports, "STARTING"),
                job(exports, "RUNNING", container={**container, **ran("single/wait")}),
                job(exports, "RUNNING", container={**container, **ran("single/wait")}),
                job(
                    exports,
                    "FAILED",
                    statusReason="Essential container in task exited",
                    container={**container, **ran("single/wait", 3)},
                    attempts=[{"container": ran("single/wait", 3)}],
                ),
            )
        ],
    )
    status, out, err = train("submit", "single", "--wait")
    assert status == 3
    assert out == [ID, "step 0", "step 1"]
    assert err == [
        f"{ID} is {text}"
        for text in (
            "SUBMITTED",
            "RUNNABLE, place 2 in the queue",
            (
                "RUNNABLE, place 1 in the queue, waits for an instance,"
                " CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - All are full."
            ),
            "STARTING",
            "RUNNING",
            "FAILED, Essential container in task exited, exit status 3",
        )
    ]


def multi(exports: dict[str, Any], status: str, **more: Any) -> list[dict[str, Any]]:
    """A job on two nodes and its nodes, as `DescribeJobs` answers."""
    parent = job(exports, status, jobQueue=exports["batch_job_queue_arns"]["multi"], container={}, **more)
    container = {"logConfiguration": logs_to(exports, "multi")}
    parent["nodeProperties"] = {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [{"targetNodes": "0:", "container": {"image": "image", **container}}],
    }
    nodes = [
        {
            **job(exports, status),
            "jobId": f"{ID}#{number}",
            "container": {**container, "instanceType": "p5.48xlarge", **ran(f"multi/{number}")},
            "nodeDetails": {"nodeIndex": number, "isMainNode": number == 0},
        }
        for number in (0, 1)
    ]
    return [parent, *nodes]


def by_id(jobs: list[dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda asked: {"jobs": [one for one in jobs if one["jobId"] in asked["jobs"]]}


@pytest.fixture
def two_nodes(runs: Recorded, exports: dict[str, Any], aws: Aws) -> Recorded:
    """A job on two nodes that has ended well."""
    group = exports["batch_log_groups"]["multi"]
    there = aws.client("logs").describe_log_streams(logGroupName=group)["logStreams"]
    for number in (0, 1) if not there else ():
        write(aws, group, f"multi/{number}", f"rank {number}")
    runs.answer("DescribeJobs", by_id(multi(exports, "SUCCEEDED")))
    return runs


@pytest.mark.usefixtures("two_nodes")
def test_each_line_of_several_nodes_begins_with_its_node(train: Train) -> None:
    assert train("logs", ID) == (0, ["node 0 | rank 0", "node 1 | rank 1"], [])
    assert train("logs", ID, "--follow") == (0, ["node 0 | rank 0", "node 1 | rank 1"], [f"{ID} is SUCCEEDED"])


@pytest.mark.usefixtures("two_nodes")
def test_one_node_is_read_alone(train: Train) -> None:
    assert train("logs", ID, "--node", "1") == (0, ["rank 1"], [])
    assert train("logs", ID, "--node", "2") == (1, [], ["error: --node: must be from 0 to 1, got 2"])


@pytest.mark.usefixtures("two_nodes")
def test_logs_and_states_are_documents_for_programs(train: Train) -> None:
    _, out, err = train("logs", ID, "--follow", "--json")
    assert err == []
    assert [json.loads(line) for line in out] == [
        {"job": ID, "state": "SUCCEEDED", "said": "SUCCEEDED"},
        {"node": 0, "time": "2026-11-30T00:53:20Z", "message": "rank 0"},
        {"node": 1, "time": "2026-11-30T00:53:20Z", "message": "rank 1"},
    ]


def test_several_nodes_end_with_what_the_main_one_ended_with(
    train: Train, runs: Recorded, exports: dict[str, Any]
) -> None:
    parent, main, other = multi(exports, "FAILED")
    main["attempts"], other["attempts"] = [{"container": {"exitCode": 7}}], [{"container": {"exitCode": 143}}]
    runs.answer("DescribeJobs", by_id([parent, main, other]))
    runs.answer("GetLogEvents", [{"events": [], "nextForwardToken": "end"}])
    assert train("logs", ID, "--follow") == (7, [], [f"{ID} is FAILED, exit status 7"])
    assert json.loads("\n".join(train("show", ID, "--json")[1]))["exitCode"] == 7


def test_a_stream_without_a_line_is_no_error(train: Train, runs: Recorded, exports: dict[str, Any]) -> None:
    container = {"logConfiguration": logs_to(exports, "single"), **ran("single/not-yet")}
    runs.answer("DescribeJobs", [{"jobs": [job(exports, "RUNNING", container=container)]}])
    assert train("logs", ID) == (0, [], [])


def test_a_job_that_failed_before_its_command_ran_ends_with_1(
    train: Train, runs: Recorded, exports: dict[str, Any]
) -> None:
    reason = "CannotPullContainerError: not found"
    attempts = [{"container": {"reason": reason}}]
    failed = job(exports, "FAILED", statusReason="Task failed to start", container={}, attempts=attempts)
    runs.answer("DescribeJobs", [{"jobs": [failed]}])
    assert train("logs", ID, "--follow") == (1, [], [f"{ID} is FAILED, Task failed to start; {reason}"])


def test_ctrl_c_leaves_the_job_running_and_says_how_to_stop_it(
    train: Train, runs: Recorded, exports: dict[str, Any]
) -> None:
    runs.answer("DescribeJobs", [{"jobs": [job(exports, "RUNNING")]}, KeyboardInterrupt()])
    status, _, err = train("logs", ID, "--follow")
    assert status == 130
    assert err[:1] == [f"{ID} goes on; stop it with: train job cancel {ID}"]
    assert runs.calls("TerminateJob") == []


def test_a_network_that_is_gone_for_a_moment_is_waited_for(
    train: Train, runs: Recorded, exports: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = EndpointConnectionError(endpoint_url="https://batch")
    runs.answer(
        "DescribeJobs", [{"jobs": [job(exports, "RUNNING")]}] * 2 + [gone, gone, {"jobs": [job(exports, "SUCCEEDED")]}]
    )
    status, _, err = train("logs", ID, "--follow")
    assert status == 0
    assert err == [
        f"{ID} is RUNNING",
        'AWS cannot be asked: Could not connect to the endpoint URL: "https://batch"; asking again',
        f"{ID} is SUCCEEDED",
    ]
    monkeypatch.setattr(following, "MOST_FAILURES", 3)
    runs.answer("DescribeJobs", [{"jobs": [job(exports, "RUNNING")]}, gone])
    assert train("logs", ID, "--follow")[0] == 1


def test_a_job_far_back_in_its_queue_is_behind_those_that_aws_names(
    train: Train, runs: Recorded, exports: dict[str, Any]
) -> None:
    front = [{"jobArn": f"arn:aws:batch:us-west-2:123456789012:job/{number}"} for number in range(100)]
    runs.answer("DescribeJobs", [{"jobs": [job(exports, "RUNNABLE")]}] * 2 + [{"jobs": [job(exports, "SUCCEEDED")]}])
    runs.answer("GetJobQueueSnapshot", [{"frontOfQueue": {"jobs": front}}])
    assert train("logs", ID, "--follow")[2][0] == f"{ID} is RUNNABLE, behind the first 100 in the queue"


def test_the_right_to_ask_the_queue_may_be_missing(train: Train, runs: Recorded, exports: dict[str, Any]) -> None:
    runs.answer("DescribeJobs", [{"jobs": [job(exports, "RUNNABLE")]}] * 2 + [{"jobs": [job(exports, "SUCCEEDED")]}])
    runs.answer("GetJobQueueSnapshot", [error("AccessDeniedException", "no")])
    status, _, err = train("logs", ID, "--follow")
    assert status == 0
    assert err[0] == (
        f"{ID} is RUNNABLE, AWS refuses GetJobQueueSnapshot: AccessDeniedException: no;"
        " the permission batch:GetJobQueueSnapshot is missing"
    )


def test_the_local_aws_says_that_it_runs_no_container(train: Train) -> None:
    status, (job_id,), err = train("submit", "single", "--wait")
    assert (status, err) == (
        0,
        [f"{job_id} is SUCCEEDED", "the local AWS runs no container: there is nothing to read"],
    )


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("RUNNABLE", "is cancelled before it started"),
        ("RUNNING", "is stopped: SIGTERM, and SIGKILL 30 seconds later"),
    ],
)
def test_a_job_is_stopped_whether_it_waits_or_runs(
    state: str, said: str, train: Train, recorded: Recorded, exports: dict[str, Any]
) -> None:
    recorded.answer("DescribeJobs", [{"jobs": [job(exports, state)]}])
    recorded.answer("TerminateJob", [{}])
    assert train("cancel", ID) == (0, [f"{ID} {said}"], [])
    assert recorded.calls("TerminateJob") == [{"jobId": ID, "reason": "stopped with train job cancel"}]


def test_a_job_that_has_ended_is_left_alone(train: Train, recorded: Recorded) -> None:
    (job_id,) = train("submit", "single")[1]
    assert train("cancel", job_id) == (0, [f"{job_id} has ended already: SUCCEEDED"], [])
    assert recorded.calls("TerminateJob") == []


HOUR = 3_600_000
NOON = 1_796_000_000_000


def cluster_of(aws: Aws, arn: str) -> str:
    found = aws.client("batch").describe_compute_environments(computeEnvironments=[arn])["computeEnvironments"]
    return found[0]["ecsClusterArn"].rpartition("/")[2]


def attempt(cluster: str, hours: float) -> dict[str, Any]:
    arn = f"arn:aws:ecs:us-west-2:123456789012:container-instance/{cluster}/0123456789abcdef"
    return {"container": {"containerInstanceArn": arn}, "startedAt": NOON, "stoppedAt": NOON + round(hours * HOUR)}


def test_a_job_costs_what_its_attempts_ran_spot_at_most(
    train: Train, runs: Recorded, exports: dict[str, Any], aws: Aws
) -> None:
    spot, on_demand = (cluster_of(aws, arn) for arn in exports["batch_compute_environment_arns"]["single"])
    attempts = [attempt(spot, 0.5), attempt(on_demand, 2), {"container": {"reason": "Host EC2 terminated"}}]
    runs.answer("DescribeJobs", [{"jobs": [job(exports, "SUCCEEDED", attempts=attempts)]}])
    status, out, _ = train("cost", ID, "--json")
    cost = json.loads("\n".join(out))
    assert status == 0
    assert [(one["spot"], one["hours"], one["usd"]) for one in cost["attempts"]] == [
        (True, 0.5, 2.3008),
        (False, 2.0, 9.2032),
    ]
    assert (cost["usd"], cost["atMost"], cost["notes"]) == (11.504, True, ["spot costs less than its list price"])
    _, out, _ = train("cost", ID)
    assert out[-1] == "at most $11.50 (spot costs less than its list price)"


def test_on_demand_is_no_upper_bound_and_every_node_counts(
    train: Train, runs: Recorded, exports: dict[str, Any], aws: Aws
) -> None:
    (cluster,) = (cluster_of(aws, arn) for arn in exports["batch_compute_environment_arns"]["multi"])
    parent, *nodes = multi(exports, "SUCCEEDED")
    jobs = [parent, *({**one, "attempts": [attempt(cluster, 1)]} for one in nodes)]
    runs.answer("DescribeJobs", by_id(jobs))
    _, out, _ = train("cost", ID)
    assert [line.split() for line in out[:-1]] == [
        [str(node), "1", "p5.48xlarge", "2026-11-30T00:53:20Z", "1.0", "55.04"] for node in (0, 1)
    ]
    assert out[-1] == "about $110.08"


def test_a_job_that_runs_is_counted_until_now(
    train: Train, runs: Recorded, exports: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: (NOON + HOUR) / 1000)
    runs.answer("DescribeJobs", [{"jobs": [job(exports, "RUNNING", startedAt=NOON)]}])
    _, out, _ = train("cost", ID)
    assert out[-1] == "at most $4.60 (spot costs less than its list price)"


def test_a_node_without_attempts_counts_from_its_start_to_its_end(
    train: Train, runs: Recorded, exports: dict[str, Any]
) -> None:
    parent, *nodes = multi(exports, "SUCCEEDED")
    for one in nodes:
        one |= {"startedAt": NOON, "stoppedAt": NOON + HOUR}
    runs.answer("DescribeJobs", by_id([parent, *nodes]))
    assert train("cost", ID)[1][-1] == "about $110.08"


def test_an_instance_type_without_a_price_is_said(train: Train, runs: Recorded, exports: dict[str, Any]) -> None:
    parent, *nodes = multi(exports, "SUCCEEDED")
    for one in nodes:
        one["container"]["instanceType"] = "p9.huge"
        one["attempts"] = [attempt("elsewhere", 1)]
    runs.answer("DescribeJobs", by_id([parent, *nodes]))
    _, out, _ = train("cost", ID)
    assert out[-1] == "unknown (no price is known for p9.huge)"


def test_a_job_that_waits_has_cost_nothing(train: Train, runs: Recorded, exports: dict[str, Any]) -> None:
    runs.answer("DescribeJobs", [{"jobs": [job(exports, "RUNNABLE")]}])
    assert train("cost", ID) == (0, ["about $0.00"], [])
