"""Each smoke check alone, against what AWS answers and moto never does, in the shapes of botocore."""

import base64
import json
import re
import ssl
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import ANY, Stubber
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from client import outputs
from client.errors import TrainError
from client.smoke import alerts, artifacts, cluster, jobs, kubernetes_api, tasks, workers
from client.smoke.check import Check, Finding, Patience, make
from tests.conftest import REGION

ARN = "arn:aws:{}:us-west-2:123456789012:{}"
OUTPUTS: dict[str, Any] = {
    "vpc_id": "vpc-1",
    "private_subnet_ids": ["subnet-1"],
    "artifacts_bucket": "artifacts",
    "image_repository_url": "123456789012.dkr.ecr.us-west-2.amazonaws.com/artifacts",
    "alerts_topic_arn": ARN.format("sns", "alerts"),
    "dashboard_url": "https://us-west-2.console.aws.amazon.com/cloudwatch/home#dashboards/dashboard/training",
}
IMAGE = f"{OUTPUTS['image_repository_url']}:worker-1"
QUEUES: dict[str, Any] = {
    "queue_urls": {
        "tasks": "https://sqs.us-west-2.amazonaws.com/123456789012/tasks.fifo",
        "results": "https://sqs.us-west-2.amazonaws.com/123456789012/results.fifo",
    },
    "queue_arns": {name: ARN.format("sqs", f"{name}.fifo") for name in ("tasks", "results")},
    "dead_letter_queue_urls": {
        name: f"https://sqs.us-west-2.amazonaws.com/123456789012/{name}-dlq.fifo" for name in ("tasks", "results")
    },
    "dead_letter_queue_arns": {name: ARN.format("sqs", f"{name}-dlq.fifo") for name in ("tasks", "results")},
}
WORKERS: dict[str, Any] = {
    "ecs_cluster_names": {"workers": "workers"},
    "ecs_cluster_arns": {"workers": ARN.format("ecs", "cluster/workers")},
    "ecs_service_names": {"workers": "workers"},
    "ecs_service_arns": {"workers": ARN.format("ecs", "service/workers/workers")},
    "ecs_task_definition_arns": {"workers": ARN.format("ecs", "task-definition/workers:2")},
}
BATCH: dict[str, Any] = {
    "batch_compute_environment_arns": {"single": [ARN.format("batch", "compute-environment/spot")]},
    "batch_job_queue_arns": {"single": ARN.format("batch", "job-queue/single")},
    "batch_job_definition_arns": {"single": ARN.format("batch", "job-definition/single:1")},
}
EKS: dict[str, Any] = {
    "eks_cluster_name": "training",
    "eks_cluster_arn": ARN.format("eks", "cluster/training"),
    "eks_node_group_arns": {"gpu": ARN.format("eks", "nodegroup/training/gpu/1")},
    "kubeconfig": "{}",
}


Call = tuple[str, dict[str, Any], dict[str, Any] | None]
"""An operation, its answer, and its parameters if they matter."""


class Answered:
    """An account whose services give the answers that they are told, in that order, and fail on any other call."""

    def __init__(self, **answers: list[Call]) -> None:
        """Service -> calls; an `Error` in an answer is one."""
        self.session = cast("Any", boto3).Session("a", "b", region_name=REGION)
        self.stubbers: list[Stubber] = []
        self.clients: dict[str, Any] = {}
        for service, given in answers.items():
            client = self.clients[service] = self.session.client(service)
            stubber = Stubber(client)
            for operation, answer, expected in given:
                if "Error" in answer:
                    stubber.add_client_error(operation, **answer["Error"])
                else:
                    stubber.add_response(operation, answer, expected)
            stubber.activate()
            self.stubbers.append(stubber)

    def client(self, service: str) -> Any:
        return self.clients.setdefault(service, None)

    def is_local(self, service: str) -> bool:  # noqa: ARG002
        return False

    def assert_all_asked(self) -> None:
        for stubber in self.stubbers:
            stubber.assert_no_pending_responses()


def outputs_with(*parts: Mapping[str, Any]) -> outputs.Outputs:
    merged = dict(OUTPUTS)
    for part in parts:
        merged |= part
    return outputs.parse(json.dumps(merged).encode())


