"""Amazon EC2 Auto Scaling: tags on the groups that EKS creates for its node groups; moto creates no such groups."""

from local.aws import Aws
from local.record import ResourceType
from local.run import Created, Resource


class Tag(ResourceType, token="aws:autoscaling/tag:Tag"):
    """A tag on an Auto Scaling group."""

    simulated = True
    needs = "autoscaling:CreateOrUpdateTags autoscaling:DeleteTags autoscaling:DescribeTags"

    def create(self, aws: Aws, new: Resource) -> Created:
        del aws
        inputs = new.inputs
        return Created(id=f"{inputs['autoscalingGroupName']},{inputs['tag']['key']}")
