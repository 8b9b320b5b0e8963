"""`train cluster submit`: check the manifests of a job, and create it.

`kubectl` reads the YAML and talks to the cluster: whoever uses EKS has it, and Python's standard library reads no YAML.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from client import show, stack
from client.cluster import kubeconfig
from client.errors import TrainError
from client.outputs import Outputs

NAMESPACE, SERVICE_ACCOUNT = "training", "trainer"
"""Of jobs that are no team's; each team has a namespace of its own, and a service account of the same name in it."""
ACCELERATORS = ("nvidia.com/gpu", "aws.amazon.com/neuron")
"""Resources of nodes with accelerators; each is the key of their taint, too."""
NODE_GROUP = "node-group"
"""Key of the taint that holds the name of a node group, which starts for those alone who name it."""
JOBS = ("Job", "JobSet", "MPIJob", "PyTorchJob", "RayJob", "TrainJob")
"""Kinds that run once: applied a second time, they would not run again."""
LUSTRE, LUSTRE_CLAIM = "/lustre", "lustre"
"""Where the file system is, as in jobs of Batch, and the claim by which pods in `NAMESPACE` have it."""
DEADLINE = "activeDeadlineSeconds"
"""Seconds after which Kubernetes ends what runs, wherever a kind of job has it: a Job's, a pod's, a policy's."""

Manifest = dict[str, Any]


def run(name: str | None, path: Path | None, files: Sequence[Path], *, job_name: str | None, as_json: bool) -> int:
    """Check manifests, and create what they say.

    Raises:
        TrainError: naming every mistake before anything is made, or what the cluster refuses.

    """
    if (kubectl := shutil.which("kubectl")) is None:
        raise TrainError(
            "kubectl is not on the PATH; https://kubernetes.io/docs/tasks/tools/ says how to install it, within one"
            " minor version of the cluster's"
        )
    manifests = [one for file in files for one in _read(kubectl, file)]
    jobs = [one for one in manifests if one["kind"] in JOBS]
    with stack.opened(name, path) as opened, TemporaryDirectory() as folder:
        config = Path(folder) / "kubeconfig"
        config.touch(0o600)
        config.write_text(kubeconfig.of(opened), encoding="utf-8")
        for one in jobs:
            _complete(one, opened.outputs)
        mistakes = [line for one in manifests for line in _mistakes(one, opened.outputs)]
        if job_name is not None:
            mistakes += _name_mistakes(job_name, jobs)
        if mistakes:
            raise TrainError("\n".join(mistakes))
        for one in jobs if job_name is not None else ():
            one["metadata"]["name"] = job_name
        others = [one for one in manifests if one not in jobs]
        for verb, some in (("apply", others), ("create", jobs)):
            for made in _make(kubectl, config, verb, some):
                show.one({"name": made}, made, as_json=as_json)
    for one in (one for one in jobs if one["kind"] == "Job"):
        about = one["metadata"]
        show.hint(f"see its log with: kubectl -n {about['namespace']} logs -f job/{about['name']}")
    return 0


def _read(kubectl: str, file: Path) -> list[Manifest]:
    """The manifests of a file, of any number; nothing but this machine is asked for it."""
    patch = ["patch", "--local", "--type=merge", "--patch={}", "--output=json", f"--filename={file}"]
    text, found = _call([kubectl, *patch], None), list[Manifest]()
    decoder, position = json.JSONDecoder(), 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        one, position = decoder.raw_decode(text, position)
        found += one["items"] if one["kind"] == "List" else [one]
    return found


def _make(kubectl: str, config: Path, verb: str, manifests: Sequence[Manifest]) -> list[str]:
    """Create or apply manifests; what was made, as `kind/name`."""
    if not manifests:
        return []
    document = {"apiVersion": "v1", "kind": "List", "items": manifests}
    command = [kubectl, f"--kubeconfig={config}", verb, "--output=name", "--filename=-"]
    return _call(command, json.dumps(document)).split()


def _call(command: Sequence[str], given: str | None) -> str:
    done = subprocess.run(  # noqa: S603  kubectl of the person who calls
        command, input=given or "", capture_output=True, check=False, text=True
    )
    if done.returncode:
        told = " ".join(done.stderr.split()) or f"ends with {done.returncode}"
        again = "; give it another name with --name" if "AlreadyExists" in told else ""
        raise TrainError(f"kubectl: {told}{again}")
    return done.stdout


def _name_mistakes(name: str, jobs: Sequence[Manifest]) -> Iterator[str]:
    if len(jobs) != 1:
        yield f"--name: is for the files of one job, and these have {len(jobs)}"
    if not re.fullmatch("[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?", name, re.ASCII):
        rule = "must be 1 to 52 lower-case letters, digits and hyphens, a letter or digit at both ends"
        yield f"--name: {rule}, got '{name}'"


