"""`train status`: how a stack stands, on one screen: what waits, what runs, what is wrong, what it costs now."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from client import instances, prices, show, stack
from client.account import AT_ONCE, said
from client.fleets import task_definition
from client.jobs.job import ENDS, STATES, UNDER_WAY, WAITING
from client.jobs.listing import jobs
from client.stack import Stack

WAITS, IN_FLIGHT = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
COLUMNS = {"part": "part", "name": "name", "now": "now"}
NOT_COUNTED = "storage, traffic, requests, endpoints, logs"


@dataclass(frozen=True)
class Section:
    """What was found of one part, or why it could not be."""

    found: Any
    error: str | None = None


def run(name: str | None, path: Path | None, *, as_json: bool) -> int:
    """Show how the stack stands; 1 where AWS did not let all of it be seen.

    Raises:
        TrainError: when AWS cannot be asked at all.

    """
    with stack.opened(name, path) as opened:
        looks: Mapping[str, Callable[[Stack], Any]] = {
            "queues": _queues,
            "jobs": _jobs,
            "workers": _workers,
            "nodes": _nodes,
            "alarms": _alarms,
            "costs": _costs,
        }
        # clients are made by one thread
        for service in ("batch", "cloudwatch", "ec2", "ecs", "eks", "sqs"):
            opened.client(service)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            sections = dict(zip(looks, pool.map(partial(_section, opened), looks.values()), strict=True))
    errors = {part: section.error for part, section in sections.items() if section.error}
    if as_json:
        found = {part: section.found for part, section in sections.items() if not section.error}
        show.one({**found, "errors": errors}, "", as_json=True)
    else:
        rows = [row for part, section in sections.items() for row in _rows(part, section)]
        show.rows(rows, COLUMNS, as_json=False)
    return int(bool(errors))


def _section(opened: Stack, look: Callable[[Stack], Any]) -> Section:
    try:
        return Section(look(opened))
    except ClientError as error:
        return Section(None, said(error))


def _queues(opened: Stack) -> dict[str, dict[str, int]]:
    """Queue -> its messages."""
    sqs, outputs = opened.client("sqs"), opened.outputs

    def count(url: str) -> dict[str, int]:
        given = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[WAITS, IN_FLIGHT])["Attributes"]
        return {key: int(given[key]) for key in (WAITS, IN_FLIGHT)}

    urls = [*outputs.queue_urls.values(), *outputs.dead_letter_queue_urls.values()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        counts = dict(zip(urls, pool.map(count, urls), strict=True))
    return {
        name: {
            "waiting": counts[url][WAITS],
            "inFlight": counts[url][IN_FLIGHT],
            "dead": sum(counts[outputs.dead_letter_queue_urls[name]].values()),
        }
        for name, url in outputs.queue_urls.items()
    }


def _jobs(opened: Stack) -> dict[str, dict[str, int]]:
    """Job queue -> state -> how many jobs are in it."""
    found = jobs(opened.client("batch"), opened.outputs.batch_job_queue_arns)
    counts = {queue: Counter(one["status"] for one in listed) for queue, listed in found.items()}
    return {queue: {state: count[state] for state in STATES} for queue, count in counts.items()}


def _workers(opened: Stack) -> dict[str, dict[str, int]]:
    """Fleet -> its tasks that run, and that are to run."""
    ecs, outputs = opened.client("ecs"), opened.outputs
    found: dict[str, dict[str, int]] = {}
    for fleet, arn in outputs.ecs_cluster_arns.items():
        answer = ecs.describe_services(cluster=arn, services=[outputs.ecs_service_names[fleet]])
        for one in answer["services"]:
            found[fleet] = {"running": one["runningCount"], "desired": one["desiredCount"]}
    return found


def _nodes(opened: Stack) -> dict[str, int]:
    """Node group -> its instances; those of the cluster that always run have a group of their own."""
    counts = Counter(group for group, _ in instances.of_cluster(opened))
    return dict.fromkeys(opened.outputs.eks_node_group_arns, 0) | dict(counts)


def _alarms(opened: Stack) -> list[dict[str, Any]]:
    """The stack's alarms that are raised: those that notify its topic."""
    topic = opened.outputs.alerts_topic_arn
    pages = (
        opened.client("cloudwatch").get_paginator("describe_alarms").paginate(StateValue="ALARM", ActionPrefix=topic)
    )
    return [
        {
            "name": one["AlarmName"],
            "since": f"{one['StateUpdatedTimestamp']:%Y-%m-%dT%H:%M:%SZ}",
            "reason": one.get("StateReason", ""),
        }
        for page in pages
        for one in page["MetricAlarms"]
        if topic in one["AlarmActions"] and one["StateValue"] == "ALARM"
    ]


