"""JSON documents whose grammar AWS or Kubernetes publishes outside of any API's shapes."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from local.checks.api import described
from local.checks.plain import is_list, is_object, mapping, missing, number, wrong
from local.checks.rules import Document, Inputs, select
from local.engine import UNKNOWN

DASHBOARD_COLUMNS = 24
"""Width of a dashboard (CloudWatch API, "Dashboard body structure and syntax")."""


def mistakes(documents: Mapping[str, Document], inputs: Inputs) -> Iterator[str]:
    """What is wrong with the JSON documents among the inputs."""
    for path, check in documents.items():
        for where, text in select(inputs, path):
            if not isinstance(text, str) or text in (UNKNOWN, ""):
                continue
            try:
                value = json.loads(text)
            except json.JSONDecodeError as error:
                yield wrong(where, f"contains an invalid JSON: {error.msg[0].lower()}{error.msg[1:]}", text)
            else:
                yield from check(value, where)


def _text(*enum: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", **({"enum": list(enum)} if enum else {}), **more}


def _whole(low: int, high: int | None = None) -> dict[str, Any]:
    return {"type": "integer", "min": low, **({} if high is None else {"max": high})}


def _list(member: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "list", "member": dict(member), **more}


def _object(name: str, required: Sequence[str] = (), /, **members: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "structure", "shape_name": name, "required": list(required), "members": members}


def _renamed(shape: dict[str, Any], **names: str) -> dict[str, Any]:
    """A shape with members whose names Python cannot spell."""
    members = {names.get(key, key): member for key, member in shape["members"].items()}
    return shape | {"members": members}


_REDRIVE = described(
    _object(
        "RedrivePolicy",
        ["deadLetterTargetArn", "maxReceiveCount"],
        deadLetterTargetArn=_text(pattern=r"arn:[a-z-]+:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+(\.fifo)?"),
        maxReceiveCount={"type": "integer"},
    )
)

_REDRIVE_ALLOW = described(
    _object(
        "RedriveAllowPolicy",
        ["redrivePermission"],
        redrivePermission=_text("allowAll", "denyAll", "byQueue"),
        sourceQueueArns=_list(_text(pattern=r"arn:[a-z-]+:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+(\.fifo)?"), max=10),
    )
)


def redrive(value: Any, path: str) -> Iterator[str]:
    """A queue's redrive policy (SQS API, `SetQueueAttributes`)."""
    # SQS takes the count as text, too
    if is_object(value) and (count := number(value.get("maxReceiveCount"))) is not None:
        value = {**value, "maxReceiveCount": int(count)}
        if not 1 <= count <= 1000:
            words = f"Invalid value for maxReceiveCount: {int(count)}, valid values are from 1 to 1000 both inclusive."
            yield wrong(f"{path}.maxReceiveCount", words, int(count))
    yield from _REDRIVE(value, path)


def subscription_redrive(value: Any, path: str) -> Iterator[str]:
    """Where a subscription sends what it could not deliver (SNS API, `Subscribe`)."""
    yield from _SUBSCRIPTION_REDRIVE(value, path)


_SUBSCRIPTION_REDRIVE = described(
    _object(
        "RedrivePolicy",
        ["deadLetterTargetArn"],
        deadLetterTargetArn=_text(pattern=r"arn:[a-z-]+:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+(\.fifo)?"),
    )
)


def redrive_allow(value: Any, path: str) -> Iterator[str]:
    """A dead-letter queue's redrive allow policy (SQS API, `SetQueueAttributes`)."""
    yield from _REDRIVE_ALLOW(value, path)
    allowed = mapping(value)
    sources = allowed.get("sourceQueueArns")
    if allowed.get("redrivePermission") == "byQueue" and not sources:
        yield missing(f"{path}.sourceQueueArns")
    if allowed.get("redrivePermission") in ("allowAll", "denyAll") and sources is not None:
        yield wrong(f"{path}.sourceQueueArns", "goes with redrivePermission byQueue only", sources)


