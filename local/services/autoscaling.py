"""Amazon EC2 Auto Scaling: tags on groups that EKS makes for its node groups, which moto does not make."""

from local.aws import Aws, Created, Resource, simulates


@simulates("aws:autoscaling/tag:Tag")
def tag(aws: Aws, resource: Resource) -> Created:
    """A tag on an Auto Scaling group."""
    del aws
    inputs = resource.inputs
    return Created(id=f"{inputs['autoscalingGroupName']},{inputs['tag']['key']}", simulated=True)