@pytest.mark.parametrize(
    ("rules", "said"),
    [([{"ecrRepositoryPrefix": "artifacts/public"}], []), ([], ["failed: artifacts/public does not exist"])],
)
def test_a_cache_of_images_is_asked_for_by_its_prefix(rules: list[dict[str, str]], said: list[str]) -> None:
    caches = {"image_cache_urls": {"public.ecr.aws": f"{OUTPUTS['image_repository_url']}/public"}}
    asked = {"registryId": "123456789012", "ecrRepositoryPrefixes": ["artifacts/public"]}
    account = Answered(ecr=[("describe_pull_through_cache_rules", {"pullThroughCacheRules": rules}, asked)])
    found = found_by(artifacts.checks(outputs_with(caches), cast("Any", account)), "public.ecr.aws")
    assert [one.split(";")[0] for one in found] == said
    account.assert_all_asked()


FILE_SYSTEM = "fs-0123456789abcdef0"


@pytest.mark.parametrize(
    ("lifecycle", "named", "said"),
    [
        ("AVAILABLE", FILE_SYSTEM, []),
        ("UPDATING", FILE_SYSTEM, []),
        ("FAILED", FILE_SYSTEM, ["failed: is FAILED"]),
        ("AVAILABLE", "fs-other", [f"failed: its name is fs-other.example, and {FILE_SYSTEM}.example is exported"]),
    ],
)
def test_a_file_system_can_be_mounted(lifecycle: str, named: str, said: list[str]) -> None:
    lustre = {
        "lustre_file_system_id": FILE_SYSTEM,
        "lustre_dns_name": f"{FILE_SYSTEM}.example",
        "lustre_mount_name": "abcdefgh",
    }
    answer = {"FileSystems": [{"Lifecycle": lifecycle, "DNSName": f"{named}.example"}]}
    account = Answered(fsx=[("describe_file_systems", answer, {"FileSystemIds": [FILE_SYSTEM]})])
    assert found_by(artifacts.checks(outputs_with(lustre), cast("Any", account)), f"artifacts {FILE_SYSTEM}") == said
    account.assert_all_asked()


def patience_of(seconds: float, said: list[str] | None = None) -> Patience:
    return Patience(seconds, lambda name, how: None if said is None else said.append(f"{name}: {how}"))


def found_by(checks: Iterable[Check], what: str) -> list[str]:
    """What the check of this says, each as `state: reason`."""
    (check,) = [one for one in checks if what in f"{one.name} {one.what}"]
    return [f"{finding.state}: {finding.reason}" for finding in check.find()]


def a_service(running: int, desired: int, rollout: str = "COMPLETED", **more: Any) -> dict[str, Any]:
    service = {
        "serviceArn": WORKERS["ecs_service_arns"]["workers"],
        "status": "ACTIVE",
        "taskDefinition": WORKERS["ecs_task_definition_arns"]["workers"],
        "runningCount": running,
        "desiredCount": desired,
        "deployments": [{"rolloutState": rollout, "rolloutStateReason": "tasks failed to start"}],
        "events": [{"message": "was unable to place a task"}, {"message": "older"}],
    }
    return {"services": [service | more]}


def service_check(*answers: dict[str, Any], seconds: float, said: list[str] | None = None) -> list[str]:
    account = Answered(ecs=[("describe_services", answer, None) for answer in answers])
    checks = workers.checks(outputs_with(WORKERS), cast("Any", account), patience_of(seconds, said))
    found = found_by(checks, "workers workers service")
    account.assert_all_asked()
    return found


def test_a_rollout_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ROLLOUT_POLL_SECONDS", 0)
    said: list[str] = []
    two = a_service(1, 1, deployments=[{}, {}])
    assert (
        service_check(two, a_service(0, 1, "IN_PROGRESS"), a_service(0, 1), a_service(1, 1), seconds=60, said=said)
        == []
    )
    assert said == [
        "workers workers service: 2 deployments are under way",
        "workers workers service: the rollout is IN_PROGRESS, 0 of 1 tasks run",
        "workers workers service: 0 of 1 tasks run",
    ]


