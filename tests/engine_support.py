"""How tests use Pulumi's real engine, and lay what it says beside what the engine of this project says."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from local.kept import FOLDER, Kept
from local.run import PROVIDER_PREFIX, STACK_TYPE, Registration, Run
from local.wire import SIGNATURE
from tests.conftest import ROOT
from tests.support import write_program
from tests.test_documents import ON_THE_ENGINE, PROGRAMS

IN_THE_MIDDLE = 60
"""Lines of output after which a deployment is in the middle."""


LISTS: dict[str, dict[str, dict[str, Any]]] = {
    "application-autoscaling": {
        "describe_scalable_targets": {"ServiceNamespace": "ecs"},
        "describe_scaling_policies": {"ServiceNamespace": "ecs"},
    },
    "autoscaling": {"describe_auto_scaling_groups": {}},
    "batch": {
        "describe_compute_environments": {},
        "describe_job_definitions": {"status": "ACTIVE"},
        "describe_job_queues": {},
        "list_scheduling_policies": {},
    },
    "budgets": {"describe_budgets": {"AccountId": "123456789012"}},
    "cloudwatch": {"describe_alarms": {}, "list_dashboards": {}},
    "ec2": {
        "describe_addresses": {},
        "describe_flow_logs": {},
        "describe_internet_gateways": {},
        "describe_launch_templates": {},
        "describe_nat_gateways": {"Filter": [{"Name": "state", "Values": ["pending", "available"]}]},
        "describe_network_acls": {},
        "describe_network_interfaces": {},
        "describe_route_tables": {},
        "describe_security_group_rules": {},
        "describe_security_groups": {},
        "describe_subnets": {},
        "describe_vpc_endpoints": {"Filters": [{"Name": "vpc-endpoint-state", "Values": ["available"]}]},
        "describe_vpcs": {},
    },
    "ecr": {"describe_repositories": {}},
    "eks": {"list_clusters": {}},
    "events": {"list_rules": {}},
    "fsx": {"describe_file_systems": {}},
    "iam": {"list_instance_profiles": {}, "list_policies": {"Scope": "Local"}, "list_roles": {}},
    "kms": {"list_aliases": {}},
    "lambda": {"list_functions": {}},
    "logs": {"describe_log_groups": {}, "describe_resource_policies": {}},
    "s3": {"list_buckets": {}},
    "sns": {"list_subscriptions": {}, "list_topics": {}},
    "sqs": {"list_queues": {}},
}
"""Service -> operations that list what it holds, with their arguments; task definitions stay in use."""


def _listed(answer: Mapping[str, Any]) -> list[Any]:
    """What an operation lists, but for roles of AWS's own, which stay."""
    lists = (cast("list[Any]", value) for value in answer.values() if isinstance(value, list))
    return [one for one in next(lists, list[Any]()) if "/aws-service-role/" not in str(one)]


