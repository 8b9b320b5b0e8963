"""The engine under the program: rules that the mocks let pass and the real engine, or good sense, does not."""

from collections.abc import Callable

import pulumi
import pytest
from pulumi_aws import ec2, sqs

from local import engine
from local.aws import Aws
from local.provider import Provider
from local.run import RefusedError

Error = Callable[[Callable[[], None]], str]


@pytest.fixture(params=[True, False], ids=["preview", "up"])
def error(request: pytest.FixtureRequest, aws: Aws) -> Error:
    """The message that a program is refused with."""

    def run(program: Callable[[], None]) -> str:
        result = engine.run(program, Provider(aws), preview=request.param)
        assert isinstance(result.error, RefusedError | RuntimeError), result.error
        return " ".join(str(result.error).split())

    return run


class Fleet(pulumi.ComponentResource):
    def __init__(self, name: str, queue: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("test:index:Fleet", name, {}, opts)
        self.queue = sqs.Queue(queue, opts=pulumi.ResourceOptions(parent=self))


def test_two_resources_with_one_urn(error: Error) -> None:
    def program() -> None:
        Fleet("one", "dlq")
        Fleet("two", "dlq")

    assert error(program) == (
        "urn:pulumi:stack::project::test:index:Fleet$aws:sqs/queue:Queue::dlq: "
        "Duplicate resource URN; try giving it a unique name"
    )


def test_a_resource_inside_apply(error: Error) -> None:
    def program() -> None:
        first = sqs.Queue("first")
        first.url.apply(lambda url: sqs.Queue("second", name=url.split("/")[0]))

    assert error(program) == (
        "aws:sqs/queue:Queue second: is made inside apply, so a preview with unknown values does not show it"
    )


def test_an_export_inside_apply(error: Error) -> None:
    def program() -> None:
        sqs.Queue("first").url.apply(lambda url: pulumi.export("address", url))

    assert error(program) == "export address: is made inside apply, so a preview with unknown values does not show it"


def test_an_output_in_an_f_string(error: Error) -> None:
    def program() -> None:
        queue = sqs.Queue("first")
        sqs.Queue("second", name=f"{queue.name}-b")

    assert error(program) == (
        "aws:sqs/queue:Queue first: its Output name is put into text; use Output.format or Output.concat"
    )


def test_a_made_output_in_an_f_string(error: Error) -> None:
    def program() -> None:
        text = pulumi.Output.concat("a", "b")
        sqs.Queue(f"{text}")

    assert error(program).startswith("test_engine.py, line ")
    assert error(program).endswith(": an Output is put into text; use Output.format or Output.concat")


def test_an_args_object_together_with_keyword_arguments(error: Error) -> None:
    def program() -> None:
        sqs.Queue("first", sqs.QueueArgs(fifo_queue=True), delay_seconds=3)  # pyright: ignore[reportCallIssue, reportArgumentType]

    assert error(program) == (
        "aws:sqs/queue:Queue first: delay_seconds: cannot be given beside an Args object, the SDK would drop it"
    )


def test_a_cycle(error: Error) -> None:
    def program() -> None:
        fleet = Fleet("one", "a")
        sqs.Queue("b", opts=pulumi.ResourceOptions(parent=fleet, depends_on=[fleet]))

    assert "circular dependency involving a resource of type aws:sqs/queue:Queue named b" in error(program)


def test_inputs_that_aws_refuses(error: Error) -> None:
    def program() -> None:
        sqs.Queue("first", visibility_timeout_seconds=50_000)

    assert error(program).endswith(
        "::first: visibilityTimeoutSeconds: expected to be in the range (0 - 43200), got 50000"
    )


def test_a_reference_to_what_is_not_there(aws: Aws) -> None:
    def program() -> None:
        ec2.Subnet("first", vpc_id="vpc-0123456789abcdef0", cidr_block="10.0.0.0/24")

    run = engine.run(program, Provider(aws), preview=False)
    assert str(run.error).endswith(
        "::first: CreateSubnet: InvalidVpcID.NotFound: VpcID vpc-0123456789abcdef0 does not exist."
    )
    assert run.created == {}


def test_apply_may_fail_on_a_value_that_a_preview_does_not_have(aws: Aws) -> None:
    def program() -> None:
        queue = sqs.Queue("first")
        sqs.Queue("second", delay_seconds=queue.url.apply(lambda url: int(url.rsplit(":")[-1][:1])))

    assert engine.run(program, Provider(aws), preview=True).error is None


def test_a_run_leaves_nothing_for_the_next(aws: Aws) -> None:
    def program() -> None:
        sqs.Queue("first")
        pulumi.export("one", 1)

    def nothing() -> None:
        pass

    def broken() -> None:
        raise RuntimeError("broken")

    engine.run(program, Provider(aws), preview=True)
    assert str(engine.run(broken, Provider(aws), preview=True).error) == "broken"
    again = engine.run(nothing, Provider(aws), preview=True)
    assert (again.registrations, again.exports, again.error) == ({}, {}, None)