def test_a_service_that_does_not_become_steady_fails_with_its_last_event() -> None:
    assert service_check(a_service(0, 2), seconds=0) == [
        "failed: after 0 s 0 of 2 tasks run; was unable to place a task"
    ]


@pytest.mark.parametrize(
    ("service", "line"),
    [
        (a_service(0, 1, "FAILED"), "failed: a rollout failed: tasks failed to start"),
        (a_service(0, 0, status="DRAINING"), "failed: is DRAINING"),
        (
            {"services": []},
            "failed: workers does not exist; `pulumi refresh` takes note of it, `pulumi up` makes it again",
        ),
    ],
)
def test_what_no_waiting_mends_is_not_waited_for(service: dict[str, Any], line: str) -> None:
    assert service_check(service, seconds=60) == [line]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"imageDetails": []}, []),
        (
            {"Error": {"service_error_code": "ImageNotFoundException"}},
            [f"warning: {IMAGE} is not there yet: no task is done until it is pushed"],
        ),
    ],
)
def test_an_image_that_is_not_pushed_is_a_warning(answer: dict[str, Any], found: list[str]) -> None:
    container = {"name": "worker", "image": IMAGE}
    expected = {"registryId": "123456789012", "repositoryName": "artifacts", "imageIds": [{"imageTag": "worker-1"}]}
    account = Answered(
        ecs=[("describe_task_definition", {"taskDefinition": {"containerDefinitions": [container]}}, None)],
        ecr=[("describe_images", answer, None if "Error" in answer else expected)],
    )
    checks = workers.checks(outputs_with(WORKERS), cast("Any", account), patience_of(0))
    assert found_by(checks, "workers workers image") == found


def test_a_reader_who_has_not_confirmed_is_a_warning() -> None:
    readers = [
        {"Endpoint": "a@example.com", "SubscriptionArn": "PendingConfirmation"},
        {"Endpoint": "b@example.com", "SubscriptionArn": ARN.format("sns", "alerts:1")},
    ]
    account = Answered(sns=[("list_subscriptions_by_topic", {"Subscriptions": readers}, None)])
    assert found_by(alerts.checks(outputs_with(), cast("Any", account)), "alerts alerts") == [
        "warning: a@example.com must follow the link in SNS's mail, and hears nothing until then"
    ]


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("AuthorizationError", "the caller may not use ListSubscriptionsByTopic: no"),
        ("AccessDeniedException", "the caller may not use ListSubscriptionsByTopic: no"),
        ("UnauthorizedOperation", "the caller may not use ListSubscriptionsByTopic: no"),
        ("403", "the caller may not use ListSubscriptionsByTopic: no"),
        ("NotFound", "NotFound: it does not exist; `pulumi refresh` takes note of it, `pulumi up` makes it again"),
        ("InternalError", "ListSubscriptionsByTopic: InternalError: no"),
    ],
)
def test_what_aws_refuses_is_a_failure_and_not_the_end(code: str, line: str) -> None:
    refused = {"Error": {"service_error_code": code, "service_message": "no"}}
    dashboard = ("get_dashboard", {"DashboardName": "training"}, {"DashboardName": "training"})
    account = Answered(sns=[("list_subscriptions_by_topic", refused, None)], cloudwatch=[dashboard])
    results = make([*alerts.checks(outputs_with(), cast("Any", account))], patience_of(0))
    assert [(result.state, result.reason) for result in results] == [("failed", line), ("passed", "")]


def test_an_answer_that_is_not_understood_is_a_failure_and_not_the_end() -> None:
    def nonsense() -> list[Finding]:
        return cast("Any", {})["Vpcs"]

    (result,) = make([Check("network", "is there", nonsense)], patience_of(0))
    assert (result.state, result.reason) == ("failed", "AWS answered what is not understood here: KeyError: 'Vpcs'")


# Batch jobs