_METRIC_PROPERTIES = _object(
    "metric properties",
    accountId=_text(),
    annotations={"type": "map", "key": _text(), "value": _list({"type": "map", "key": _text(), "value": _text()})},
    end=_text(),
    labels={"type": "map", "key": _text(), "value": _text()},
    legend=_object("legend", ["position"], position=_text("right", "bottom", "hidden")),
    liveData={"type": "boolean"},
    metrics=_list(_text(), min=1, max=500),
    period=_whole(1),
    region=_text(min=1),
    setPeriodToTimeRange={"type": "boolean"},
    singleValueFullPrecision={"type": "boolean"},
    sparkline={"type": "boolean"},
    stacked={"type": "boolean"},
    start=_text(),
    stat=_text(),
    table={"type": "map", "key": _text(), "value": _text()},
    timezone=_text(),
    title=_text(),
    trend={"type": "boolean"},
    view=_text("timeSeries", "singleValue", "gauge", "bar", "pie", "table"),
    yAxis={"type": "map", "key": _text("left", "right"), "value": {"type": "map", "key": _text(), "value": _text()}},
)
"""Keys of a metric widget's properties; what is inside of the free ones is not looked into."""

_FREE = ("annotations", "labels", "metrics", "table", "yAxis")

_WIDGET = described(
    _object(
        "Widget",
        ["type", "properties"],
        height=_whole(1, 1000),
        properties={"type": "map", "key": _text(), "value": _text()},
        type=_text("metric", "text", "log", "alarm", "explorer", "custom"),
        width=_whole(1, DASHBOARD_COLUMNS),
        x=_whole(0, DASHBOARD_COLUMNS - 1),
        y=_whole(0),
    )
)

_BODY = described(
    _object(
        "dashboard body",
        end=_text(),
        periodOverride=_text("auto", "inherit"),
        start=_text(),
        variables=_list({"type": "map", "key": _text(), "value": _text()}),
        widgets=_list({"type": "map", "key": _text(), "value": _text()}, max=500),
    )
)

_NEEDED = {"text": ["markdown"], "log": ["query", "region"], "alarm": ["alarms"], "custom": ["endpoint"]}
"""Type of a widget -> the properties that it has to have; a metric widget's are looked at one by one."""


def dashboard(value: Any, path: str) -> Iterator[str]:
    """The body of a dashboard (CloudWatch API, "Dashboard body structure and syntax")."""
    if not is_object(value):
        yield wrong(path, "must be an object", value)
        return
    body = value
    yield from _BODY({**body, "widgets": []}, path)
    if not is_list(body.get("widgets")):
        yield missing(f"{path}.widgets")
        return
    for index, widget in enumerate(body["widgets"]):
        yield from _widget(widget, f"{path}.widgets[{index}]")


def _widget(widget: Any, path: str) -> Iterator[str]:
    if not is_object(widget):
        yield wrong(path, "must be an object", widget)
        return
    given = widget
    yield from _WIDGET({**given, **({"properties": {}} if is_object(given.get("properties")) else {})}, path)
    x, width = number(given.get("x")), number(given.get("width"))
    if x is not None and width is not None and x < DASHBOARD_COLUMNS and width <= DASHBOARD_COLUMNS < x + width:
        yield wrong(f"{path}.width", f"must end within {DASHBOARD_COLUMNS} columns from x {x:g}", given["width"])
    properties = given.get("properties")
    if not is_object(properties):
        return
    inner = f"{path}.properties"
    content = properties
    for key in _NEEDED.get(str(given.get("type")), ()):
        if key not in content:
            yield missing(f"{inner}.{key}")
    if given.get("type") == "metric":
        yield from _CHECK_METRIC({key: one for key, one in content.items() if key not in _FREE}, inner)
        if "region" not in content:
            yield missing(f"{inner}.region")
        if not content.get("metrics") and not content.get("annotations"):
            yield missing(f"{inner}.metrics")
        for index, metric in enumerate(content.get("metrics") or ()):
            yield from _metric(metric, f"{inner}.metrics[{index}]")


_CHECK_METRIC = described(_METRIC_PROPERTIES)


