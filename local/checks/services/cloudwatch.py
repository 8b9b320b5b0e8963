"""Amazon CloudWatch, CloudWatch Logs and EventBridge (APIs)."""

import re
from collections.abc import Iterator, Mapping

from local.checks import documents, policies
from local.checks.plain import is_list, missing, number, wrong
from local.checks.references import Known
from local.checks.rules import (
    Checks,
    Inputs,
    Rule,
    at_most,
    conflicting,
    given,
    matching,
    not_matching,
    one_of,
    select,
    within,
)
from local.checks.services.ecs import metric_math

DAY_SECONDS = 24 * 3600
LONGEST_EVALUATION_SECONDS = 7 * DAY_SECONDS
"""CloudWatch API, `PutMetricAlarm`: seven days with periods of an hour and longer, one day with shorter ones."""

RETENTION_DAYS = (
    *(0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)

ACTION = r"arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:(\d{12})?:.+"


def _alarm(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    if given(inputs, "statistic") and given(inputs, "extendedStatistic"):
        yield wrong("extendedStatistic", "conflicts with statistic", inputs["extendedStatistic"])
    queries = inputs.get("metricQueries")
    if given(inputs, "metricName"):
        if queries:
            yield wrong("metricQueries", "conflicts with metricName", len(queries))
        if not given(inputs, "statistic") and not given(inputs, "extendedStatistic"):
            yield missing("statistic")
        for key in ("namespace", "period"):
            if not given(inputs, key):
                yield missing(key)
    elif is_list(queries):
        yield from metric_math(queries, "metricQueries", returned=False)
    elif not queries:
        yield missing("metricName")
    if not given(inputs, "threshold") and inputs.get("threshold") != 0 and not given(inputs, "thresholdMetricId"):
        yield missing("threshold")
    periods, datapoints, period = (
        number(inputs.get(key)) for key in ("evaluationPeriods", "datapointsToAlarm", "period")
    )
    if periods is not None and datapoints is not None and datapoints > periods:
        yield wrong(
            "datapointsToAlarm",
            f"must be less than or equal to evaluationPeriods ({periods:g})",
            inputs["datapointsToAlarm"],
        )
    if periods is not None and period is not None:
        longest = LONGEST_EVALUATION_SECONDS if period >= 3600 else DAY_SECONDS
        if periods * period > longest:
            yield wrong(
                "evaluationPeriods",
                f"Metrics cannot be checked across more than {longest} seconds (EvaluationPeriods * Period)",
                inputs["evaluationPeriods"],
            )


def _period(path: str) -> Rule:
    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        del known

        for where, value in select(inputs, path):
            seconds = number(value)
            if seconds is not None and seconds not in (10, 20, 30) and (seconds <= 0 or seconds % 60):
                yield wrong(where, "Period must be 10, 20, 30 or a multiple of 60", value)

    return rule


def _schedule(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    expression = inputs.get("scheduleExpression")
    if not given(inputs, "eventPattern") and not given(inputs, "scheduleExpression"):
        yield missing("eventPattern")
    if isinstance(expression, str) and (rate := re.fullmatch(r"rate\((\d+) (minute|hour|day)(s?)\)", expression)):
        if (int(rate[1]) == 1) is bool(rate[3]) or int(rate[1]) < 1:
            yield wrong("scheduleExpression", "Parameter ScheduleExpression is not valid.", expression)
    elif isinstance(expression, str) and not re.fullmatch(r"cron\(\S+( \S+){5}\)|[0-9a-f-]{36}", expression):
        yield wrong("scheduleExpression", "Parameter ScheduleExpression is not valid.", expression)


CHECKS: Mapping[str, Checks] = {
    "aws:cloudwatch/metricAlarm:MetricAlarm": Checks(
        api=("cloudwatch", "PutMetricAlarm"),
        rename={
            "name": "AlarmName",
            "metricQueries": "Metrics",
            "metricQueries.metric": "MetricStat",
            "metricQueries.metric.metricName": "Metric.MetricName",
            "metricQueries.metric.namespace": "Metric.Namespace",
        },
        values=(
            _period("period"),
            _period("metricQueries[].period"),
            _period("metricQueries[].metric.period"),
            one_of("treatMissingData", "missing", "ignore", "breaching", "notBreaching"),
            one_of("evaluateLowSampleCountPercentiles", "evaluate", "ignore"),
            *(
                matching(f"{key}[]", ACTION, "Invalid arn syntax")
                for key in ("alarmActions", "okActions", "insufficientDataActions")
            ),
            _alarm,
        ),
        limits=(
            at_most("metricQueries", 20, "metrics and expressions"),
            at_most("dimensions", 30, "dimensions"),
        ),
    ),
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": Checks(
        api=("cloudwatch", "PutCompositeAlarm"),
        values=(
            matching(
                "alarmRule",
                r"(\s|\(|\)|AND|OR|NOT|TRUE|FALSE|(ALARM|OK|INSUFFICIENT_DATA)\(\s*(\"[^\"]+\"|'[^']+'|[^\s()\"']+)\s*\))+",
                "AlarmRule must be made of ALARM(), OK(), INSUFFICIENT_DATA(), TRUE, FALSE, AND, OR and NOT",
            ),
        ),
        limits=(at_most("alarmRule", 10_240, "characters"),),
    ),
    "aws:cloudwatch/dashboard:Dashboard": Checks(
        api=("cloudwatch", "PutDashboard"),
        documents={"dashboardBody": documents.dashboard},
        limits=(
            matching(
                "dashboardName", r"[A-Za-z0-9_-]{1,255}", "must be 1 to 255 letters, digits, hyphens and underscores"
            ),
            at_most("dashboardBody", 1_048_576, "bytes"),
        ),
    ),
    "aws:cloudwatch/logGroup:LogGroup": Checks(
        api=("logs", "CreateLogGroup"),
        rename={"name": "logGroupName"},
        values=(
            one_of(
                "retentionInDays",
                *RETENTION_DAYS,
                words=f"Member must satisfy enum value set: [{', '.join(map(str, RETENTION_DAYS[1:]))}]",
            ),
            conflicting("name", ("namePrefix",)),
        ),
    ),
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": Checks(
        api=("logs", "PutResourcePolicy"),
        documents={"policyDocument": policies.on("logs")},
        limits=(at_most("policyDocument", 5120, "characters"),),
    ),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": Checks(
        api=("logs", "PutMetricFilter"),
        rename={
            "name": "filterName",
            "pattern": "filterPattern",
            "metricTransformation": "metricTransformations",
            "metricTransformation.name": "metricName",
            "metricTransformation.namespace": "metricNamespace",
            "metricTransformation.value": "metricValue",
        },
    ),
    "aws:cloudwatch/eventRule:EventRule": Checks(
        api=("events", "PutRule"),
        documents={"eventPattern": documents.event_pattern},
        values=(_schedule, conflicting("isEnabled", ("state",)), conflicting("name", ("namePrefix",))),
        limits=(at_most("eventPattern", 4096, "characters"),),
    ),
    "aws:cloudwatch/eventTarget:EventTarget": Checks(
        api=("events", "PutTargets"),
        values=(
            matching("arn", ACTION, "Provided Arn is not in correct format."),
            conflicting("input", ("inputPath", "inputTransformer")),
            conflicting("inputPath", ("inputTransformer",)),
            within("retryPolicy.maximumEventAgeInSeconds", 60, 86_400),
            within("retryPolicy.maximumRetryAttempts", 0, 185),
            not_matching("targetId", r"[^.\-_A-Za-z0-9]", "must be letters, digits, dots, hyphens and underscores"),
        ),
        limits=(at_most("targetId", 64, "characters"),),
    ),
}