def job_check(
    *jobs_seen: dict[str, Any], seconds: float = 60, multinode: bool = False, fair: bool = False
) -> list[str]:
    """What the job's check says; it must submit exactly this, and terminate what has not ended."""
    arns = {key: value["single"] for key, value in BATCH.items()}
    policy_arn = ARN.format("batch", "scheduling-policy/a")
    queue: dict[str, Any] = {
        "jobQueueName": "single",
        "jobQueueArn": arns["batch_job_queue_arns"],
        "state": "ENABLED",
        "status": "VALID",
        "priority": 1,
        "computeEnvironmentOrder": [],
    }
    if fair:
        queue["schedulingPolicyArn"] = policy_arn
    definition = {
        "jobDefinitionName": "single",
        "jobDefinitionArn": arns["batch_job_definition_arns"],
        "revision": 1,
        "type": "multinode" if multinode else "container",
    }
    override = {"command": ["sleep", "1"]}
    request = {
        "jobName": ANY,
        "jobQueue": arns["batch_job_queue_arns"],
        "jobDefinition": arns["batch_job_definition_arns"],
        "timeout": {"attemptDurationSeconds": 300},
        **(
            {"nodeOverrides": {"nodePropertyOverrides": [{"targetNodes": "0:", "containerOverrides": override}]}}
            if multinode
            else {"containerOverrides": override}
        ),
        **({"shareIdentifier": "teamA"} if fair else {}),
    }
    policy = {
        "name": "a",
        "arn": policy_arn,
        "fairsharePolicy": {"shareDistribution": [{"shareIdentifier": "teamA*", "weightFactor": 1.0}]},
    }
    about = {"jobName": "a", "jobQueue": "b", "startedAt": 1, "jobDefinition": "c", "jobId": "job-1"}
    ended = bool(jobs_seen) and jobs_seen[-1]["status"] in ("SUCCEEDED", "FAILED")
    account = Answered(
        batch=[
            ("describe_job_queues", {"jobQueues": [queue]}, None),
            ("describe_job_definitions", {"jobDefinitions": [definition]}, None),
            *(
                [("describe_scheduling_policies", {"schedulingPolicies": [policy]}, {"arns": [policy_arn]})]
                if fair
                else []
            ),
            ("submit_job", {"jobName": "a", "jobId": "job-1"}, request),
            *(("describe_jobs", {"jobs": [about | job]}, {"jobs": ["job-1"]}) for job in jobs_seen),
            *([] if ended else [("terminate_job", {}, {"jobId": "job-1", "reason": ANY})]),
        ]
    )
    found = found_by(jobs.checks(outputs_with(BATCH), cast("Any", account), patience_of(seconds)), "batch single")
    account.assert_all_asked()
    return found


@pytest.mark.parametrize("multinode", [False, True])
@pytest.mark.parametrize("fair", [False, True])
def test_a_job_of_one_second_succeeds(multinode: bool, fair: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "JOB_POLL_SECONDS", 0)
    seen = [{"status": status} for status in ("RUNNABLE", "STARTING", "SUCCEEDED")]
    assert job_check(*seen, multinode=multinode, fair=fair) == ["passed: in 0 s"]


def test_a_job_that_fails_says_why() -> None:
    failed_job = {"status": "FAILED", "statusReason": "Essential container exited", "container": {"reason": "no image"}}
    assert job_check(failed_job) == ["failed: job-1 failed: Essential container exited, no image"]


def test_a_job_that_takes_too_long_is_terminated() -> None:
    (found,) = job_check({"status": "RUNNABLE", "statusReason": "MISCONFIGURATION"}, seconds=0)
    assert found == (
        "failed: job-1 was still RUNNABLE after 0 s and was terminated: MISCONFIGURATION;"
        " a job that stays RUNNABLE waits for capacity, or for a quota of vCPUs"
    )


def test_a_job_is_terminated_when_something_else_ends_the_check() -> None:
    ended: list[str] = []
    turns: list[None] = []
    patience, begun = patience_of(60), threading.Event()

    def job() -> Iterator[Finding]:
        begun.set()
        try:
            turns.extend(patience.tries(60))
        finally:
            ended.append("terminated")
        yield from ()

    def no_credentials() -> Iterator[Finding]:
        begun.wait(10)
        yield from ()
        raise NoCredentialsError

    with pytest.raises(TrainError, match="AWS cannot be asked: Unable to locate credentials"):
        list(make([Check("a", "b", no_credentials), Check("c", "d", job)], patience))
    assert ended == ["terminated"]
    # a second one would come when the time is up
    assert len(turns) < 2


