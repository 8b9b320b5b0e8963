"""Every command in README and docs, run against the local stack, in the words in which it is written."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import stack_files
from local.aws import Aws
from tests import aws_cli
from tests.conftest import ROOT, RunStack
from tests.support import all_of, write_program

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = "# not run by the tests: "
ON_THE_ENGINE = "# run by the tests where a Pulumi CLI is\n"
PROGRAMS = {
    "aws": aws_cli.CLIENT,
    # what Pulumi's own does with the outputs of a stack, and nothing else of it
    "pulumi": """
import json, os, sys
match sys.argv[1:]:
    case ["stack", "output", "--json"]:
        print(json.dumps(json.loads(os.environ["OUTPUTS"])))
    case ["stack", "output", name]:
        value = json.loads(os.environ["OUTPUTS"])[name]
        print(value if isinstance(value, str) else json.dumps(value))
    case _:
        sys.exit("pulumi: only stack output is known here")
""",
    "jq": """
import jq, sys
for value in jq.compile(sys.argv[2]).input_text(sys.stdin.read()):
    print(value) if sys.argv[1] == "-r" else sys.exit("jq: only -r is known here")
""",
}


def blocks(document: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each block of shell commands."""
    text = document.read_text()
    for match in re.finditer(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, match.start()) + 2, match[1]


def runnable(document: Path) -> Iterator[tuple[int, str]]:
    """Those that say nothing else."""
    return ((line, text) for line, text in blocks(document) if not text.startswith((NOT_RUN, ON_THE_ENGINE)))


@pytest.fixture(scope="module")
def shell(aws: Aws, run_stack: RunStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a person who deployed production into the local AWS."""
    run = run_stack("prod", preview=False)
    # a dead-letter queue that is empty is waited for
    aws.client("sqs").send_message(
        QueueUrl=run.exports["dead_letter_queue_urls"]["tasks"],
        MessageBody='{"id": "prepare-7", "command": ["false"]}',
        MessageGroupId="prepare-7",
        MessageDeduplicationId="prepare-7",
    )
    programs = tmp_path_factory.mktemp("bin")
    for name, program in PROGRAMS.items():
        # -S: without the folder of what is installed, which only jq needs
        write_program(programs / name, program, "-I" if name == "jq" else "-IS")
    with aws_cli.serving() as port:
        yield {
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(programs),
            "OUTPUTS": json.dumps(run.exports),
            "AWS_CLI_PORT": str(port),
            "AWS_PAGER": "",
            # what docs/bootstrap.md asks GitHub for
            "REPOSITORY": "owner@1/name@2",
            **aws.environment,
        }


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if any(runnable(one))], ids=lambda path: path.name)
def test_the_commands_do_what_the_document_says(document: Path, shell: dict[str, str], tmp_path: Path) -> None:
    for path in ROOT.iterdir():
        if path.name != ".venv":
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    script = "\n".join(f"echo '{document.name}, line {line}' >&2\n{text}" for line, text in runnable(document))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=shell, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_command_that_is_not_run_says_why(document: Path) -> None:
    for line, text in blocks(document):
        first = text.splitlines()[0]
        if "not run" in first:
            assert re.fullmatch(rf"{NOT_RUN}\S.+", first), f"{document.name}, line {line}"
    outside = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"^ {4}(\$|aws|curl|docker|gh|git|kubectl|make|pulumi) ", outside, re.MULTILINE)


def test_there_is_a_runbook_for_every_alert(run_stack: RunStack) -> None:
    headings = re.findall(r"^### (\S+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    run = run_stack("prod", preview=True)
    config = stack_files.read(ROOT, "prod").config
    queues, job_queues, fleets = (
        json.loads(config[f"distributed-training:{section}"]) for section in ("queues", "batch", "workers")
    )
    alerts = {
        re.sub(
            rf"^({'|'.join(fleets)})-(below|memory|lost|failing)",
            r"FLEET-\2",
            re.sub(rf"^({'|'.join([*queues, *job_queues])})-", "QUEUE-", name.removeprefix("alerts-")),
        )
        for type_ in ("aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/eventRule:EventRule")
        for name, one in all_of(run, type_).items()
        if one.parent.endswith("Observability::alerts")
    }
    # no stack file has a standard queue, or Container Insights
    assert alerts | {"Budget", "QUEUE-unfair", "eks-nodes-idle"} == set(headings)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        found = (document.parent / path) if path else document
        assert found.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, target
