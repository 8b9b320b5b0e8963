"""What README says of deploying, in its words and its order, on the real engine from an empty folder."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.engine_support import RealEngine

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="there is no Pulumi CLI on the PATH"),
]


def test_a_person_who_follows_readme_deploys_all_of_dev_and_takes_it_down(tmp_path: Path) -> None:
    real = RealEngine(tmp_path / "project")
    try:
        said = real.follow("README.md", "Deploy it")
        assert "warning" not in said
        config = yaml.safe_load((real.project / ".local" / "project" / "Pulumi.dev.yaml").read_text())["config"]
        assert config["distributed-training:eks"]["publicAccessCidrs"] == ["52.94.76.10/32"]
        types = {one["type"] for one in real.resources("dev")}
        assert {"kubernetes:helm.sh/v3:Release", "aws:eks/cluster:Cluster", "aws:ecs/service:Service"} <= types
        assert json.loads(real.pulumi("stack", "output", "kubeconfig", "-s", "dev"))["kind"] == "Config"
        assert "warning" not in real.pulumi("preview", "-s", "dev", "--expect-no-changes")
        real.follow("README.md", "Tear-down")
        assert "resources" not in json.loads(real.pulumi("stack", "export", "-s", "dev"))["deployment"]
    finally:
        real.stop()
