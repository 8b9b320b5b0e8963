"""What `train launcher` prints, judged by the launchers themselves, as they come from the package registry."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client import command_line
from local.aws import Aws
from tests.conftest import PERSONS, ROOT, RunStack

pytestmark = pytest.mark.registry

METAFLOW = """
from metaflow import metaflow_config
from metaflow.plugins.aws.batch.batch_client import BatchClient
from metaflow.plugins.aws.batch.batch_decorator import BatchDecorator

decorator = BatchDecorator(attributes={"gpu": 1, "log_driver": "awslogs", "log_options": [OPTION]})
decorator.init()
given = decorator.attributes
job = BatchClient().job()
job.job_name("flow").job_queue(given["queue"]).image("python:3.12").command(["true"]).iam_role(given["iam_role"])
job.cpu(4).memory(16000).gpu("1").timeout_in_secs(3600).task_id("1")
for key, value in metaflow_config.BATCH_DEFAULT_TAGS.items():
    job.tag(key, value)
names = ("execution_role shared_memory max_swap swappiness inferentia efa memory host_volumes efs_volumes use_tmpfs"
    " tmpfs_tempdir tmpfs_size tmpfs_path num_parallel ephemeral_storage log_driver log_options privileged").split()
settings = dict.fromkeys(names) | {"memory": 16000, "num_parallel": 0}
settings |= {"log_driver": given["log_driver"], "log_options": given["log_options"]}
job.job_def("python:3.12", given["iam_role"], given["queue"], **settings)
print(job.execute().id)
assert metaflow_config.DEFAULT_DATASTORE == "s3"
"""
SKYPILOT = """
import json, sys
from sky.provision.kubernetes.utils import SkyPilotLabelFormatter
from sky.utils import common_utils, schemas

common_utils.validate_schema(json.load(open(sys.argv[1])), schemas.get_config_schema(), "config: ")
for label in sys.argv[2:]:
    key, _, value = label.partition("=")
    assert SkyPilotLabelFormatter.match_label_key(key)
    assert SkyPilotLabelFormatter.validate_label_value(value)[0], value
"""
SECTIONS: dict[str, Any] = {
    "batch": {"single": {"instanceTypes": ["g6.12xlarge"]}},
    "eks": {"gpuNodeGroups": {"gpu": {}, "fast": {"instanceTypes": ["p5.48xlarge"]}}},
}


def python_with(folder: Path, requirement: str) -> str:
    """A Python that has a launcher and nothing of this project."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", requirement], env=PERSONS, check=True)
    return python


@pytest.fixture
def printed(
    run_sections: RunStack,
    aws: Aws,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[str, dict[str, Any]]]:
    """What `train launcher` prints, and what the stack exports."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[str, dict[str, Any]]:
        exports = run_sections(SECTIONS, preview=False).exports
        outputs = tmp_path / "outputs.json"
        outputs.write_text(json.dumps(exports))
        assert command_line.main(["launcher", *arguments, "--outputs", str(outputs)]) == 0
        return capsys.readouterr().out, exports

    return run


def test_metaflow_submits_a_job_to_the_queue(
    printed: Callable[..., tuple[str, dict[str, Any]]], aws: Aws, tmp_path: Path
) -> None:
    text, exports = printed("metaflow")
    (tmp_path / "config.json").write_text(text)
    option = f"awslogs-group:{exports['batch_log_groups']['single']}"
    script = METAFLOW.replace("OPTION", repr(option))
    python = python_with(tmp_path / "venv", "metaflow==2.19.39")
    environment = {**os.environ, "METAFLOW_HOME": str(tmp_path), "METAFLOW_USER": "somebody"}
    done = subprocess.run([python, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    batch = aws.client("batch")
    (job,) = batch.describe_jobs(jobs=done.stdout.split())["jobs"]
    assert job["jobQueue"] == exports["batch_job_queue_arns"]["single"]
    assert job["tags"]["SubmittedBy"] == exports["train_submitted_by"]
    (definition,) = batch.describe_job_definitions(jobDefinitions=[job["jobDefinition"]])["jobDefinitions"]
    container = definition["containerProperties"]
    assert container["jobRoleArn"] == exports["batch_job_role_arns"]["single"]
    assert container["logConfiguration"]["options"] == {"awslogs-group": exports["batch_log_groups"]["single"]}


def test_skypilot_takes_the_configuration_and_the_labels(
    printed: Callable[..., tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    text, _ = printed("skypilot")
    (tmp_path / "config.yaml").write_text(text)
    python = python_with(tmp_path / "venv", "skypilot[kubernetes]==0.14.1")
    labels = ["skypilot.co/accelerator=l4", "skypilot.co/accelerator=h100", "skypilot.co/accelerator=a100-80gb"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [python, "-c", SKYPILOT, str(tmp_path / "config.yaml"), *labels],
        env=environment,
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