# tasks among others' messages


def task_check(*calls: Call, health: bool = True, seconds: float = 60) -> list[str]:
    urls = QUEUES["queue_urls"]
    environment = {"WORKER_QUEUE_URL": urls["tasks"], "WORKER_RESULTS_QUEUE_URL": urls["results"]}
    worker: dict[str, Any] = {
        "name": "worker",
        "image": "repository:worker-1",
        "environment": [{"name": name, "value": value} for name, value in environment.items()],
    } | ({"healthCheck": {"command": ["CMD", "python", "-m", "worker", "--healthy"]}} if health else {})
    account = Answered(
        ecs=[("describe_task_definition", {"taskDefinition": {"containerDefinitions": [worker]}}, None)],
        sqs=list(calls),
    )
    found = found_by(
        tasks.checks(outputs_with(QUEUES, WORKERS), cast("Any", account), patience_of(seconds)), "queues tasks"
    )
    account.assert_all_asked()
    return found


def results_queue(held: int = 0, receives: int = 5) -> Call:
    return (
        "get_queue_attributes",
        {
            "Attributes": {
                "ApproximateNumberOfMessages": str(held),
                "ApproximateNumberOfMessagesNotVisible": "0",
                "ApproximateNumberOfMessagesDelayed": "0",
                "RedrivePolicy": json.dumps({"maxReceiveCount": receives}),
            }
        },
        None,
    )


def a_result(id_: str, **body: Any) -> dict[str, Any]:
    return {"MessageId": id_, "ReceiptHandle": f"handle of {id_}", "Body": json.dumps({"id": id_} | body)}


SENT: Call = (
    "send_message",
    {},
    {
        "QueueUrl": QUEUES["queue_urls"]["tasks"],
        "MessageBody": '{"id": "smoke-00000000", "command": ["true"], "timeoutSeconds": 60}',
        "MessageGroupId": "smoke-00000000",
        "MessageDeduplicationId": "smoke-00000000",
    },
)


def put_back(id_: str) -> Call:
    url = QUEUES["queue_urls"]["results"]
    return (
        "change_message_visibility",
        {},
        {"QueueUrl": url, "ReceiptHandle": f"handle of {id_}", "VisibilityTimeout": 0},
    )


def received(*messages: dict[str, Any]) -> Call:
    return ("receive_message", {"Messages": list(messages)}, None)


DELETED: Call = (
    "delete_message",
    {},
    {"QueueUrl": QUEUES["queue_urls"]["results"], "ReceiptHandle": "handle of smoke-00000000"},
)


@pytest.fixture
def _same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "uuid4", lambda: SimpleNamespace(hex="0" * 32))


@pytest.mark.usefixtures("_same_id")
def test_others_results_are_put_back_at_once() -> None:
    mine = a_result("smoke-00000000", status="succeeded")
    no_result = {"MessageId": "x", "ReceiptHandle": "handle of x", "Body": "no JSON"}
    assert task_check(
        results_queue(), SENT, received(a_result("b")), put_back("b"), received(mine, no_result), DELETED, put_back("x")
    ) == ["passed: after 0 s"]


@pytest.mark.usefixtures("_same_id")
def test_others_results_that_nobody_fetches_are_looked_at_no_third_time() -> None:
    again = [received(a_result("b")), put_back("b")] * 2
    (found,) = task_check(results_queue(), SENT, *again)
    assert found.startswith("not checked: others' results come that nobody fetches")


def test_results_that_wait_already_are_left_alone() -> None:
    (found,) = task_check(results_queue(held=3))
    assert found.startswith("not checked: 3 results of others wait")


def test_results_that_may_be_received_twice_only_are_left_alone() -> None:
    (found,) = task_check(results_queue(receives=2))
    assert found.startswith("not checked: results are received fewer than 3 times")


