"""The trial of each EKS node group with EFA: a Kubernetes Job of two pods, which is deleted whatever becomes of it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from client.account import Account
from client.cluster.submitting import NAMESPACE, NODE_GROUP, SERVICE_ACCOUNT
from client.outputs import Outputs
from client.smoke import kubernetes_api
from client.smoke.check import Finding, Patience, failed
from client.smoke.fabric import nccl
from client.smoke.fabric.nccl import NODES, Nodes
from client.smoke.fabric.trial import Trial

EFA_LABEL = "vpc.amazonaws.com/efa.present"
"""Label of nodes with EFA."""
JOBS, SERVICES, PODS = (
    f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs",
    f"/api/v1/namespaces/{NAMESPACE}/services",
    f"/api/v1/namespaces/{NAMESPACE}/pods",
)
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
START = f"""\
command -v torchrun > /dev/null || {{ echo "{nccl.NO_TORCHRUN}"; exit 127; }}
printf %s "$0" > /tmp/all_reduce.py
until getent hosts "$1" > /dev/null; do sleep 2; done
exec torchrun --nnodes={NODES} --node-rank="$JOB_COMPLETION_INDEX" --nproc-per-node=gpu \
--master-addr="$1" --master-port=29500 --rdzv-conf=timeout="$2" /tmp/all_reduce.py
"""
"""What each pod runs, with the program, the first pod's name, and the seconds in which all must have started."""
POD_POLL_SECONDS = 5
KEPT_SECONDS = 600
"""After which Kubernetes deletes a job that has ended, should this check have died."""
MEMORY, SHARED_MEMORY = "64Gi", "16Gi"
"""Half of what the smallest node with EFA and GPUs has (g5.8xlarge, 128 GiB)."""
ERROR = 400


class RefusedError(Exception):
    """The Kubernetes API answers, and does not do it."""


@dataclass(frozen=True)
class Api:
    """The Kubernetes API of a cluster."""

    endpoint: str
    authority: str
    """The PEM that signs its certificate, in base64."""
    sign: Callable[[], str]
    """Makes a token."""

    def ask(self, method: str, path: str, body: Any = None) -> str:
        """What it answers.

        Raises:
            UnreachableError: when nothing answers.
            UntrustedError: when somebody else does.
            RefusedError: when it answers with an error.

        """
        status, text = kubernetes_api.call(
            self.endpoint, path, authority=self.authority, token=self.sign(), method=method, body=body
        )
        if status >= ERROR:
            raise RefusedError(f"{method} {path.partition('?')[0]}: {status}: {' '.join(text.split())[:300]}")
        return text


@dataclass(frozen=True)
class Group:
    """A node group, as EKS and EC2 describe it."""

    name: str
    """That in the stack file."""
    nodes: Nodes
    gpus: int
    """NVIDIA GPUs of a node."""
    most: int
    """Nodes that there may be."""


def trials(outputs: Outputs, account: Account) -> Iterator[Trial]:
    """A trial for each node group with EFA."""
    if not outputs.eks_cluster_arn:
        return
    groups = [*_groups(outputs, account)]
    described = account.client("eks").describe_cluster(name=outputs.eks_cluster_name)["cluster"]
    sign = kubernetes_api.signer(account, outputs.eks_cluster_name)
    api = Api(described["endpoint"], described["certificateAuthority"]["data"], sign)
    registry, _, path = nccl.IMAGE.partition("/")
    image = f"{outputs.image_cache_urls.get(registry, registry)}/{path}"
    for group in groups:
        obstacle = ""
        if account.is_local("eks"):
            obstacle = "the local AWS has no Kubernetes API"
        elif not group.gpus:
            obstacle = f"{group.nodes.instance_type} has no NVIDIA GPU, and NCCL is for those"
        elif group.most < NODES:
            obstacle = f"it has {group.most} node at most, and so none to communicate with"
        yield Trial(f"eks {group.name}", group.nodes, obstacle, partial(_find, api, group, image))


def _groups(outputs: Outputs, account: Account) -> Iterator[Group]:
    eks, ec2 = account.client("eks"), account.client("ec2")
    for name, arn in sorted(outputs.eks_node_group_arns.items()):
        group: dict[str, Any] = eks.describe_nodegroup(
            clusterName=outputs.eks_cluster_name, nodegroupName=arn.split("/")[2]
        )["nodegroup"]
        if EFA_LABEL not in group.get("labels", {}):
            continue
        # that of a capacity block stands in the template alone
        instance_type: str = (group.get("instanceTypes") or [_type_of_template(ec2, group["launchTemplate"])])[0]
        (found,) = ec2.describe_instance_types(InstanceTypes=[instance_type])["InstanceTypes"]
        gpus: Sequence[Mapping[str, Any]] = found.get("GpuInfo", {}).get("Gpus", [])
        yield Group(
            name,
            Nodes(instance_type, found["NetworkInfo"]["EfaInfo"]["MaximumEfaInterfaces"]),
            sum(one["Count"] for one in gpus if one["Manufacturer"] == "NVIDIA"),
            group["scalingConfig"]["maxSize"],
        )


def _type_of_template(ec2: Any, template: Mapping[str, str]) -> str:
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateId=template["id"], Versions=[template["version"]])[
        "LaunchTemplateVersions"
    ]
    return version["LaunchTemplateData"]["InstanceType"]


