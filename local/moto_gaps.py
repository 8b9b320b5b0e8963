"""Adds to moto what this stack needs of AWS and moto does not do."""

import json
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, cast

CUSTOM_ID = "_custom_id_"
"""Tag by which other services of moto take the id of a new resource."""

QUOTAS = {
    ("ec2", "L-0263D0A3"): ("EC2-VPC Elastic IPs", 50.0),
    ("ec2", "L-1216C47A"): ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 4096.0),
    ("ec2", "L-1945791B"): ("Running On-Demand Inf instances", 4096.0),
    ("ec2", "L-2C3B7624"): ("Running On-Demand Trn instances", 4096.0),
    ("ec2", "L-34B43A08"): ("All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 4096.0),
    ("ec2", "L-3819A6DF"): ("All G and VT Spot Instance Requests", 4096.0),
    ("ec2", "L-417A185B"): ("Running On-Demand P instances", 4096.0),
    ("ec2", "L-6B0D517C"): ("All Trn Spot Instance Requests", 4096.0),
    ("ec2", "L-6E869C2A"): ("Running On-Demand DL instances", 4096.0),
    ("ec2", "L-7212CCBC"): ("All P4, P3 and P2 Spot Instance Requests", 4096.0),
    ("ec2", "L-85EED4F7"): ("All DL Spot Instance Requests", 4096.0),
    ("ec2", "L-B5D1601B"): ("All Inf Spot Instance Requests", 4096.0),
    ("ec2", "L-C4BD4855"): ("All P5 Spot Instance Requests", 4096.0),
    ("ec2", "L-DB2E81BA"): ("Running On-Demand G and VT instances", 4096.0),
    ("fargate", "L-3032A538"): ("Fargate On-Demand vCPU resource count", 4000.0),
    ("fargate", "L-36FBB829"): ("Fargate Spot vCPU resource count", 4000.0),
    ("vpc", "L-F678F1CE"): ("VPCs per Region", 50.0),
    ("vpc", "L-FE5A380F"): ("NAT gateways per Availability Zone", 50.0),
}
"""Service and quota code -> name and value of each quota that moto does not have."""


OFFERED_ELSEWHERE = (
    *("c7i.large", "g4dn.12xlarge", "g4dn.xlarge", "g5.12xlarge", "g5.48xlarge"),
    *("m5.large", "m6i.large", "m7i.large", "p3.16xlarge", "p4d.24xlarge"),
)
"""Instance types of regions of which moto knows none, those of GovCloud and China; AWS has others."""
REGIONS_ELSEWHERE = ("cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1")


def fill() -> None:
    """Fill the gaps of each service when moto loads it; loading all services takes as long as the server's start."""
    from moto import backends

    gaps = {
        "batch": _batch,
        "ec2": _ec2,
        "eks": _eks,
        "fsx": _fsx,
        "iam": _iam,
        "s3": _s3,
        "servicequotas": _service_quotas,
        "sqs": _sqs,
    }
    load: Any = backends.get_backend
    lock = threading.Lock()

    def load_and_fill(name: str) -> Any:
        with lock:
            if (gap := gaps.pop(name, None)) is not None:
                gap()
        return load(name)

    backends.get_backend = load_and_fill


def _batch() -> None:
    """A compute environment keeps an update's values, and cannot be deleted while it is enabled or in a queue.

    The description of a multi-node job definition has its nodes.
    """
    from moto.batch import models
    from moto.batch.exceptions import ClientException

    backend: Any = models.BatchBackend
    update, delete = backend.update_compute_environment, backend.delete_compute_environment

    def delete_what_is_free(self: Any, compute_environment_name: str) -> None:
        environment = self.get_compute_environment(compute_environment_name)
        if environment is not None and environment.state == "ENABLED":
            raise ClientException("Cannot delete, compute environment is still in ENABLED state")
        if any(environment in queue.environments for queue in self._job_queues.values()):
            raise ClientException("Cannot delete, found existing JobQueue relationship")
        delete(self, compute_environment_name)

    def update_and_keep(self: Any, **given: Any) -> tuple[str, str]:
        updated = update(self, **given)
        environment = self.get_compute_environment(given["compute_environment_name"])
        environment.compute_resources.update(given["compute_resources"] or {})
        return updated

    backend.update_compute_environment, backend.delete_compute_environment = update_and_keep, delete_what_is_free

    definition: Any = models.JobDefinition
    describe = definition.describe

    def describe_nodes(self: Any) -> dict[str, Any]:
        return describe(self) | ({"nodeProperties": self.node_properties} if self.node_properties else {})

    definition.describe = describe_nodes


