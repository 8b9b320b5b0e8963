"""Service Quotas: how many of a kind AWS lets an account have."""

from collections.abc import Mapping
from typing import Any

from local.aws import Aws
from local.parameters import call
from local.record import answers


@answers(
    "aws:servicequotas/getServiceQuota:getServiceQuota",
    needs="servicequotas:GetAWSDefaultServiceQuota servicequotas:GetServiceQuota",
    lasting=True,
)
def get_service_quota(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A quota by its code."""
    found = call(aws.client("service-quotas"), "get_service_quota", inputs)["Quota"]
    return {
        "adjustable": found["Adjustable"],
        "arn": found["QuotaArn"],
        "globalQuota": found["GlobalQuota"],
        "id": found["QuotaArn"],
        "quotaCode": found["QuotaCode"],
        "quotaName": found["QuotaName"],
        "serviceCode": found["ServiceCode"],
        "serviceName": found["ServiceName"],
        "value": found["Value"],
    }