@pytest.mark.usefixtures("_same_id")
def test_a_task_that_fails_says_why() -> None:
    mine = a_result("smoke-00000000", status="failed", reason="cannot start")
    assert task_check(results_queue(), SENT, received(mine), DELETED) == [
        "failed: smoke-00000000 failed after 0 s: cannot start"
    ]


def test_workers_of_another_image_are_sent_nothing() -> None:
    assert task_check(health=False) == [
        "not checked: workers run repository:worker-1, and what its tasks are is not known here"
    ]


def test_a_queue_that_fleets_share_gets_one_task() -> None:
    urls = QUEUES["queue_urls"]
    worker = {"image": "own:1", "environment": [{"name": "WORKER_QUEUE_URL", "value": urls["tasks"]}]}
    found = ("describe_task_definition", {"taskDefinition": {"containerDefinitions": [worker]}}, None)
    fleets = {key: dict.fromkeys(("small", "large"), one["workers"]) for key, one in WORKERS.items()}
    account = Answered(ecs=[found, found])
    checks = [*tasks.checks(outputs_with(QUEUES, fleets), cast("Any", account), patience_of(0))]
    assert [one.name for one in checks] == ["queues tasks", *(f"queues {one}" for one in urls if one != "tasks")]
    assert [one.what for one in checks].count("a task goes to a worker, and its result comes back") == 1


# the Kubernetes API


def test_the_token_is_a_signed_question_who_is_asking() -> None:
    token = kubernetes_api.signer(cast("Any", Answered()), "training")()
    prefix, _, encoded = token.partition(".")
    url = urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    query = parse_qs(url.query)
    assert (prefix, url.hostname, query["Action"]) == (
        "k8s-aws-v1",
        "sts.us-west-2.amazonaws.com",
        ["GetCallerIdentity"],
    )
    assert (query["X-Amz-SignedHeaders"], query["X-Amz-Expires"]) == (["host;x-k8s-aws-id"], ["60"])
    assert not encoded.endswith("=")


