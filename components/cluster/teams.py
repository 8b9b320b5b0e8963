"""What a team has on the cluster: a namespace, a service account, queues with its weight, and rights for its people."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_kubernetes as kubernetes

from components import iam
from components.cluster import kueue
from components.cluster.identities import SERVICE_ACCOUNT, PodIdentity
from components.teams import TeamSettings, namespace

LOOK, CHANGE = ["get", "list", "watch"], ["create", "delete", "deletecollection", "patch", "update"]
RULES: Sequence[kubernetes.rbac.v1.PolicyRuleArgsDict] = (
    {
        "api_groups": [""],
        "resources": ["configmaps", "persistentvolumeclaims", "secrets", "services"],
        "verbs": [*LOOK, *CHANGE],
    },
    {
        "api_groups": ["batch", "jobset.x-k8s.io", "kubeflow.org", "ray.io", "trainer.kubeflow.org"],
        "resources": ["jobs", "jobsets", "mpijobs", "pytorchjobs", "rayjobs", "trainjobs"],
        "verbs": [*LOOK, *CHANGE],
    },
    {"api_groups": ["kueue.x-k8s.io"], "resources": ["localqueues", "workloads"], "verbs": LOOK},
    {"api_groups": ["", "events.k8s.io"], "resources": ["events"], "verbs": LOOK},
    {"api_groups": [""], "resources": ["pods/log"], "verbs": LOOK},
    {"api_groups": [""], "resources": ["pods"], "verbs": [*LOOK, "delete"]},
    {"api_groups": [""], "resources": ["pods/exec", "pods/portforward"], "verbs": ["create", "get"]},
)
"""What its people may do in its namespace: run jobs and look after them.

They make no pods themselves: a pod without a job would go round the queues.
"""


class Team(pulumi.ComponentResource):
    """One team's part of the cluster; its jobs start when the whole of them fits, before or after those of others."""

    def __init__(
        self,
        name: str,
        team: str,
        settings: TeamSettings,
        *,
        account: iam.Account,
        cluster_name: pulumi.Output[str],
        statements: Sequence[iam.Statement],
        quotas: Mapping[str, Mapping[str, str]],
        default_group: str | None,
        after: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`statements` are what its jobs may do on AWS, `quotas` what each GPU group has.

        `after` must be on the cluster as long as its jobs are.
        """
        super().__init__("distributed-training:index:Team", name, {}, opts)
        own = namespace(team)
        identity = PodIdentity(
            f"{name}-{SERVICE_ACCOUNT}",
            account=account,
            cluster_name=cluster_name,
            namespace=own,
            service_account=SERVICE_ACCOUNT,
            statements=statements,
            opts=pulumi.ResourceOptions(parent=self),
        )
        queues = [
            kubernetes.apiextensions.CustomResource(
                # no name of a team or a group has a dot
                f"{name}.{group}-queue",
                api_version=kueue.KUEUE_API,
                kind="ClusterQueue",
                metadata={"name": f"{team}.{group}"},
                spec={
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": own}},
                    **kueue.share(group, of_group, weight=settings.weight),
                },
                opts=pulumi.ResourceOptions(parent=self, depends_on=after),
            )
            for group, of_group in quotas.items()
        ]
        made = kubernetes.core.v1.Namespace(
            name,
            metadata={
                "name": own,
                # with the host's network a pod could take the role of its node
                "labels": {"pod-security.kubernetes.io/enforce": "baseline"},
            },
            # jobs of Kueue and Trainer end only while these run, and a queue only when it has no job
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*after, *queues]),
        )
        within = pulumi.ResourceOptions(parent=self, depends_on=[made])
        kubernetes.core.v1.ResourceQuota(
            name,
            metadata={"name": own, "namespace": own},
            # a load balancer could be public, and a port of the nodes is open to the whole network
            spec={"hard": {"services.loadbalancers": "0", "services.nodeports": "0"}},
            opts=within,
        )
        role = kubernetes.rbac.v1.Role(
            name,
            metadata={"name": own, "namespace": own},
            rules=RULES,
            opts=within,
        )
        kubernetes.rbac.v1.RoleBinding(
            name,
            metadata={"name": own, "namespace": own},
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": own},
            subjects=[{"api_group": "rbac.authorization.k8s.io", "kind": "Group", "name": own}],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role]),
        )
        backing = {group: group for group in quotas}
        if default_group is not None:
            backing = {kueue.DEFAULT_QUEUE: default_group, **backing}
        local_queues = [
            kubernetes.apiextensions.CustomResource(
                f"{name}.{queue}-local",
                api_version=kueue.KUEUE_API,
                kind="LocalQueue",
                metadata={"name": queue, "namespace": own},
                spec={"clusterQueue": f"{team}.{group}"},
                opts=pulumi.ResourceOptions(
                    parent=self,
                    depends_on=[made],
                    # Kueue lets nobody change it (API, `LocalQueueSpec`)
                    replace_on_changes=["spec.clusterQueue"],
                    delete_before_replace=True,
                ),
            )
            for queue, group in backing.items()
        ]
        kubernetes.core.v1.ServiceAccount(
            f"{name}-{SERVICE_ACCOUNT}",
            metadata={"name": SERVICE_ACCOUNT, "namespace": own},
            # a pod gets the identity that its service account has when it starts
            opts=pulumi.ResourceOptions(parent=self, depends_on=[made, identity, *local_queues]),
        )
        self.register_outputs({})
