"""How long the stack keeps its logs, and under which key."""

from collections.abc import Iterator
from typing import Literal

import pulumi
from pulumi_aws import cloudwatch, kms

from components.schema import KeyArn, Settings, mistake
from stack_file.mistakes import Mistake

RetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
"""CloudWatch Logs API, `PutRetentionPolicy`."""

USUAL_DAYS = 30
"""Days for which most logs are kept where the stack file says nothing of it."""


class LogsSettings(Settings):
    """The `logs` section: what all log groups of the stack have."""

    retention_days: RetentionDays | None = None
    """Days for which logs are kept. Default: 30, and 90 for the control plane of EKS. Fewer delete what is older."""
    kms_key_arn: KeyArn | None = None
    """KMS key of your own for the logs. CloudWatch encrypts them with a key of AWS without it.

    The key's policy must let CloudWatch Logs use it (docs/security.md). What was written before keeps its key, and
    cannot be read any more when that is gone.
    """

    def group(
        self,
        logical_name: str,
        *,
        opts: pulumi.ResourceOptions,
        name: pulumi.Input[str] | None = None,
        name_prefix: str | None = None,
        days: int = USUAL_DAYS,
    ) -> cloudwatch.LogGroup:
        """A log group; `days` are those for which it keeps its logs unless these settings say how many."""
        return cloudwatch.LogGroup(
            logical_name,
            name=name,
            name_prefix=name_prefix,
            retention_in_days=self.retention_days or days,
            kms_key_id=self.kms_key_arn,
            opts=opts,
        )

    def preflight(self, path: str, region: str) -> Iterator[Mistake]:
        """Mistakes about the key: where it is, whether it is symmetric and enabled. Its policy no data source tells."""
        arn = self.kms_key_arn
        if arn is None:
            return
        if arn.split(":")[3] != region:
            yield mistake(f"{path}.kmsKeyArn", f"must be a key in {region}, where the logs are", arn)
            return
        try:
            key = kms.get_key(key_id=arn)
        except Exception as error:  # the SDK raises no narrower one
            if "NotFoundException" in str(error):
                yield mistake(f"{path}.kmsKeyArn", "must be a key that is there", arn)
            else:
                pulumi.log.warn(f"{path}.kmsKeyArn: KMS could not be asked about it: {' '.join(str(error).split())}")
            return
        if key.key_spec != "SYMMETRIC_DEFAULT":
            yield mistake(f"{path}.kmsKeyArn", "must be a symmetric key, because CloudWatch Logs takes no other", arn)
        elif not key.enabled:
            yield mistake(f"{path}.kmsKeyArn", f"must be a key that is enabled, and is {key.key_state}", arn)