class Authority:
    """A certificate authority as EKS makes one for a cluster: it names nothing but itself."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
        self.certificate = (
            self._certificate(self.name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def data(self) -> str:
        """As `describe_cluster` gives it."""
        return base64.b64encode(self.certificate.public_bytes(serialization.Encoding.PEM)).decode()

    def server(self, folder: Path) -> ssl.SSLContext:
        """The TLS of a server on this machine, with a certificate of this authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")]), key)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        path = folder / "server.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self.name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=1),
            not_valid_after=now + timedelta(days=1),
        )


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@contextmanager
def api(authority: Authority, folder: Path, status: int, said: str) -> Generator[tuple[str, list[tuple[str, str]]]]:
    """A Kubernetes API that answers this; its endpoint, and path and token of what it was asked."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(said.encode())

        def do_POST(self) -> None:
            self.path += f" {self.rfile.read(int(self.headers['Content-Length'])).decode()}"
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002
            return

    class Server(HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  it was not trusted
            return

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = authority.server(folder).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def a_cluster(endpoint: str, data: str = "", **more: Any) -> dict[str, Any]:
    described = {
        "name": "training",
        "arn": EKS["eks_cluster_arn"],
        "status": "ACTIVE",
        "endpoint": endpoint,
        "certificateAuthority": {"data": data},
        "resourcesVpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["198.51.100.7/32"]},
    }
    return {"cluster": described | more}


def eks_check(what: str, *answers: Call, **outputs: Any) -> list[str]:
    account = Answered(eks=list(answers))
    found = found_by(cluster.checks(outputs_with(EKS, outputs), cast("Any", account)), what)
    account.assert_all_asked()
    return found


def api_check(described: dict[str, Any]) -> list[str]:
    return eks_check("eks Kubernetes API", ("describe_cluster", described, {"name": "training"}))


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (200, []),
        (500, ["failed: answers 500: etcd failed"]),
        (401, ["warning: answers 401 to this caller, who needs a line in eks.adminPrincipalArns"]),
    ],
)
def test_the_api_is_asked_whether_it_is_ready(
    status: int, found: list[str], authority: Authority, tmp_path: Path
) -> None:
    with api(authority, tmp_path, status, "etcd\nfailed") as (endpoint, asked):
        assert api_check(a_cluster(endpoint, authority.data)) == found
    ((path, token),) = asked
    assert path == "/readyz"
    assert token.startswith("Bearer k8s-aws-v1.")


def test_what_is_made_goes_to_the_api_as_json(authority: Authority, tmp_path: Path) -> None:
    with api(authority, tmp_path, 201, "made\n") as (endpoint, asked):
        answer = kubernetes_api.call(
            endpoint, "/jobs", authority=authority.data, token="a", method="POST", body={"kind": "Job"}
        )
    assert (answer, asked) == ((201, "made\n"), [('/jobs {"kind": "Job"}', "Bearer a")])


def test_an_api_of_another_authority_is_told_nothing(authority: Authority, tmp_path: Path) -> None:
    with api(authority, tmp_path, 200, "ok") as (endpoint, asked):
        (found,) = api_check(a_cluster(endpoint, Authority().data))
    assert found.startswith("failed: does not prove to be this cluster's: ")
    assert asked == []


@pytest.mark.parametrize("data", ["not base64", base64.b64encode(b"no certificate").decode()])
def test_an_authority_that_is_none_is_told_nothing(data: str) -> None:
    (found,) = api_check(a_cluster("https://localhost:1", data))
    assert found.startswith(
        "failed: does not prove to be this cluster's: the cluster's certificate authority is no cert"
    )


def test_an_api_that_does_not_answer_fails_and_a_private_one_is_not_checked(authority: Authority) -> None:
    (found,) = api_check(a_cluster("https://localhost:1", authority.data))
    assert re.fullmatch(r"failed: cannot be reached from here: .*; it takes calls from 198.51.100.7/32 \(.*\)", found)
    private = {"endpointPublicAccess": False}
    (found,) = api_check(a_cluster("https://localhost:1", authority.data, resourcesVpcConfig=private))
    assert re.fullmatch(r"not checked: cannot be reached from here \(.*\): its endpoint is private; .*", found)


def test_a_cluster_with_an_issue_fails() -> None:
    health = {"issues": [{"code": "Ec2SubnetNotFound", "message": "a subnet is gone"}]}
    described = a_cluster("https://localhost:1", status="UPDATING", health=health)
    assert eks_check("eks cluster", ("describe_cluster", described, None)) == [
        "failed: it is UPDATING",
        "failed: it has Ec2SubnetNotFound: a subnet is gone",
    ]


def test_every_node_group_of_the_cluster_is_looked_at() -> None:
    def group(name: str, **more: Any) -> Call:
        arn = ARN.format("eks", f"nodegroup/training/{name}/1")
        described: dict[str, Any] = {
            "nodegroupName": name,
            "nodegroupArn": arn,
            "status": "ACTIVE",
            "health": {"issues": []},
        }
        return "describe_nodegroup", {"nodegroup": described | more}, {"clusterName": "training", "nodegroupName": name}

    issue = {"code": "AsgInstanceLaunchFailures", "message": "no capacity"}
    assert eks_check(
        "eks node groups",
        ("list_nodegroups", {"nodegroups": ["gpu"], "nextToken": "more"}, None),
        group("gpu", status="DEGRADED", health={"issues": [issue]}),
        ("list_nodegroups", {"nodegroups": ["system"]}, None),
        group("system", status="CREATE_FAILED"),
    ) == [
        "failed: gpu is DEGRADED",
        "failed: gpu has AsgInstanceLaunchFailures: no capacity",
        "failed: system is CREATE_FAILED",
    ]


@pytest.mark.parametrize("kubeconfig", ["[secret]", "[]", "{}", '{"contexts": 3}'])
def test_a_kubeconfig_that_is_none_fails(kubeconfig: str) -> None:
    (found,) = eks_check(
        "eks kubeconfig", ("describe_cluster", a_cluster("https://localhost:1"), None), kubeconfig=kubeconfig
    )
    assert found.startswith("failed: is no JSON kubeconfig with a command for its token: ")