def _offer_elsewhere() -> None:
    from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    for region in REGIONS_ELSEWHERE:
        zones = [one.name for one in RegionsAndZonesBackend.zones[region]]
        for kind, places in {"region": [region], "availability-zone": zones}.items():
            INSTANCE_TYPE_OFFERINGS[kind][region] = [
                {"InstanceType": one, "LocationType": kind, "Location": place}
                for one in OFFERED_ELSEWHERE
                for place in places
            ]


def _ec2() -> None:
    """A VPC or subnet gets the id that its tag names."""
    from moto.ec2.models import subnets, vpcs

    wanted: ContextVar[str | None] = ContextVar("wanted", default=None)

    def told(kind: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def make_it(self: Any, *given: Any, tags: Any = None, **named: Any) -> Any:
            # a VPC's tags come as in the request, a subnet's by kind of resource
            pairs: dict[str, str] = (
                {one["Key"]: one["Value"] for one in cast("list[Any]", tags)}
                if isinstance(tags, list)
                else cast("dict[str, Any]", tags or {}).get(kind, {})
            )
            before = wanted.set(pairs.get(CUSTOM_ID))
            try:
                return make(self, *given, tags=tags, **named)
            finally:
                wanted.reset(before)

        return make_it

    _offer_elsewhere()
    modules: Any = (vpcs, "VPCBackend", "vpc"), (subnets, "SubnetBackend", "subnet")
    for module, backend, kind in modules:
        invent = getattr(module, f"random_{kind}_id")
        setattr(module, f"random_{kind}_id", lambda invent=invent: wanted.get() or invent())
        create = f"create_{kind}"
        setattr(getattr(module, backend), create, told(kind, getattr(getattr(module, backend), create)))


def _eks() -> None:
    """Versions of clusters and node groups can be updated, and node groups tagged."""
    from moto.core.responses import ActionResult
    from moto.eks import responses, urls
    from moto.eks.exceptions import ResourceNotFoundException
    from moto.eks.models import EKSBackend

    def update_cluster_version(self: Any) -> Any:
        self.eks_backend.describe_cluster(self._get_param("name")).version = self._get_param("version")
        return updated()

    def update_nodegroup_version(self: Any) -> Any:
        group = self.eks_backend.describe_nodegroup(self._get_param("name"), self._get_param("nodegroupName"))
        group.version = self._get_param("version") or group.version
        group.launch_template = self._get_param("launchTemplate") or group.launch_template
        return updated()

    def updated() -> Any:
        return ActionResult({"update": {"id": "update", "status": "Successful", "type": "VersionUpdate"}})

    def tags(self: Any, resource_arn: str) -> dict[str, str]:
        for cluster in self.clusters.values():
            for one in (cluster, *cluster.nodegroups.values()):
                if one.arn == resource_arn:
                    return one.tags
        raise ResourceNotFoundException(message=f"No resource found for: {resource_arn}.")

    def tag(self: Any, resource_arn: str, given: dict[str, str]) -> None:
        tags(self, resource_arn).update(given)

    def untag(self: Any, resource_arn: str, tag_keys: list[str] | str) -> None:
        for key in [tag_keys] if isinstance(tag_keys, str) else tag_keys:
            tags(self, resource_arn).pop(key, None)

    response: Any = responses.EKSResponse
    response.update_cluster_version, response.update_nodegroup_version = (
        update_cluster_version,
        update_nodegroup_version,
    )
    backend: Any = EKSBackend
    backend.list_tags_for_resource, backend.tag_resource, backend.untag_resource = tags, tag, untag
    for path in ("updates", "node-groups/(?P<nodegroupName>[^/]+)/update-version"):
        urls.url_paths[f"{{0}}/clusters/(?P<name>[^/]+)/{path}$"] = urls.response.dispatch


def _fsx() -> None:
    """A file system can be updated."""
    from moto.fsx.responses import FSxResponse

    def update_file_system(self: Any) -> str:
        given = json.loads(self.body)
        (file_system,) = self.fsx_backend.describe_file_systems([given["FileSystemId"]])[0]
        file_system.storage_capacity = given.get("StorageCapacity", file_system.storage_capacity)
        file_system.lustre_configuration |= given.get("LustreConfiguration", {})
        return json.dumps({"FileSystem": file_system.to_dict()})

    response: Any = FSxResponse
    response.update_file_system = update_file_system


def _iam() -> None:
    """A policy that somebody has stays."""
    from moto.iam.exceptions import DeleteConflictException
    from moto.iam.models import IAMBackend

    backend: Any = IAMBackend
    delete = backend.delete_policy

    def delete_what_nobody_has(self: Any, policy_arn: str) -> None:
        if self.get_policy(policy_arn).attachment_count:
            raise DeleteConflictException("Cannot delete a policy attached to entities.")
        delete(self, policy_arn)

    backend.delete_policy = delete_what_nobody_has


def _s3() -> None:
    """A bucket policy's denial with a condition does not apply: moto reads no condition, and would deny everything."""
    from moto.iam.access_control import IAMPolicy, PermissionResult
    from moto.s3.models import FakeBucket

    def get_permission(self: Any, action: str, resource: str) -> Any:
        if self.policy is None:
            return PermissionResult.NEUTRAL
        policy = json.loads(self.policy)
        policy["Statement"] = [one for one in policy["Statement"] if one["Effect"] != "Deny" or "Condition" not in one]
        return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)

    bucket: Any = FakeBucket
    bucket.get_permission = get_permission


