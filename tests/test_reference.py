"""What editors, README and the settings page say of a stack file is what its models check."""

import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from tests.conftest import ROOT, RunStack
from tests.support import WHOLE
from tools import reference

STACK_FILES = sorted(ROOT.glob("Pulumi.*.yaml"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(reference.schema())
    return jsonschema.Draft202012Validator(reference.schema())


@pytest.mark.parametrize("path", STACK_FILES, ids=lambda path: path.name)
def test_every_stack_file_names_the_schema_and_keeps_it(path: Any, validator: jsonschema.Draft202012Validator) -> None:
    text = path.read_text()
    assert text.splitlines()[0] == "# yaml-language-server: $schema=stack.schema.json"
    assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("distributed-training:network", {"availabilityZones": 7}),
        ("distributed-training:network", {"availabilityZone": 2}),
        ("distributed-training:queues", {"Tasks": {}}),
        ("distributed-training:queues", {"t" * 33: {}}),
        ("distributed-training:batch", {"single": {"capacity": ["reserved"]}}),
        ("distributed-training:eks", {"gpuNodeGroups": {"gpu": {"maxSize": "2"}}}),
        ("distributed-training:protect", "yes"),
        ("distributed-training:nodes", {}),
        ("protect", True),
    ],
)
def test_an_editor_sees_what_is_wrong(key: str, value: Any, validator: jsonschema.Draft202012Validator) -> None:
    right: dict[str, Any] = {"aws:region": "us-west-2", "kubernetes:namespace": "other", "aws:profile": "mine"}
    assert validator.is_valid({"config": right})
    assert not validator.is_valid({"config": right | {key: value}}), json.dumps(value)


def test_readme_names_every_output_and_no_other(run_sections: RunStack) -> None:
    outputs = (ROOT / "README.md").read_text().split("### Outputs")[1].split("\n## ")[0]
    named = [
        name for row in re.findall(r"^\| (`.+?) \|", outputs, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    whole: dict[str, Any] = {
        **WHOLE,
        "eks": WHOLE["eks"] | {"kueue": True},
        "artifacts": {"lustre": {}},
        "teams": {"vision": {}},
    }
    assert sorted(named) == sorted(run_sections(whole).exports)


def test_the_stack_file_in_readme_is_right(run_sections: RunStack, validator: jsonschema.Draft202012Validator) -> None:
    stack_file = yaml.safe_load((ROOT / "README.md").read_text().split("```yaml\n")[1].split("```")[0])
    assert [error.message for error in validator.iter_errors(stack_file)] == []
    prefix = "distributed-training:"
    sections = {key.removeprefix(prefix): one for key, one in stack_file["config"].items() if key.startswith(prefix)}
    run = run_sections(sections)
    assert [*run.exports["queue_urls"], *run.exports["batch_job_queue_arns"]] == ["tasks", "results", "single"]
    assert run.exports["eks_node_group_arns"].keys() == {"gpu"}