def _metric(metric: Any, path: str) -> Iterator[str]:
    """A metric is its namespace, its name and pairs of dimensions, and how it is drawn; or an expression alone."""
    if not is_list(metric) or not metric:
        yield wrong(path, "must be a list of namespace, name and dimensions", metric)
        return
    options = mapping(metric[-1])
    words = metric[:-1] if options else metric
    if not words and "expression" in options:
        return
    if len(words) < 2 or len(words) % 2 or not all(isinstance(word, str) for word in words):
        yield wrong(path, "must be a namespace, a name, and pairs of a dimension's name and value", metric)


_LIFECYCLE = described(
    _object(
        "lifecycle policy",
        ["rules"],
        rules=_list(
            _object(
                "rule",
                ["rulePriority", "selection", "action"],
                rulePriority=_whole(1),
                description=_text(),
                selection=_object(
                    "selection",
                    ["tagStatus", "countType", "countNumber"],
                    tagStatus=_text("tagged", "untagged", "any"),
                    tagPatternList=_list(_text(), min=1, max=4),
                    tagPrefixList=_list(_text(), min=1),
                    storageClass=_text("standard", "archive"),
                    countType=_text(
                        "imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"
                    ),
                    countUnit=_text("days"),
                    countNumber=_whole(1),
                ),
                action=_object(
                    "action",
                    ["type"],
                    type=_text("expire", "transition"),
                    targetStorageClass=_text("archive"),
                ),
            ),
            min=1,
            max=50,
        ),
    )
)


def lifecycle(value: Any, path: str) -> Iterator[str]:
    """An image repository's lifecycle policy (ECR user guide, "Lifecycle policy properties")."""
    found = list(_LIFECYCLE(value, path))
    yield from found
    if found:
        return
    rules = value["rules"]
    priorities = [rule["rulePriority"] for rule in rules]
    for index, rule in enumerate(rules):
        where, selection = f"{path}.rules[{index}]", rule["selection"]
        if rule["rulePriority"] in priorities[:index]:
            yield wrong(f"{where}.rulePriority", "must be another one for each rule", rule["rulePriority"])
        tagged = "tagPrefixList" in selection or "tagPatternList" in selection
        if selection["tagStatus"] == "tagged" and not tagged:
            yield missing(f"{where}.selection.tagPrefixList")
        if selection["tagStatus"] != "tagged" and tagged:
            yield wrong(f"{where}.selection.tagStatus", "must be 'tagged' with a list of tags", selection["tagStatus"])
        if selection["tagStatus"] == "any" and rule["rulePriority"] < max(priorities):
            yield wrong(f"{where}.rulePriority", "must be the highest with tagStatus any", rule["rulePriority"])
        since = selection["countType"].startswith("since")
        if since and "countUnit" not in selection:
            yield missing(f"{where}.selection.countUnit")
        if not since and "countUnit" in selection:
            yield wrong(
                f"{where}.selection.countUnit",
                "goes with a countType that begins with sinceImage",
                selection["countUnit"],
            )


_EVENT_KEYS = (
    "$or",
    "account",
    "detail",
    "detail-type",
    "id",
    "region",
    "resources",
    "source",
    "time",
    "version",
)

_FILTERS = (
    "anything-but",
    "cidr",
    "equals-ignore-case",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
)


def event_pattern(value: Any, path: str) -> Iterator[str]:
    """A rule's event pattern (EventBridge user guide, "Event patterns")."""
    if not is_object(value) or not value:
        yield wrong(path, "Event pattern is not valid. Reason: Filter is not an object", value)
        return
    content = value
    for key, one in content.items():
        if key not in _EVENT_KEYS:
            yield wrong(f"{path}.{key}", f"is no field of an event, which are {', '.join(_EVENT_KEYS)}", one)
        else:
            yield from _pattern(one, f"{path}.{key}", in_or=key == "$or")


