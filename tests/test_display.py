"""What a run looks like on terminals, and as a document for machines."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local import command_line
from local.aws import Aws
from local.display import Display
from local.provider import Provider
from tests.conftest import ROOT, RunStack
from tests.support import WHOLE

Document = Callable[..., tuple[dict[str, Any], list[str]]]


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Document:
    """The document that a command writes for a stack file, and its lines on standard error."""
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(command_line, "PROJECT", tmp_path)

    def run(sections: str, *arguments: str, status: int = 0) -> tuple[dict[str, Any], list[str]]:
        (tmp_path / "Pulumi.test.yaml").write_text(f"config:\n  aws:region: us-west-2\n{sections}")
        assert command_line.main([*arguments, "--stack", "test", "--json"]) == status
        shown = capfd.readouterr()
        return json.loads(shown.out), shown.err.splitlines()

    return run


@pytest.mark.parametrize("width", [40, 80])
def test_a_terminal_has_a_row_for_each_part_that_fits_it_with_its_cost(
    width: int, run_sections: RunStack, aws: Aws
) -> None:
    run = run_sections(WHOLE)
    costs = Provider(aws).costs(run)
    display, screen = Display(preview=True), io.StringIO()
    display.console, display.on_terminal = Console(file=screen, width=width), True
    for one in run.registrations.values():
        display.note(one, None)
    display.parts(run, costs)
    rows = [
        line
        for line in screen.getvalue().splitlines()
        if "$" in line and not line.startswith(("idle about", "an hour of"))
    ]
    names = [run.registrations[top].name for top, members in run.parts().items() if any(one.custom for one in members)]
    assert [row.split()[0] for row in rows] == [*names, "all"]
    assert max(len(row.rstrip()) for row in rows) <= width
    assert rows[-1].split()[-3:] == [
        f"${costs.whole.idle_usd_per_month:,.2f}",
        f"${costs.whole.idle_usd_per_hour:,.2f}",
        f"${costs.whole.busiest_usd_per_hour:,.2f}",
    ]
    assert rows[-1].split()[1] == str(len(display.states))


def test_the_parts_cost_what_the_stack_costs(run_sections: RunStack, aws: Aws) -> None:
    costs = Provider(aws).costs(run_sections(WHOLE))
    idle = sum(one.idle_usd_per_month for one in costs.parts.values())
    busiest = sum(one.busiest_usd_per_hour for one in costs.parts.values())
    assert (idle, busiest) == pytest.approx((costs.whole.idle_usd_per_month, costs.whole.busiest_usd_per_hour))


def test_preview_and_up_list_the_same_resources_those_of_a_remote_component_too(document: Document) -> None:
    sections = "  distributed-training:eks: {}\n  distributed-training:queues: {tasks: {}}\n"
    (before, _), (after, _) = document(sections, "preview"), document(sections, "up")
    urns = [{one["urn"] for one in made["resources"]} for made in (before, after)]
    assert urns[0] == urns[1]
    assert any("eks:index:Cluster$" in urn for urn in urns[0])
    counts = [{one["name"]: one["resources"] for one in made["parts"]} for made in (before, after)]
    assert counts[0] == counts[1]
    assert sum(counts[0].values()) == len(urns[0])
    assert before["cost"] == after["cost"]
    assert before["cost"]["instance_usd_per_hour"].keys() >= {"m7i.large", "g6.12xlarge"}
    assert sum(one["idle_usd_per_hour"] for one in before["parts"]) == pytest.approx(
        before["cost"]["idle_usd_per_hour"], abs=0.001
    )
    assert {one["state"] for one in before["resources"]} == {"would be created"}
    assert {one["state"] for one in after["resources"]} == {"created", "simulated"}
    assert after["exports"]["vpc_id"].startswith("vpc-")


def test_a_document_holds_the_mistakes_that_are_lines_on_standard_error(document: Document) -> None:
    found, lines = document("  distributed-training:queues: {a: {fifoo: 1}}\n", "preview", status=1)
    message = "queues.a.fifoo: is no key of queues.a; did you mean fifo?"
    place = {"path": "queues.a.fifoo", "file": "Pulumi.test.yaml", "line": 3, "column": 37}
    assert found["mistakes"] == [{"message": message, **place}]
    assert lines == [
        f"error: Pulumi.test.yaml:3:37: {message}",
        "   3 |   distributed-training:queues: {a: {fifoo: 1}}",
        "     |                                     ^^^^^",
    ]
    assert document("  - a\n", "up", status=1)[0].keys() == {"mistakes"}


def test_an_adopted_vpc_is_refused_in_a_line_that_names_adopt_which_deploys_it(document: Document) -> None:
    sections = (
        "  distributed-training:network:\n"
        "    existing: {vpcId: vpc-0123abcd, privateSubnetIds: [subnet-0123abcd, subnet-4567abcd]}\n"
    )
    found, lines = document(sections, "preview", status=1)
    message = "network.existing: vpc-0123abcd is not on this machine; --adopt makes it here first"
    place = {"path": "network.existing", "file": "Pulumi.test.yaml", "line": 4, "column": 15}
    assert found == {"mistakes": [{"message": message, **place}]}
    assert lines[0] == f"error: Pulumi.test.yaml:4:15: {message}"
    for command in ("preview", "up"):
        found, lines = document(sections, command, "--adopt")
        assert lines == []
        assert found["exports"]["vpc_id"] == "vpc-0123abcd"
        assert found["exports"]["private_subnet_ids"] == ["subnet-0123abcd", "subnet-4567abcd"]


def test_a_document_that_nobody_would_read_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(["up", "--json", "--keep"])
    assert ended.value.code == 2
    assert "--json cannot be used with --keep" in capsys.readouterr().err


def test_a_round_trip_does_not_wait_for_a_thousand_attempts(
    document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def say(_display: Display, line: str = "", _style: str | None = None) -> None:
        said.append(line)

    monkeypatch.setattr(Display, "say", say)
    sections = "  distributed-training:queues: {tasks: {maxReceiveCount: 1000}, results: {}}\n"
    assert document(sections, "up")[0]["mistakes"] == []
    assert "  tasks: maxReceiveCount 1000 is too high to try here how a task fails" in said
