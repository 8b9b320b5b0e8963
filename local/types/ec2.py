"""Amazon EC2: launch templates, placement groups and facts about instance types."""

from collections.abc import Mapping
from typing import Any

from local.aws import Aws, hex_digits
from local.parameters import call, complete, only
from local.record import ResourceType, answers
from local.run import Created, Resource
from local.types.vpc import TAGS_OF_EC2, create

ADDRESSES = {"ipv4Addresses": "privateIpAddress", "ipv6Addresses": "ipv6Address"}
"""Lists of addresses of a network interface -> the member of each that holds the address."""

ABOUT_TEMPLATE = ("defaultVersion", "description", "name", "region", "tags", "tagsAll", "updateDefaultVersion")
"""Inputs of a launch template that say nothing about the instances."""


class LaunchTemplate(ResourceType, token="aws:ec2/launchTemplate:LaunchTemplate"):
    """A launch template with its first version, which is the default one."""

    name = "name"
    needs = (
        "ec2:CreateLaunchTemplate ec2:CreateLaunchTemplateVersion ec2:DeleteLaunchTemplate ec2:DescribeLaunchTemplates"
        f" ec2:DescribeLaunchTemplateVersions ec2:ModifyLaunchTemplate iam:PassRole {TAGS_OF_EC2}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        data = {key: value for key, value in inputs.items() if key not in ABOUT_TEMPLATE}
        if "networkInterfaces" in data:
            data["networkInterfaces"] = [_interface(interface) for interface in data["networkInterfaces"]]
        made = create(
            aws,
            "create_launch_template",
            "launch-template",
            only(inputs, *ABOUT_TEMPLATE),
            rename={
                "name": "LaunchTemplateName",
                "description": "VersionDescription",
                "LaunchTemplateData.securityGroupNames": "SecurityGroups",
                "LaunchTemplateData.vpcSecurityGroupIds": "SecurityGroupIds",
                "LaunchTemplateData.networkInterfaces.ipv4AddressCount": "SecondaryPrivateIpAddressCount",
                "LaunchTemplateData.networkInterfaces.ipv4Addresses": "PrivateIpAddresses",
                "LaunchTemplateData.networkInterfaces.securityGroups": "Groups",
            },
            leave=("defaultVersion", "updateDefaultVersion"),
            LaunchTemplateData=data,
        )["LaunchTemplate"]
        template_id = made["LaunchTemplateId"]
        return Created(
            id=template_id,
            outputs=inputs
            | {
                "arn": aws.arn("ec2", f"launch-template/{template_id}"),
                "defaultVersion": made["DefaultVersionNumber"],
                "latestVersion": made["LatestVersionNumber"],
            },
        )


class PlacementGroup(ResourceType, token="aws:ec2/placementGroup:PlacementGroup"):
    """A placement group, which moto does not have."""

    simulated = True
    name = "name"
    needs = f"ec2:CreatePlacementGroup ec2:DeletePlacementGroup ec2:DescribePlacementGroups {TAGS_OF_EC2}"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        return Created(
            id=inputs["name"],
            outputs=inputs
            | {
                "arn": aws.arn("ec2", f"placement-group/{inputs['name']}"),
                "placementGroupId": f"pg-{hex_digits(17)}",
            },
        )


@answers("aws:ec2/getInstanceType:getInstanceType", needs="ec2:DescribeInstanceTypes", lasting=True)
def get_instance_type(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What AWS says about one instance type."""
    name = inputs["instanceType"]
    found = aws.client("ec2").describe_instance_types(InstanceTypes=[name])["InstanceTypes"][0]
    info: dict[str, dict[str, Any]] = {
        key: found.get(member, {})
        for key, member in {
            "cpu": "VCpuInfo",
            "disk": "InstanceStorageInfo",
            "ebs": "EbsInfo",
            "fpga": "FpgaInfo",
            "gpu": "GpuInfo",
            "inference": "InferenceAcceleratorInfo",
            "media": "MediaAcceleratorInfo",
            "network": "NetworkInfo",
            "neuron": "NeuronInfo",
            "processor": "ProcessorInfo",
        }.items()
    }
    ebs = info["ebs"].get("EbsOptimizedInfo", {})
    cards = info["network"].get("NetworkCards", [])
    result = {
        "autoRecoverySupported": found.get("AutoRecoverySupported"),
        "bandwidthWeightings": info["network"].get("BandwidthWeightings"),
        "bareMetal": found.get("BareMetal"),
        "bootModes": found.get("SupportedBootModes"),
        "burstablePerformanceSupported": found.get("BurstablePerformanceSupported"),
        "currentGeneration": found.get("CurrentGeneration"),
        "dedicatedHostsSupported": found.get("DedicatedHostsSupported"),
        "defaultCores": info["cpu"].get("DefaultCores"),
        "defaultNetworkCardIndex": info["network"].get("DefaultNetworkCardIndex"),
        "defaultThreadsPerCore": info["cpu"].get("DefaultThreadsPerCore"),
        "defaultVcpus": info["cpu"].get("DefaultVCpus"),
        "ebsEncryptionSupport": info["ebs"].get("EncryptionSupport"),
        "ebsNvmeSupport": info["ebs"].get("NvmeSupport"),
        "ebsOptimizedSupport": info["ebs"].get("EbsOptimizedSupport"),
        "ebsPerformanceBaselineBandwidth": ebs.get("BaselineBandwidthInMbps"),
        "ebsPerformanceBaselineIops": ebs.get("BaselineIops"),
        "ebsPerformanceBaselineThroughput": ebs.get("BaselineThroughputInMBps"),
        "ebsPerformanceMaximumBandwidth": ebs.get("MaximumBandwidthInMbps"),
        "ebsPerformanceMaximumIops": ebs.get("MaximumIops"),
        "ebsPerformanceMaximumThroughput": ebs.get("MaximumThroughputInMBps"),
        "efaMaximumInterfaces": info["network"].get("EfaInfo", {}).get("MaximumEfaInterfaces"),
        "efaSupported": info["network"].get("EfaSupported"),
        "enaSrdSupported": info["network"].get("EnaSrdSupported"),
        "enaSupport": info["network"].get("EnaSupport"),
        "encryptionInTransitSupported": info["network"].get("EncryptionInTransitSupported"),
        "fpgas": _accelerators(info["fpga"].get("Fpgas", [])),
        "freeTierEligible": found.get("FreeTierEligible"),
        "gpuses": _accelerators(info["gpu"].get("Gpus", [])),
        "hibernationSupported": found.get("HibernationSupported"),
        "hypervisor": found.get("Hypervisor"),
        "id": name,
        "inferenceAccelerators": _accelerators(info["inference"].get("Accelerators", [])),
        "instanceDisks": [
            {"count": disk["Count"], "size": disk["SizeInGB"], "type": disk["Type"]}
            for disk in info["disk"].get("Disks", [])
        ],
        "instanceStorageSupported": found.get("InstanceStorageSupported"),
        "instanceType": name,
        "ipv6Supported": info["network"].get("Ipv6Supported"),
        "maximumIpv4AddressesPerInterface": info["network"].get("Ipv4AddressesPerInterface"),
        "maximumIpv6AddressesPerInterface": info["network"].get("Ipv6AddressesPerInterface"),
        "maximumNetworkCards": info["network"].get("MaximumNetworkCards"),
        "maximumNetworkInterfaces": info["network"].get("MaximumNetworkInterfaces"),
        "mediaAccelerators": _accelerators(info["media"].get("Accelerators", [])),
        "memorySize": found.get("MemoryInfo", {}).get("SizeInMiB"),
        "networkCards": [
            {
                "baselineBandwidth": card.get("BaselineBandwidthInGbps"),
                "index": card.get("NetworkCardIndex"),
                "maximumInterfaces": card.get("MaximumNetworkInterfaces"),
                "peakBandwidth": card.get("PeakBandwidthInGbps"),
                "performance": card.get("NetworkPerformance"),
            }
            for card in cards
        ],
        "networkPerformance": info["network"].get("NetworkPerformance"),
        "neuronDevices": [
            {
                "coreCount": device.get("CoreInfo", {}).get("Count"),
                "coreVersion": device.get("CoreInfo", {}).get("Version"),
                "count": device.get("Count"),
                "memorySize": device.get("MemoryInfo", {}).get("SizeInMiB"),
                "name": device.get("Name"),
            }
            for device in info["neuron"].get("NeuronDevices", [])
        ],
        "nitroEnclavesSupport": found.get("NitroEnclavesSupport"),
        "nitroTpmSupport": found.get("NitroTpmSupport"),
        "nitroTpmSupportedVersions": found.get("NitroTpmInfo", {}).get("SupportedVersions"),
        "phcSupport": found.get("PhcSupport"),
        "region": aws.region,
        "supportedArchitectures": info["processor"].get("SupportedArchitectures"),
        "supportedCpuFeatures": info["processor"].get("SupportedFeatures"),
        "supportedPlacementStrategies": found.get("PlacementGroupInfo", {}).get("SupportedStrategies"),
        "supportedRootDeviceTypes": found.get("SupportedRootDeviceTypes"),
        "supportedUsagesClasses": found.get("SupportedUsageClasses"),
        "supportedVirtualizationTypes": found.get("SupportedVirtualizationTypes"),
        "sustainedClockSpeed": info["processor"].get("SustainedClockSpeedInGhz"),
        "totalFpgaMemory": info["fpga"].get("TotalFpgaMemoryInMiB"),
        "totalGpuMemory": info["gpu"].get("TotalGpuMemoryInMiB"),
        "totalInferenceMemory": info["inference"].get("TotalInferenceMemoryInMiB"),
        "totalInstanceStorage": info["disk"].get("TotalSizeInGB"),
        "totalMediaMemory": info["media"].get("TotalMediaMemoryInMiB"),
        "totalNeuronDeviceMemory": info["neuron"].get("TotalNeuronDeviceMemoryInMiB"),
        "validCores": info["cpu"].get("ValidCores"),
        "validThreadsPerCores": info["cpu"].get("ValidThreadsPerCore"),
    }
    return {key: value for key, value in result.items() if value is not None}


@answers(
    "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings", needs="ec2:DescribeInstanceTypeOfferings", lasting=True
)
def get_instance_type_offerings(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Where which instance types are offered: the three lists go together, entry by entry."""
    found = call(aws.client("ec2"), "describe_instance_type_offerings", inputs)["InstanceTypeOfferings"]
    return {
        "id": aws.region,
        "instanceTypes": [offer["InstanceType"] for offer in found],
        "locationTypes": [offer["LocationType"] for offer in found],
        "locations": [offer["Location"] for offer in found],
    }


def _interface(given: Mapping[str, Any]) -> dict[str, Any]:
    """A network interface with each of its addresses as the structure that the API wants; the first is primary."""
    interface = dict(given)
    for key, member in ADDRESSES.items():
        if key in given:
            interface[key] = [{member: address} for address in given[key]]
    for address in interface.get("ipv4Addresses", [])[:1]:
        address["primary"] = True
    return interface


def _accelerators(devices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "count": device.get("Count"),
            "manufacturer": device.get("Manufacturer"),
            "memorySize": device.get("MemoryInfo", {}).get("SizeInMiB"),
            "name": device.get("Name"),
        }
        for device in devices
    ]
