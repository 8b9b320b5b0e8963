"""`train smoke` as a command, against the local AWS as it is deployed and as it is broken."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

import pytest

from client import command_line, stack
from client.account import Account
from local.aws import Aws
from tests.conftest import REGION, ROOT, RunStack
from tests.worker_support import Network, WorkerProcess

SECTIONS: dict[str, Any] = {
    "queues": {"tasks": {}, "results": {}, "more": {}, "plain": {"fifo": False}},
    "batch": {
        "single": {"fairShare": {"teamA*": 1.0}},
        "multi": {"nodes": 2, "instanceTypes": ["p5.48xlarge"], "capacity": ["onDemand"], "efa": True},
    },
    "workers": {"prepare": {"queue": "tasks"}},
    "eks": {"gpuNodeGroups": {"gpu": {}, "other": {}}},
}  # fmt: skip


@pytest.fixture(scope="module")
def exports(run_sections: RunStack) -> dict[str, Any]:
    return run_sections(SECTIONS, preview=False).exports


@pytest.fixture(autouse=True)
def _environment(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    # the region is that of the outputs
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


Smoke = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def smoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Smoke:
    """Check these outputs: the exit status, and the lines of standard output and of standard error."""

    def run(outputs: object, *options: str) -> tuple[int, list[str], list[str]]:
        path = tmp_path / "outputs.json"
        path.write_text(outputs if isinstance(outputs, str) else json.dumps(outputs))
        status = command_line.main(["smoke", "--outputs", str(path), *options])
        shown = capsys.readouterr()
        return status, shown.out.splitlines(), shown.err.splitlines()

    return run


def states(lines: Iterable[str]) -> dict[str, str]:
    """What was checked -> what became of it."""
    found = (re.match(r"(passed|failed|warning|not checked) +(.*)", line) for line in lines)
    return {match[2]: match[1] for match in found if match}


def test_what_is_deployed_passes_and_what_the_local_aws_lacks_is_not_checked(
    smoke: Smoke, exports: dict[str, Any]
) -> None:
    status, out, err = smoke(exports)
    assert (status, err) == (0, [])
    found = states(out[:-1])
    assert [line for line, state in found.items() if state == "not checked"] == [
        "artifacts public.ecr.aws: fetches its images through a cache in ECR: the local AWS has no caches",
        "artifacts registry.k8s.io: fetches its images through a cache in ECR: the local AWS has no caches",
        "workers prepare image: has been pushed: the local AWS takes no images",
        "eks Kubernetes API: is ready: the local AWS has no Kubernetes API",
    ]
    assert set(found.values()) == {"passed", "not checked"}
    assert re.fullmatch(rf"{len(found) - 4} passed, 0 failed, 4 not checked, in \d+\.\d s", out[-1])


def test_what_up_keeps_can_be_checked_from_a_file_and_through_a_pipe(small_project: Path, tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    up = start("local", "up", "--keep", "--outputs", str(path), project=small_project)
    environment: dict[str, str] = {}
    while "AWS_DEFAULT_REGION" not in environment:
        line = cast("IO[str]", up.stdout).readline()
        assert line, up.communicate()
        if match := re.fullmatch(r"  export (\w+)=(\S+)\n", line):
            environment[match[1]] = match[2]
    assert path.read_text() == json.dumps(json.loads(path.read_text()), indent=2, sort_keys=True) + "\n"
    # standard input is read where nothing else says which stack
    assert environment.pop("TRAIN_STACK") == "dev"
    from_file = start("client", "smoke", "--outputs", str(path), environment=environment)
    piped = start("client", "smoke", environment=environment)
    for out, err in (from_file.communicate(timeout=60), piped.communicate(path.read_text(), timeout=60)):
        assert err == ""
        assert re.fullmatch(r"16 passed, 0 failed, 0 not checked, in \d+\.\d s", out.splitlines()[-1]), out
    assert (from_file.returncode, piped.returncode) == (0, 0)
    interrupt(up)


def test_a_narrow_terminal_shows_a_table_that_fits(exports: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps(exports))
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 40))
    process = subprocess.Popen(
        [sys.executable, "-m", "client", "smoke", "--outputs", str(path)], cwd=ROOT, stdout=terminal, env=os.environ
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):
        while some := os.read(controller, 65536):
            shown += some
    os.close(controller)
    assert process.wait(60) == 0
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[^\n]*\r(?!\n)", "", shown.decode()).replace("\r", "").splitlines()
    assert max(len(line.rstrip()) for line in lines[:-1]) <= 40
    assert "not checked eks Kubernetes API is ready" in [line.rstrip() for line in lines]
    assert "            the local AWS has no" in [line.rstrip() for line in lines]


def test_a_part_that_is_not_deployed_has_no_line(smoke: Smoke, run_sections: RunStack) -> None:
    status, out, _ = smoke(run_sections({}, preview=False).exports, "--round-trip")
    assert status == 0
    assert {line.split()[0] for line in states(out)} == {"network", "artifacts", "alerts", "people"}


def test_an_output_that_is_not_known_is_not_checked(smoke: Smoke, exports: dict[str, Any]) -> None:
    status, out, _ = smoke(exports | {"notebook_url": "https://example.com"})
    assert status == 0
    assert "not checked outputs notebook_url: is known here: has no check" in out


# what is broken


@pytest.fixture(scope="module")
def broken(run_sections: RunStack, aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[str]]:
    """Status and lines after somebody broke many things, each a different one."""
    exports = run_sections(SECTIONS, preview=False).exports
    sqs, batch, s3, ecs = aws.client("sqs"), aws.client("batch"), aws.client("s3"), aws.client("ecs")
    urls, bucket = exports["queue_urls"], exports["artifacts_bucket"]
    sqs.delete_queue(QueueUrl=urls["more"])
    sqs.set_queue_attributes(QueueUrl=urls["plain"], Attributes={"RedrivePolicy": ""})
    dead_letters = exports["dead_letter_queue_urls"]["tasks"]
    sqs.send_message(QueueUrl=dead_letters, MessageBody="lost", MessageGroupId="a", MessageDeduplicationId="a")
    environments = exports["batch_compute_environment_arns"]
    batch.update_compute_environment(computeEnvironment=environments["single"][0], state="DISABLED")
    batch.update_job_queue(
        jobQueue=exports["batch_job_queue_arns"]["single"],
        computeEnvironmentOrder=[
            {"order": order, "computeEnvironment": arn} for order, arn in enumerate(reversed(environments["single"]))
        ],
    )
    batch.update_job_queue(jobQueue=exports["batch_job_queue_arns"]["multi"], state="DISABLED")
    batch.deregister_job_definition(jobDefinition=exports["batch_job_definition_arns"]["multi"])
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket_encryption(Bucket=bucket)
    aws.client("ecr").delete_repository(repositoryName=exports["image_repository_url"].partition("/")[2])
    subnet = exports["private_subnet_ids"][0]
    aws.client("ec2").modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    newer = ecs.register_task_definition(
        family="prepare", containerDefinitions=[{"name": "worker", "image": "other", "memory": 512}]
    )
    ecs.update_service(
        cluster=exports["ecs_cluster_arns"]["prepare"],
        service=exports["ecs_service_arns"]["prepare"],
        taskDefinition=newer["taskDefinition"]["taskDefinitionArn"],
    )
    aws.client("eks").delete_nodegroup(
        clusterName=exports["eks_cluster_name"], nodegroupName=exports["eks_node_group_arns"]["gpu"].split("/")[2]
    )
    aws.client("sns").delete_topic(TopicArn=exports["alerts_topic_arn"])
    exports["dashboard_url"] += "-gone"
    exports["vpc_id"] = "vpc-0"
    exports["kubeconfig"] = exports["kubeconfig"].replace(exports["eks_cluster_name"], "another")
    path = tmp_path_factory.mktemp("broken") / "outputs.json"
    path.write_text(json.dumps(exports))
    ran = subprocess.run(
        [sys.executable, "-m", "client", "smoke", "--round-trip", "--outputs", str(path)],
        cwd=ROOT,
        env={**os.environ, **aws.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    return ran.returncode, ran.stdout.splitlines()


@pytest.mark.parametrize(
    "line",
    [
        r"failed +network vpc-0: is available: InvalidVpcID.NotFound: it does not exist; `pulumi refresh`.*",
        r"failed +network subnet-\w+: .*: is in vpc-\w+; gives what starts in it a public address; .*",
        r"failed +artifacts .*: lets nobody in .*: BlockPublicAcls, .*, RestrictPublicBuckets is off.*",
        r"failed +artifacts .*: encrypts with a KMS key: encrypts with nothing; .*",
        r"failed +artifacts .*: keeps old versions: versioning is Suspended, so that .*",
        r"failed +artifacts .*: takes images: RepositoryNotFoundException: it does not exist; .*",
        r"failed +queues more: takes messages.*: AWS.SimpleQueueService.NonExistentQueue: it does not exist; .*",
        r"failed +queues plain: takes messages.*: what fails goes to nowhere, not to arn:aws:sqs:.*plain-dlq-\w+; .*",
        r"warning +queues tasks: has a dead-letter queue, in which nothing waits: 1 waiting: find out .*",
        r"failed +batch single single-spot-[\w-]+: .*: is DISABLED and takes no jobs; .*",
        (
            r"failed +batch single job queue: .*: its compute environments are"
            r" \S+single-on-demand-[\w-]+, \S+single-spot-[\w-]+"
        ),
        r"failed +batch multi job queue: .*: is DISABLED and takes no jobs; .*",
        r"failed +batch multi job definition: is active, .*: (is INACTIVE: .*|.* does not exist; .*)",
        r"failed +batch multi security group: is in the stack's VPC: sg-\w+ is in vpc-\w+",
        r"failed +workers prepare service: .*: runs arn:aws:ecs:\S+:task-definition/prepare:\d+: the rollout of .*",
        r"failed +eks kubeconfig: leads to this cluster: asks for a token of another cluster: .*-name another.*",
        r"failed +eks node groups: .*: gpu \(arn:aws:eks:.*\) does not exist; .*",
        r"failed +alerts .*: is a topic .*: NotFound: it does not exist; .*",
        r"failed +alerts distributed-training-test-gone: is a dashboard: ResourceNotFound: it does not exist; .*",
        r"passed +queues tasks: takes messages, and gives those that fail to its dead-letter queue",
        r"passed +batch single single-on-demand-[\w-]+: is a compute environment that takes jobs",
        r"not checked round trip: .*: not tried, because something failed",
        r"\d+ passed, 20 failed, 1 with a warning, 5 not checked, in \d+\.\d s",
    ],
)
def test_what_is_broken_is_a_line_that_says_how(broken: tuple[int, list[str]], line: str) -> None:
    status, out = broken
    assert status == 1
    assert [one for one in out if re.fullmatch(line, one)], "\n".join(out)


def wrong_ones(value: Any) -> Iterator[Any]:
    """The value of an output with one part of it naming something that is not there."""
    match value:
        case dict():
            items = cast("dict[str, Any]", value)
            yield from (items | {key: wrong} for key, one in list(items.items())[:1] for wrong in wrong_ones(one))
        case list():
            yield from ([wrong, *value[1:]] for wrong in wrong_ones(value[0]))
        case str() if value.startswith("{"):
            yield value.replace("https://", "https://not-")
        case str() if value.endswith(".fifo"):
            yield value.replace(".fifo", "0.fifo")
        case _:
            yield f"{value}0"


def test_every_output_is_checked(smoke: Smoke, exports: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # to make the clients takes longer than all that they are asked
    account = Account(REGION)
    monkeypatch.setattr(stack, "Account", {REGION: account}.__getitem__)
    for key, value in exports.items():
        # the local AWS has no caches (test_client_smoke_checks.py), and what a pod is given is nowhere on AWS
        unchecked = key == "image_cache_urls" or key.startswith("eks_pod_")
        for wrong in () if unchecked else wrong_ones(value):
            status, out, err = smoke(exports | {key: wrong})
            assert (status, err) == (1, []), key
            assert "failed" in states(out).values(), key


# what cannot be used


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "outputs: are empty; did `pulumi stack output --json` fail?"),
        ("  \n", "outputs: are empty; did `pulumi stack output --json` fail?"),
        ("{}", "outputs: are an empty object; has this stack been deployed?"),
        ("error: no stack named", "outputs: are not JSON: Expecting value: line 1 column 1 (char 0)"),
        (
            '{"\\ud800": 1}',
            (
                "outputs: are not JSON: 'utf-8' codec can't encode character '\\ud800' in position 2: "
                "surrogates not allowed"
            ),
        ),
        ("[" * 100_000, "outputs: are not JSON: too many brackets in each other"),
        ("[1]", "outputs: must be an object, as `pulumi stack output --json` prints it"),
        ("null", "outputs: must be an object, as `pulumi stack output --json` prints it"),
    ],
)
def test_outputs_that_are_none_are_one_line(smoke: Smoke, content: str, line: str) -> None:
    assert smoke(content) == (1, [], [f"error: {line}"])


def test_every_output_of_a_wrong_form_is_a_line(smoke: Smoke, exports: dict[str, Any]) -> None:
    wrong: dict[str, Any] = {
        "vpc_id": 3,
        "private_subnet_ids": [],
        "queue_urls": {"tasks": "tasks"},
        "eks_cluster_arn": exports["ecs_cluster_arns"]["prepare"],
        "kubeconfig": None,
    }
    status, out, err = smoke(exports | wrong)
    assert (status, out) == (1, [])
    assert [line.split(",")[0] for line in err] == [
        "error: outputs.vpc_id: must be a valid string",
        "error: outputs.private_subnet_ids: must be a list with at least 1 item",
        "error: outputs.queue_urls.tasks: must match pattern '^https?://[^/\\s]+/[0-9]{12}/[A-Za-z0-9_-]+(\\.fifo)?$'",
        "error: outputs.eks_cluster_arn: must match pattern '^arn:aws[a-z-]*:eks:[a-z0-9-]+:[0-9]{12}:\\S+$'",
        "error: outputs.kubeconfig: must be a valid string",
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"queue_arns": ...}, "outputs.queue_arns: is exported together with queue_urls, got null"),
        ({"queue_arns": {}}, "outputs.queue_arns: must have the names of queue_urls, .*, got \\[\\]"),
        (
            {"ecs_cluster_arns": {"prepare": "arn:aws:ecs:eu-west-1:123456789012:cluster/a"}},
            (
                "outputs.ecs_cluster_arns.prepare: must be in us-west-2 and account 123456789012,"
                " like alerts_topic_arn, got '.*'"
            ),
        ),
    ],
)
def test_outputs_that_do_not_belong_together_are_a_line(
    smoke: Smoke, exports: dict[str, Any], change: dict[str, Any], line: str
) -> None:
    changed = {key: value for key, value in (exports | change).items() if value is not ...}
    status, out, err = smoke(changed)
    assert (status, out, len(err)) == (1, [], 1)
    assert re.fullmatch(f"error: {line}", err[0]), err


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["smoke", "--outputs", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}: cannot be read: Is a directory\n"


def test_a_terminal_in_place_of_outputs_is_one_line() -> None:
    controller, terminal = pty.openpty()
    ran = subprocess.run(
        [sys.executable, "-m", "client", "smoke"],
        cwd=ROOT,
        stdin=terminal,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(controller)
    os.close(terminal)
    line = "error: outputs: must come from --outputs FILE or from `pulumi stack output --json |`\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", line)


@pytest.mark.parametrize("seconds", ["0", "-1", "1.5", "86401", "soon", "9" * 5000])
def test_a_wrong_command_line_is_status_2(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["smoke", "--timeout-seconds", seconds]) == 2
    line = f"error: Invalid value for '--timeout-seconds': must be a whole number from 1 to 86400, got '{seconds}'\n"
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, 'Could not connect to the endpoint URL: "http://127.0.0.1:1/"'),
        ({"AWS_ENDPOINT_URL": "nowhere"}, "Invalid endpoint: nowhere"),
        ({"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_an_aws_that_cannot_be_asked_is_one_line(
    smoke: Smoke,
    exports: dict[str, Any],
    environment: dict[str, str],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert smoke(exports) == (1, [], [f"error: AWS cannot be asked: {line}"])


def test_outputs_of_another_account_are_one_line(smoke: Smoke, exports: dict[str, Any]) -> None:
    others = json.loads(json.dumps(exports).replace("123456789012", "210987654321"))
    line = (
        "error: these are outputs of account 210987654321, and the credentials are of 123456789012"
        " (arn:aws:sts::123456789012:user/moto)"
    )
    assert smoke(others) == (1, [], [line])


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("token expired", r"AWS refuses GetQueueAttributes: ExpiredTokenException: token expired"),
        (
            "cut",
            r"AWS cannot be asked: Connection was closed before we received a valid response from endpoint URL: .*",
        ),
    ],
)
def test_an_aws_that_cannot_be_asked_any_further_is_one_line(
    smoke: Smoke, exports: dict[str, Any], aws: Aws, state: Any, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(aws.endpoint_url)
    network.state, network.valid_key = state, "none"
    with network.listen() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", url)
        status, out, err = smoke(exports)
    assert (status, len(err)) == (1, 1)
    assert re.fullmatch(f"error: {line}", err[0]), err
    # what was asked before is shown, and nothing is counted
    assert out[0].startswith("passed      network vpc-")
    assert not [one for one in out if "passed," in one]


# round trips


def test_a_task_goes_to_a_worker_and_back_and_nothing_stays_behind(
    smoke: Smoke, exports: dict[str, Any], aws: Aws, tmp_path: Path
) -> None:
    urls = exports["queue_urls"]
    queues = SimpleNamespace(tasks=urls["tasks"], results=urls["results"], endpoint_url=aws.endpoint_url)
    with WorkerProcess(cast("Any", queues), tmp_path / "healthy", AWS_REGION=REGION) as worker:
        status, out, err = smoke(exports, "--round-trip", "--timeout-seconds", "30")
        worker.wait_for("settled")
    assert (status, err) == (0, []), out
    assert [line for line in out if re.fullmatch(r"passed +queues tasks: a task goes .* back: after \d+ s", line)], out
    assert "passed      queues more: a message goes in and comes out" in out
    assert "passed      queues plain: a message goes in and comes out" in out
    for name in ("single", "multi"):
        assert (
            f"not checked batch {name}: a job of one second succeeds: the local AWS took the job, and runs no container"
            in out
        )
    assert not [line for line in out if line.startswith(("failed", "warning"))]
    for url in (*urls.values(), *exports["dead_letter_queue_urls"].values()):
        names = [f"ApproximateNumberOfMessages{key}" for key in ("", "NotVisible", "Delayed")]
        counts = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        assert set(counts.values()) == {"0"}, url


def test_a_task_that_nobody_does_fails_after_the_time_given(smoke: Smoke, run_sections: RunStack) -> None:
    exports = run_sections(
        {key: SECTIONS[key] for key in ("workers",)} | {"queues": {"tasks": {}, "results": {}}}, preview=False
    ).exports
    status, out, _ = smoke(exports, "--round-trip", "--timeout-seconds", "1")
    assert status == 1
    assert [
        line for line in out if re.match(r"waiting +task: smoke-\w{8} is sent; start a worker: WORKER_QUEUE_URL=", line)
    ]
    assert [
        line for line in out if re.match(r"failed +queues tasks: .*: no result of smoke-\w{8} within 1 s: ", line)
    ], out


def test_ctrl_c_ends_a_round_trip_at_once(run_sections: RunStack, aws: Aws) -> None:
    exports = run_sections({"workers": {"prepare": {}}, "queues": {"tasks": {}, "results": {}}}, preview=False).exports
    process = start("client", "smoke", "--round-trip", environment=aws.environment)
    given = cast("IO[str]", process.stdin)
    given.write(json.dumps(exports))
    given.close()
    process.stdin = None
    while not (line := cast("IO[str]", process.stdout).readline()).startswith("waiting"):
        assert line, process.communicate()
    interrupt(process)


def start(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None, project: Path = ROOT
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=project,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupt(process: "subprocess.Popen[str]") -> None:
    # to the whole group, as a terminal does
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "interrupted\n")