def _complete(job: Manifest, outputs: Outputs) -> None:
    """Give a job that says nothing of resources a whole node of the group that it names, for each of its pods.

    Its only container, or that of Trainer, gets what it does not say itself of resources and environment, and the file
    system where its environment names it; shared memory that has no limit gets one.
    """
    for pod in _pods(job["spec"]):
        group = _group(pod)
        if group is None or group not in outputs.eks_pod_resources:
            continue
        for volume in pod.get("volumes", []):
            if volume.get("emptyDir", {}).get("medium") == "Memory":
                volume["emptyDir"].setdefault("sizeLimit", outputs.eks_pod_shared_memory[group])
        container, resources = pod["containers"][0], "resources"
        if job["kind"] == "TrainJob":
            container, resources = job["spec"].setdefault("trainer", {}), "resourcesPerNode"
        elif len(pod["containers"]) > 1:
            continue
        environment = {"ARTIFACTS_BUCKET": outputs.artifacts_bucket}
        if resources not in container:
            whole = dict(outputs.eks_pod_resources[group])
            container[resources] = {
                "requests": {"cpu": whole.pop("cpu"), "memory": whole["memory"]},
                "limits": whole,
            }
            environment |= outputs.eks_pod_environment[group]
        given = container.get("env", [])
        said = {one["name"] for one in given}
        container["env"] = [
            *given,
            *({"name": name, "value": value} for name, value in environment.items() if name not in said),
        ]
        if any(map(_is_in_lustre, given)) and all(one["name"] != LUSTRE_CLAIM for one in pod.get("volumes", [])):
            claim = {"name": LUSTRE_CLAIM, "persistentVolumeClaim": {"claimName": LUSTRE_CLAIM}}
            pod.setdefault("volumes", []).append(claim)
            mounts = pod["containers"][0].setdefault("volumeMounts", [])
            mounts.append({"name": LUSTRE_CLAIM, "mountPath": LUSTRE})


def _mistakes(manifest: Manifest, outputs: Outputs) -> Iterator[str]:
    """What keeps a manifest from doing what it is to do on this cluster."""
    what = f"{manifest['kind']} {manifest['metadata'].get('name', '')}"
    known = [NAMESPACE, *sorted(outputs.team_namespaces.values())]
    if (namespace := manifest["metadata"].get("namespace")) not in known:
        rule = f"must be {'one of ' if known[1:] else ''}{', '.join(known)}"
        yield f"{what}: metadata.namespace: {rule}, got {_said(namespace)}"
    if manifest["kind"] not in JOBS:
        return
    if not outputs.lustre_file_system_id or namespace != NAMESPACE:
        variables = [one for listed in _objects(manifest["spec"]) for one in listed.get("env") or ()]
        rule = f"must not be in {LUSTRE}, which only pods in {NAMESPACE} of a stack with artifacts.lustre have"
        yield from (
            f"{what}: {one['name']}: {rule}, got {_said(one['value'])}" for one in variables if _is_in_lustre(one)
        )
    pods = list(_pods(manifest["spec"]))
    if not any(one.get(DEADLINE) for one in _objects(manifest["spec"])):
        yield f"{what}: {DEADLINE}: must be set, so that half a job does not hold nodes for ever, got nothing"
    resources = {name for limits in _limits(manifest["spec"]) for name in limits if name in ACCELERATORS}
    if not resources and all(_group(pod) in {None, *outputs.eks_node_group_arns} for pod in pods):
        named = f"{' or '.join(ACCELERATORS)} under resources.limits"
        yield f"{what}: must ask for accelerators, with {named}, or say nothing of resources and have a whole node"
    for pod in pods:
        if (account := pod.get("serviceAccountName")) != SERVICE_ACCOUNT:
            yield f"{what}: serviceAccountName: must be {SERVICE_ACCOUNT}, got {_said(account)}"
        for name in sorted(resources):
            if not any(_tolerates(one, name, "true") for one in pod.get("tolerations", [])):
                yield f"{what}: tolerations: must have one of {name}, the taint of its nodes, with operator Exists"
        groups = sorted(outputs.eks_node_group_arns)
        if not any(_tolerates(one, NODE_GROUP, group) for one in pod.get("tolerations", []) for group in groups):
            rule = f"must have one of {NODE_GROUP} with the node group as value, one of {', '.join(groups)}"
            yield f"{what}: tolerations: {rule}, got {_said(_group(pod))}"


def _is_in_lustre(variable: Mapping[str, Any]) -> bool:
    """Whether the value of a variable is a folder in the file system."""
    return f"{variable.get('value', '')}/".startswith(f"{LUSTRE}/")


def _group(pod: Mapping[str, Any]) -> str | None:
    """The node group that a pod names."""
    return next((one.get("value") for one in pod.get("tolerations", []) if one.get("key") == NODE_GROUP), None)


def _tolerates(toleration: Mapping[str, str], taint: str, value: str) -> bool:
    """Whether a toleration is of a taint with this key and value (Kubernetes, "Taints and Tolerations")."""
    return (
        toleration.get("key", taint) == taint
        and toleration.get("effect", "NoSchedule") == "NoSchedule"
        and (toleration.get("operator") == "Exists" or toleration.get("value") == value)
    )


def _said(value: object) -> str:
    return "nothing" if value is None else f"'{value}'"


def _objects(part: Any) -> Iterator[Manifest]:
    """Every object in a part of a manifest, the outer ones first."""
    if isinstance(part, dict):
        fields = cast("dict[str, Any]", part)
        yield fields
        part = list(fields.values())
    if isinstance(part, list):
        for one in cast("list[Any]", part):
            yield from _objects(one)


def _pods(part: Any) -> Iterator[Manifest]:
    """Every pod's spec in a part of a manifest."""
    yield from (one for one in _objects(part) if isinstance(one.get("containers"), list))


def _limits(part: Any) -> Iterator[Mapping[str, Any]]:
    """Every set of resource limits in a part of a manifest."""
    yield from (one["limits"] for one in _objects(part) if isinstance(one.get("limits"), dict))
