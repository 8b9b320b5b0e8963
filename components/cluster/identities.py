"""Who the pods of a service account are on AWS."""

from collections.abc import Sequence

import pulumi
from pulumi_aws import eks

from components import iam

NAMESPACE, SERVICE_ACCOUNT = "training", "trainer"
"""The service account of training jobs; each team has one of this name in its own namespace."""


class PodIdentity(pulumi.ComponentResource):
    """A role for the pods of one service account, through EKS Pod Identity."""

    def __init__(
        self,
        name: str,
        *,
        account: iam.Account,
        cluster_name: pulumi.Output[str],
        namespace: str,
        service_account: str,
        statements: Sequence[iam.Statement],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("distributed-training:index:PodIdentity", name, {}, opts)
        role = iam.ServiceRole(
            name,
            account=account,
            service="pods.eks.amazonaws.com",
            service_account=(namespace, service_account),
            statements=statements,
            opts=pulumi.ResourceOptions(parent=self),
        )
        eks.PodIdentityAssociation(
            name,
            cluster_name=cluster_name,
            namespace=namespace,
            service_account=service_account,
            role_arn=role.arn,
            # a pod that starts with a role without its policies fails
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role]),
        )
        self.register_outputs({})