def _find(api: Api, group: Group, image: str, patience: Patience) -> Iterator[Finding]:
    name = f"fabric-{uuid4().hex[:8]}"
    try:
        wrong, logs = _run(api, name, manifest(name, group, image, int(patience.seconds)), group.name, patience)
    except kubernetes_api.UnreachableError as error:
        yield failed(f"the Kubernetes API cannot be reached from here: {error}")
    except kubernetes_api.UntrustedError as error:
        yield failed(f"what answers does not prove to be this cluster's: {error}")
    except RefusedError as error:
        yield failed(f"the Kubernetes API refuses {error}")
    else:
        if wrong:
            yield failed(wrong)
        if not wrong or any(logs.values()):
            yield from nccl.findings(logs, group.nodes)


def _run(api: Api, name: str, job: Mapping[str, Any], group: str, patience: Patience) -> tuple[str, dict[int, str]]:
    """Why the job did not succeed, if it did not, and what each of its pods wrote."""
    pods, told = list[dict[str, Any]](), ""
    try:
        made = json.loads(api.ask("POST", JOBS, job))
        api.ask("POST", SERVICES, _service(name, made["metadata"]["uid"]))
        for _ in patience.tries(POD_POLL_SECONDS):
            try:
                pods = _pods(api, name)
            except kubernetes_api.UnreachableError as error:
                # two nodes are not given up for a connection that is cut once
                patience.say(f"eks {group}", f"asking again: {error}")
                continue
            if (now := _state(pods)) != told:
                told = now
                patience.say(f"eks {group}", f"{name}: {now}")
            phases = [one["status"].get("phase") for one in pods]
            if "Failed" in phases:
                return f"{name}: {told}", _logs(api, pods)
            if phases == ["Succeeded"] * NODES:
                return "", _logs(api, pods)
        return f"{name} was not done after {patience.seconds} s and was deleted: {told}", _logs(api, pods)
    finally:
        # whoever interrupts this leaves nothing behind that may yet start an instance; the service goes with it
        _delete(api, name)


def _delete(api: Api, name: str) -> None:
    try:
        api.ask("DELETE", f"{JOBS}/{name}?propagationPolicy=Background")
    except RefusedError as error:
        if ": 404: " not in str(error):
            raise


def _pods(api: Api, name: str) -> list[dict[str, Any]]:
    """The pods of a job, the newest of each index."""
    found = json.loads(api.ask("GET", f"{PODS}?labelSelector=batch.kubernetes.io%2Fjob-name%3D{name}"))["items"]
    by_age = sorted(found, key=lambda one: one["metadata"]["creationTimestamp"])
    newest = {_index(one): one for one in by_age}
    return [pod for _, pod in sorted(newest.items())]


def _index(pod: Mapping[str, Any]) -> int:
    return int(pod["metadata"]["labels"][INDEX_LABEL])


def _state(pods: Sequence[Mapping[str, Any]]) -> str:
    """How the pods stand, in words."""
    return (
        "; ".join(f"pod {_index(one)} {_stands(one['status'])}" for one in pods) or "no pod yet, as where it is queued"
    )


def _stands(status: Mapping[str, Any]) -> str:
    reasons = [
        *(
            one.get("message", "")
            for one in status.get("conditions", [])
            if one["type"] == "PodScheduled" and one["status"] != "True"
        ),
        *(
            state["reason"]
            for one in status.get("containerStatuses", [])
            for state in (one.get("state", {}).get("waiting", {}), one.get("state", {}).get("terminated", {}))
            if "reason" in state
        ),
    ]
    return ", ".join([f"is {status.get('phase', 'Pending')}", *filter(None, reasons)])


def _logs(api: Api, pods: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Index -> what a pod wrote; nothing of one whose container has not started."""
    logs = dict[int, str]()
    for one in pods:
        try:
            logs[_index(one)] = api.ask("GET", f"{PODS}/{one['metadata']['name']}/log")
        except RefusedError:
            logs[_index(one)] = ""
    return logs


def manifest(name: str, group: Group, image: str, seconds: int) -> dict[str, Any]:
    """A job of two pods on these nodes, each of them alone on its node."""
    program = Path(__file__).with_name("all_reduce.py").read_text(encoding="utf-8")
    devices = {"nvidia.com/gpu": str(group.gpus), "vpc.amazonaws.com/efa": str(group.nodes.efa_interfaces)}
    container = {
        "name": "fabric",
        "image": image,
        "command": ["sh", "-c", START, program, f"{name}-0.{name}", str(seconds)],
        "env": [
            {"name": "NCCL_NET", "value": "Libfabric"},
            # huge pages would have to be asked for beside the memory
            {"name": "FI_EFA_USE_HUGE_PAGE", "value": "0"},
        ],
        "resources": {
            "requests": {"cpu": str(group.gpus), "memory": MEMORY, **devices},
            "limits": {"memory": MEMORY, **devices},
        },
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108  where NCCL looks
    }
    pod = {
        "serviceAccountName": SERVICE_ACCOUNT,
        "subdomain": name,
        "restartPolicy": "Never",
        "nodeSelector": {NODE_GROUP: group.name},
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": NODE_GROUP, "operator": "Equal", "value": group.name, "effect": "NoSchedule"},
        ],
        "containers": [container],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        # the queue of the node group, where there is Kueue
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"kueue.x-k8s.io/queue-name": group.name}},
        "spec": {
            "completionMode": "Indexed",
            "completions": NODES,
            "parallelism": NODES,
            # the first pod that fails ends the check, and the other's log is read before it goes
            "backoffLimit": NODES,
            "activeDeadlineSeconds": seconds + KEPT_SECONDS,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": {"fabric": name}}, "spec": pod},
        },
    }


def _service(name: str, job_uid: str) -> dict[str, Any]:
    """By which the pods find the first of them; it goes with their job."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job_uid}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE, "ownerReferences": [owner]},
        # pods look for each other before any of them is ready
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"fabric": name}},
    }