def _service_quotas() -> None:
    """The account has quotas like an account that has asked AWS for more."""
    from moto.servicequotas import models

    backend: Any = models.ServiceQuotasBackend
    get = backend.get_service_quota

    def get_service_quota(self: Any, service_code: str, quota_code: str) -> dict[str, Any]:
        if (service_code, quota_code) not in QUOTAS:
            return get(self, service_code, quota_code)
        name, value = QUOTAS[service_code, quota_code]
        return {
            "Adjustable": True,
            "GlobalQuota": False,
            "QuotaArn": (
                f"arn:{self.partition}:servicequotas:{self.region_name}:{self.account_id}:{service_code}/{quota_code}"
            ),
            "QuotaCode": quota_code,
            "QuotaName": name,
            "ServiceCode": service_code,
            "ServiceName": service_code,
            "Unit": "None",
            "Value": value,
        }

    backend.get_service_quota = get_service_quota


def _sqs() -> None:
    """A queue returns every attribute that it was given, keeps its policy when another is set, and can be redriven."""
    from moto.sqs.models import Queue

    _redrive()

    queue: Any = Queue
    told, set_ = queue.attributes.fget, queue._set_attributes  # noqa: SLF001

    def attributes(self: Any) -> dict[str, Any]:
        kept = {"RedriveAllowPolicy": "redrive_allow_policy", "SqsManagedSseEnabled": "sqs_managed_sse_enabled"}
        return told(self) | {name: value for name, key in kept.items() if (value := getattr(self, key, None))}

    def set_attributes(self: Any, attributes: dict[str, Any], now: float | None = None) -> None:
        set_(self, {"Policy": getattr(self, "policy", None)} | attributes, now)

    queue.attributes, queue._set_attributes = property(attributes), set_attributes  # noqa: SLF001


def _redrive() -> None:
    """What waits in a dead-letter queue is moved back, at once."""
    from moto.core.responses import ActionResult
    from moto.core.utils import unix_time_millis
    from moto.sqs.exceptions import InvalidParameterValue
    from moto.sqs.responses import SQSResponse

    done: dict[str, list[dict[str, Any]]] = {}

    def start_message_move_task(self: Any) -> Any:
        arn, backend = self._get_param("SourceArn"), self.sqs_backend
        source = backend.get_queue(arn.rpartition(":")[2])
        origin = next((one for one in backend.queues.values() if one.dead_letter_queue is source), None)
        if origin is None:
            raise InvalidParameterValue("Source queue must be configured as a Dead Letter Queue.")
        waiting = list(source.messages)
        for message in waiting:
            source._messages.remove(message)  # noqa: SLF001
            # as a new message, with an id of its own
            backend.send_message(
                origin.name, message.body, deduplication_id=message.deduplication_id, group_id=message.group_id
            )
        started = int(unix_time_millis())
        done.setdefault(arn, []).insert(
            0,
            {
                "Status": "COMPLETED",
                "SourceArn": arn,
                "ApproximateNumberOfMessagesMoved": len(waiting),
                "ApproximateNumberOfMessagesToMove": len(waiting),
                "StartedTimestamp": started,
            },
        )
        return ActionResult({"TaskHandle": f"{arn}/{started}"})

    def list_message_move_tasks(self: Any) -> Any:
        most = int(self._get_param("MaxResults") or 1)
        return ActionResult({"Results": done.get(self._get_param("SourceArn"), [])[:most]})

    response: Any = SQSResponse
    response.start_message_move_task, response.list_message_move_tasks = (
        start_message_move_task,
        list_message_move_tasks,
    )
