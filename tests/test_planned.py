"""What would become of the resources of an earlier run, planned without a CLI."""

from collections.abc import Callable

import pulumi
import pytest
from pulumi_aws import sqs

from local import engine
from local.aws import Aws
from local.edits import Edit
from local.planned import Planner
from local.provider import Provider

Program = Callable[[], object]
Planned = Callable[[Program, Program], Planner]


@pytest.fixture
def planned(aws: Aws) -> Planned:
    """What a program would do to what another has made."""

    def plan(before: Program, after: Program) -> Planner:
        there = engine.run(lambda: void(before()), Provider(aws), preview=False)
        assert there.error is None, there.error
        planner = Planner(Provider(aws), there)
        run = engine.run(lambda: void(after()), Provider(aws), preview=True, planner=planner)
        assert run.error is None, run.error
        return planner

    return plan


def void(_result: object) -> None:
    pass


def edits(planner: Planner) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {one.name: (one.operation, one.changed) for one in planner.edits}


def test_nothing_is_planned_without_an_edit(planned: Planned) -> None:
    def program() -> None:
        queue = sqs.Queue("work")
        sqs.RedriveAllowPolicy(
            "work", queue_url=queue.url, redrive_allow_policy=queue.arn.apply(lambda arn: f'"{arn}"')
        )

    assert edits(planned(program, program)) == {}


def test_what_comes_stays_changes_and_leaves(planned: Planned) -> None:
    def before() -> None:
        sqs.Queue("leaves")
        sqs.Queue("stays", visibility_timeout_seconds=5)
        sqs.Queue("changes", visibility_timeout_seconds=5)

    def after() -> None:
        sqs.Queue("comes")
        sqs.Queue("stays", visibility_timeout_seconds=5)
        sqs.Queue("changes", visibility_timeout_seconds=6)

    assert edits(planned(before, after)) == {
        "comes": ("create", ()),
        "changes": ("update", ("visibilityTimeoutSeconds",)),
        "leaves": ("delete", ()),
    }


def test_what_is_made_anew_is_unknown_to_what_uses_it(planned: Planned) -> None:
    def program(fifo: bool) -> None:
        queue = sqs.Queue("work", fifo_queue=fifo)
        sqs.QueuePolicy("work-policy", queue_url=queue.url, policy=pulumi.Output.json_dumps({"Resource": queue.arn}))

    assert edits(planned(lambda: program(True), lambda: program(False))) == {
        "work": ("replace", ("fifoQueue",)),
        "work-policy": ("replace", ("policy", "queueUrl")),
    }


def test_what_is_changed_in_place_keeps_what_others_use_of_it(planned: Planned) -> None:
    def program(seconds: int) -> None:
        queue = sqs.Queue("work", visibility_timeout_seconds=seconds)
        sqs.QueuePolicy("work-policy", queue_url=queue.url, policy=pulumi.Output.json_dumps({"Resource": queue.arn}))

    assert edits(planned(lambda: program(1), lambda: program(2))) == {"work": ("update", ("visibilityTimeoutSeconds",))}


def test_an_edit_has_the_inputs_of_before_and_after(planned: Planned) -> None:
    planner = planned(
        lambda: sqs.Queue("work", visibility_timeout_seconds=5), lambda: sqs.Queue("work", visibility_timeout_seconds=4)
    )
    assert planner.edits == [
        Edit(
            urn="urn:pulumi:stack::project::aws:sqs/queue:Queue::work",
            type="aws:sqs/queue:Queue",
            name="work",
            operation="update",
            changed=("visibilityTimeoutSeconds",),
            before={"visibilityTimeoutSeconds": 5},
            after={"visibilityTimeoutSeconds": 4},
        )
    ]


def test_what_the_program_ignores_stays_as_it_is(planned: Planned) -> None:
    options = pulumi.ResourceOptions(ignore_changes=["visibilityTimeoutSeconds"])

    def program(seconds: int | None, size: int) -> None:
        sqs.Queue("work", visibility_timeout_seconds=seconds, max_message_size=size, opts=options)

    assert edits(planned(lambda: program(5, 2048), lambda: program(6, 2048))) == {}
    [edit] = planned(lambda: program(None, 2048), lambda: program(6, 4096)).edits
    assert (edit.changed, edit.ignored) == (("maxMessageSize",), ("visibilityTimeoutSeconds",))


def test_a_resource_is_made_anew_where_the_program_wants_it_so(planned: Planned) -> None:
    options = pulumi.ResourceOptions(replace_on_changes=["visibilityTimeoutSeconds"])

    def program(seconds: int) -> None:
        sqs.Queue("work", visibility_timeout_seconds=seconds, opts=options)

    assert edits(planned(lambda: program(1), lambda: program(2))) == {
        "work": ("replace", ("visibilityTimeoutSeconds",))
    }


def test_what_is_protected_is_neither_deleted_nor_made_anew(planned: Planned) -> None:
    protect = pulumi.ResourceOptions(protect=True)

    def before() -> None:
        sqs.Queue("leaves", opts=protect)
        sqs.Queue("turns", fifo_queue=True, opts=protect)
        sqs.Queue("changes", visibility_timeout_seconds=1, opts=protect)

    def after() -> None:
        sqs.Queue("turns", opts=protect)
        sqs.Queue("changes", visibility_timeout_seconds=2, opts=protect)

    planner = planned(before, after)
    assert sorted(urn.rpartition("::")[2] for urn in planner.protected) == ["leaves", "turns"]