class RealEngine:
    """A copy of the project, with an AWS and a state of its own."""

    def __init__(self, folder: Path) -> None:
        self.project = folder
        shutil.copytree(
            ROOT, folder, ignore=shutil.ignore_patterns(".git", ".local", ".venv", ".cache", ".*_cache"), symlinks=True
        )

    def local(self, *arguments: str) -> "subprocess.Popen[str]":
        """Run a command of `python -m local`."""
        return subprocess.Popen(
            [sys.executable, "-m", "local", *arguments],
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def pulumi(self, *arguments: str, status: int = 0) -> str:
        """What the CLI says; it ends with this status."""
        process = self.local("pulumi", *arguments, "--non-interactive")
        said = process.communicate()[0]
        assert process.returncode == status, said
        return said

    def break_off(self, *arguments: str) -> str:
        """What the CLI says when Ctrl-C comes in the middle."""
        process = self.local("pulumi", *arguments, "--non-interactive")
        lines = cast("Any", process.stdout)
        said = [lines.readline() for _ in range(IN_THE_MIDDLE)]
        process.send_signal(signal.SIGINT)
        said += process.communicate()[0].splitlines(keepends=True)
        assert process.returncode not in (0, -signal.SIGINT), "".join(said)
        return "".join(said)

    def follow(self, document: str, title: str, *, stack: str | None = None) -> str:
        """What the commands of a section say that are run by the tests where a CLI is, in the words of the document.

        Without `stack` it is the one that the commands select.
        """
        text = (self.project / document).read_text(encoding="utf-8")
        section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        commands = "".join(re.findall(rf"^```sh\n{ON_THE_ENGINE}(.*?)^```$", section, re.MULTILINE | re.DOTALL))
        assert commands, f"{document}, {title}: no command is run by the tests"
        programs = self.project / "bin"
        programs.mkdir(exist_ok=True)
        folder = shlex.quote(str(self.project))
        yes = '[[ $1 == up || $1 == destroy ]] && set -- "$@" --yes --skip-preview'
        cli = f"PATH={shlex.quote(os.environ['PATH'])} exec {shlex.quote(sys.executable)} -m local pulumi"
        selected = "" if stack is None else f"-s {stack}"
        stand_ins = {
            # of all addresses that of the person
            "curl": "#!/bin/sh\necho 52.94.76.10\n",
            "pulumi": f'#!/bin/bash\ncd {folder}\n{yes}\n{cli} "$@" {selected} --non-interactive\n',
        }
        for name, content in stand_ins.items():
            (programs / name).write_text(content)
            (programs / name).chmod(0o755)
        write_program(programs / "jq", PROGRAMS["jq"], "-I")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.project,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def resources(self, stack: str) -> list[dict[str, Any]]:
        """The resources of a stack as its state has them."""
        return json.loads(self.pulumi("stack", "export", "-s", stack, "--show-secrets"))["deployment"]["resources"]

    def account(self) -> dict[str, int]:
        """How much AWS lists of each kind of thing."""
        aws = Kept(self.project / FOLDER).there()
        ecs = aws.client("ecs")
        clusters = ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"]
        # a cluster that has ended stays on the list for a while, also in AWS
        active = [one for one in clusters if one["status"] != "INACTIVE"]
        return {"ecs list_clusters": len(active)} | {
            f"{service} {operation}": len(_listed(getattr(aws.client(service), operation)(**given)))
            for service, operations in LISTS.items()
            for operation, given in operations.items()
        }

    def unprotect(self, stack: str) -> bool:
        """Take protection out of a stack file; whether it was in there."""
        file = self.project / f"Pulumi.{stack}.yaml"
        before = file.read_text()
        file.write_text(before.replace("protect: true", "protect: false"))
        return file.read_text() != before

    def stop(self) -> None:
        """End its AWS."""
        process = self.local("stop")
        assert "has ended" in process.communicate()[0]


def differences(run: Run, resources: Iterable[Mapping[str, Any]], exports: Mapping[str, Any] | None) -> list[str]:
    """What the two engines say unlike of a stack, but for ids, names and times that AWS makes up."""
    real = {one["urn"]: one for one in resources if not _is_of_the_engine(one)}
    stack = next(urn for urn, one in real.items() if one["type"] == STACK_TYPE)
    del real[stack]
    found = [f"{urn}: only in one" for urn in sorted(real.keys() ^ run.registrations.keys())]
    same = _SameThing()
    for urn, one in real.items():
        if urn in run.created:
            same.learn(one.get("id"), run.created[urn].id)
            same.learn(one.get("outputs"), run.created[urn].outputs)
    for urn in real.keys() & run.registrations.keys():
        theirs, ours = _as_registered(real[urn]), run.registrations[urn]
        for key, value in _facts(ours, stack).items():
            if (told := same.translated(_opened(theirs[key], value))) != value:
                found.append(f"{urn}: {key}: {told} and {value}")
    if exports is not None and (told := same.translated(exports)) != run.exports:
        found.append(f"exports: {told} and {run.exports}")
    return found


def _is_of_the_engine(one: Mapping[str, Any]) -> bool:
    """Whether it is a provider that the program does not name."""
    return one["type"].startswith(PROVIDER_PREFIX) and not one.get("parent")


def _facts(one: Registration, stack: str) -> dict[str, Any]:
    return {
        "custom": one.custom,
        "dependencies": set(one.dependencies),
        "inputs": dict(one.inputs),
        "parent": one.parent or stack,
        "property dependencies": {key: set(urns) for key, urns in one.property_dependencies.items() if urns},
        "protect": one.protect,
    }


def _as_registered(one: Mapping[str, Any]) -> dict[str, Any]:
    # of a provider the engine notes its version beside its inputs
    noted = {"__internal", "version"} if one["type"].startswith(PROVIDER_PREFIX) else set[str]()
    inputs = cast("dict[str, Any]", one.get("inputs") or {})
    made_of = cast("dict[str, list[str] | None]", one.get("propertyDependencies") or {})
    return {
        "custom": one["custom"],
        "dependencies": set(one.get("dependencies") or ()),
        "inputs": {key: value for key, value in inputs.items() if key not in noted},
        "parent": one["parent"],
        "property dependencies": {key: set(urns) for key, urns in made_of.items() if urns},
        "protect": one.get("protect", False),
    }


def _opened(theirs: Any, ours: Any) -> Any:
    """A value with its secrets in clear, and a resource by its id; what a preview does not show is taken to be ours."""
    match theirs:
        case "[secret]" | {"id": "", "urn": str()}:
            return ours
        case {"id": str(resource_id), "urn": str()}:
            return resource_id
        case {"plaintext": str(text)}:
            return json.loads(text)
        case dict():
            beside = cast("dict[str, Any]", ours if isinstance(ours, dict) else {})
            told = cast("dict[str, Any]", theirs)
            # of an archive and what is in it the engine adds a hash
            hashed = {"hash"} if SIGNATURE in told else set[str]()
            return {key: _opened(one, beside.get(key)) for key, one in told.items() if key not in hashed}
        case _:
            return theirs


class _SameThing:
    """Which text of one AWS stands for which of another."""

    def __init__(self) -> None:
        self._ours: dict[str, str] = {}

    def learn(self, theirs: Any, ours: Any) -> None:
        """Lay two values beside each other that mean the same."""
        if isinstance(theirs, str) and isinstance(ours, str) and theirs != ours:
            assert self._ours.setdefault(theirs, ours) == ours
        elif isinstance(theirs, dict) and isinstance(ours, Mapping):
            for key in cast("dict[str, Any]", theirs).keys() & cast("Mapping[str, Any]", ours).keys():
                self.learn(theirs[key], ours[key])
        elif isinstance(theirs, list) and isinstance(ours, list):
            for one, other in zip(cast("list[Any]", theirs), cast("list[Any]", ours), strict=False):
                self.learn(one, other)

    def translated(self, value: Any) -> Any:
        """A value of theirs with our words."""
        if not self._ours:
            return value
        # the longest first: an ARN holds a name
        words = re.compile("|".join(map(re.escape, sorted(self._ours, key=len, reverse=True))))

        def inside(one: Any) -> Any:
            match one:
                case str():
                    return words.sub(lambda found: self._ours[found[0]], one)
                case dict():
                    return {key: inside(inner) for key, inner in cast("dict[str, Any]", one).items()}
                case list():
                    return [inside(inner) for inner in cast("list[Any]", one)]
                case _:
                    return one

        return inside(value)