def _costs(opened: Stack) -> dict[str, Any]:
    """What an hour costs as it is now, thing by thing, the dearest first."""
    counts: dict[str, float] = defaultdict(float)
    of_cluster = [one for _, one in instances.of_cluster(opened)]
    own = [*instances.of_batch(opened), *instances.of_workers(opened), *of_cluster]
    for one in own:
        counts[one["InstanceType"]] += 1
    for fleet, one in _workers(opened).items():
        definition = task_definition(opened.client("ecs"), opened.outputs, fleet)
        if "FARGATE" not in definition["requiresCompatibilities"]:
            # its instances are paid for
            continue
        counts[prices.FARGATE_VCPU] += one["running"] * int(definition["cpu"]) / 1024
        counts[prices.FARGATE_MEMORY] += one["running"] * int(definition["memory"]) / 1024
    counts[prices.CONTROL_PLANE] = int(bool(opened.outputs.eks_cluster_name))
    there = [{"Name": "vpc-id", "Values": [opened.outputs.vpc_id]}, {"Name": "state", "Values": ["available"]}]
    for page in opened.client("ec2").get_paginator("describe_nat_gateways").paginate(Filter=there):
        for gateway in page["NatGateways"]:
            counts[prices.NAT_GATEWAY] += 1
            counts[prices.PUBLIC_ADDRESS] += sum("PublicIp" in one for one in gateway["NatGatewayAddresses"])
    parts: list[dict[str, Any]] = [
        {"what": what, "count": count, "usdPerHour": None if price is None else round(count * price, 4)}
        for what, count in counts.items()
        if count
        for price in (prices.hourly(what),)
    ]
    spot = any(one.get("InstanceLifecycle") == "spot" for one in own) or counts[prices.FARGATE_VCPU] > 0
    return {
        "usdPerHour": round(sum(one["usdPerHour"] or 0 for one in parts), 4),
        "atMost": spot,
        "parts": sorted(parts, key=lambda one: -(one["usdPerHour"] or 0)),
        "withoutPrice": sorted(one["what"] for one in parts if one["usdPerHour"] is None),
        "pricesOf": prices.region(),
    }


def _rows(part: str, section: Section) -> Iterator[dict[str, str]]:
    """A part as lines for a person."""
    if section.error:
        yield {"part": part, "name": "", "now": section.error}
        return
    found = section.found
    match part:
        case "queues":
            for name, one in found.items():
                now = f"{one['waiting']} waiting, {one['inFlight']} in flight, {one['dead']} dead"
                yield {"part": "queue", "name": name, "now": now}
        case "jobs":
            for name, one in found.items():
                groups = {"waiting": WAITING, **{state.lower(): (state,) for state in (*UNDER_WAY, *ENDS)}}
                now = ", ".join(f"{sum(one[state] for state in states)} {word}" for word, states in groups.items())
                yield {"part": "jobs", "name": name, "now": now}
        case "workers":
            for name, one in found.items():
                yield {"part": "workers", "name": name, "now": f"{one['running']} running of {one['desired']}"}
        case "nodes":
            for name, count in found.items():
                yield {"part": "nodes", "name": name, "now": f"{count} running"}
        case "alarms":
            for one in found:
                yield {"part": "ALARM", "name": one["name"], "now": f"since {one['since']}: {one['reason']}"}
            if not found:
                yield {"part": "alarms", "name": "", "now": "none is raised"}
        case _:
            yield {"part": "cost", "name": "", "now": _cost(found)}


def _cost(found: Mapping[str, Any]) -> str:
    parts = ", ".join(f"{one['count']:g} {one['what']}" for one in found["parts"]) or "nothing that is paid by the hour"
    line = f"{'at most' if found['atMost'] else 'about'} ${found['usdPerHour']:,.2f} an hour: {parts}"
    if found["withoutPrice"]:
        line += f"; no price is known for {', '.join(found['withoutPrice'])}"
    return f"{line}; by list prices of {found['pricesOf']}, without {NOT_COUNTED}"