def _pattern(value: Any, path: str, *, in_or: bool = False) -> Iterator[str]:
    if is_object(value) and value:
        for key, one in value.items():
            yield from _pattern(one, f"{path}.{key}", in_or=key == "$or")
    elif not is_list(value):
        # EventBridge's own words, but for the path
        yield wrong(path, "Event pattern is not valid. Reason: must be an object or an array", value)
    elif not value:
        yield wrong(path, "Event pattern is not valid. Reason: Empty arrays are not allowed", value)
    else:
        for index, one in enumerate(value):
            if in_or:
                yield from _pattern(one, f"{path}[{index}]")
            elif is_object(one) and not (len(one) == 1 and next(iter(one)) in _FILTERS):
                words = (
                    f"Event pattern is not valid. Reason: Unrecognized match type, must be one of {_listed(_FILTERS)}"
                )
                yield wrong(f"{path}[{index}]", words, one)
            elif is_list(one):
                yield wrong(f"{path}[{index}]", "Event pattern is not valid. Reason: must be a value or a filter", one)


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)


_NAMED: Callable[..., dict[str, Any]] = partial(_object, "entry")

_KUBECONFIG = described(
    _renamed(
        _object(
            "kubeconfig",
            ["apiVersion", "clusters", "contexts", "users", "current-context"],
            apiVersion=_text("v1"),
            kind=_text("Config"),
            preferences={"type": "map", "key": _text(), "value": _text()},
            clusters=_list(
                _NAMED(
                    ["name", "cluster"],
                    name=_text(min=1),
                    cluster=_renamed(
                        _object(
                            "cluster",
                            ["server"],
                            server=_text(pattern=r"https?://.+"),
                            authority=_text(),
                            authority_data=_text(pattern=r"[A-Za-z0-9+/=\n]+"),
                            insecure={"type": "boolean"},
                            tls_server_name=_text(),
                            proxy=_text(),
                            compression={"type": "boolean"},
                        ),
                        authority="certificate-authority",
                        authority_data="certificate-authority-data",
                        insecure="insecure-skip-tls-verify",
                        tls_server_name="tls-server-name",
                        proxy="proxy-url",
                        compression="disable-compression",
                    ),
                ),
                min=1,
            ),
            contexts=_list(
                _NAMED(
                    ["name", "context"],
                    name=_text(min=1),
                    context=_object("context", ["cluster", "user"], cluster=_text(), user=_text(), namespace=_text()),
                ),
                min=1,
            ),
            users=_list(
                _NAMED(
                    ["name", "user"],
                    name=_text(min=1),
                    user=_renamed(
                        _object(
                            "user",
                            token=_text(),
                            token_file=_text(),
                            username=_text(),
                            password=_text(),
                            certificate=_text(),
                            certificate_data=_text(),
                            key=_text(),
                            key_data=_text(),
                            exec=_object(
                                "exec",
                                ["apiVersion", "command"],
                                apiVersion=_text(
                                    "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"
                                ),
                                args=_list(_text()),
                                command=_text(min=1),
                                env=_list(_object("env", ["name", "value"], name=_text(), value=_text())),
                                installHint=_text(),
                                interactiveMode=_text("Never", "IfAvailable", "Always"),
                                provideClusterInfo={"type": "boolean"},
                            ),
                        ),
                        token_file="tokenFile",
                        certificate="client-certificate",
                        certificate_data="client-certificate-data",
                        key="client-key",
                        key_data="client-key-data",
                    ),
                ),
                min=1,
            ),
            current=_text(min=1),
        ),
        current="current-context",
    )
)


def kubeconfig(value: Any, path: str) -> Iterator[str]:
    """A kubeconfig (Kubernetes, "kubeconfig (v1)"), whose names fit each other."""
    found = list(_KUBECONFIG(value, path))
    yield from found
    if found:
        return
    names = {kind: [entry["name"] for entry in value[kind]] for kind in ("clusters", "contexts", "users")}
    if value["current-context"] not in names["contexts"]:
        yield wrong(f"{path}.current-context", "must name a context", value["current-context"])
    for index, entry in enumerate(value["contexts"]):
        for kind in ("cluster", "user"):
            if entry["context"][kind] not in names[f"{kind}s"]:
                yield wrong(f"{path}.contexts[{index}].context.{kind}", f"must name a {kind}", entry["context"][kind])
