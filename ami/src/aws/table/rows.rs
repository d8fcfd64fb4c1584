//! The rows of the table.

use super::{Call, On, Right, Row, right};
use crate::iam::Role;

const fn row(
    call: Call,
    name: &'static str,
    nanodollars: u64,
    roles: &'static [Role],
    rights: &'static [Right],
) -> Row {
    Row { call, name, nanodollars, roles, rights }
}

/// Tagging in the same call as making needs this too.
const TAG: Right = right("ec2:CreateTags", On::OurTags);

/// The same for what belongs to a host.
const TAG_HOST: Right = right("ec2:CreateTags", On::HostTags);

use Role::{
    Copy, Hosts, Launch, LaunchSsm, Publish, Read, Remove, Replace, Retire, Share, Ssm, Terminate, Verify,
};

/// The table.
pub const CALLS: &[Row] = &[
    // AWS answers this to everyone who can sign; there is nothing to allow.
    row(Call::GetCallerIdentity, "sts:GetCallerIdentity", 0, &[Publish], &[]),
    row(
        Call::DescribeImages,
        "ec2:DescribeImages",
        0,
        &[Publish, Read, Verify, Copy, Share, Retire, Remove, Ssm, Launch, Replace],
        &[right("ec2:DescribeImages", On::Everything)],
    ),
    row(
        Call::DescribeSnapshots,
        "ec2:DescribeSnapshots",
        0,
        &[Publish, Read, Remove],
        &[right("ec2:DescribeSnapshots", On::Everything)],
    ),
    row(
        Call::StartSnapshot,
        "ebs:StartSnapshot",
        0,
        &[Publish],
        &[right("ebs:StartSnapshot", On::NewSnapshots), TAG],
    ),
    row(
        Call::PutSnapshotBlock,
        "ebs:PutSnapshotBlock",
        6_000,
        &[Publish],
        &[right("ebs:PutSnapshotBlock", On::OurSnapshots)],
    ),
    row(
        Call::CompleteSnapshot,
        "ebs:CompleteSnapshot",
        0,
        &[Publish],
        &[right("ebs:CompleteSnapshot", On::OurSnapshots)],
    ),
    row(
        Call::ListSnapshotBlocks,
        "ebs:ListSnapshotBlocks",
        600,
        &[Verify],
        &[right("ebs:ListSnapshotBlocks", On::OurSnapshots)],
    ),
    row(
        Call::GetSnapshotBlock,
        "ebs:GetSnapshotBlock",
        3_000,
        &[Verify],
        &[right("ebs:GetSnapshotBlock", On::OurSnapshots)],
    ),
    row(Call::CreateTags, "ec2:CreateTags", 0, &[Publish], &[TAG]),
    row(
        Call::RegisterImage,
        "ec2:RegisterImage",
        0,
        &[Publish],
        &[right("ec2:RegisterImage", On::NewImages), right("ec2:RegisterImage", On::OurSnapshots), TAG],
    ),
    row(Call::CopyImage, "ec2:CopyImage", 0, &[Copy], &[right("ec2:CopyImage", On::ImagesAndSnapshots), TAG]),
    row(
        Call::DescribeImageAttribute,
        "ec2:DescribeImageAttribute",
        0,
        &[Read],
        &[right("ec2:DescribeImageAttribute", On::Everything)],
    ),
    row(
        Call::ModifyImageAttribute,
        "ec2:ModifyImageAttribute",
        0,
        &[Share],
        &[right("ec2:ModifyImageAttribute", On::OurImages)],
    ),
    row(
        Call::EnableImageDeprecation,
        "ec2:EnableImageDeprecation",
        0,
        &[Retire],
        &[right("ec2:EnableImageDeprecation", On::OurImages)],
    ),
    row(Call::DisableImage, "ec2:DisableImage", 0, &[Retire], &[right("ec2:DisableImage", On::OurImages)]),
    row(
        Call::DeregisterImage,
        "ec2:DeregisterImage",
        0,
        &[Remove],
        &[right("ec2:DeregisterImage", On::OurImages)],
    ),
    row(
        Call::DeleteSnapshot,
        "ec2:DeleteSnapshot",
        0,
        &[Remove],
        &[right("ec2:DeleteSnapshot", On::OurSnapshots)],
    ),
    row(Call::PutParameter, "ssm:PutParameter", 0, &[Ssm], &[right("ssm:PutParameter", On::Parameters)]),
    row(Call::GetParameter, "ssm:GetParameter", 0, &[LaunchSsm], &[right("ssm:GetParameter", On::Parameters)]),
    row(
        Call::DescribeInstances,
        "ec2:DescribeInstances",
        0,
        &[Launch, Hosts, Replace, Terminate],
        &[right("ec2:DescribeInstances", On::Everything)],
    ),
    row(
        Call::DescribeInstanceAttribute,
        "ec2:DescribeInstanceAttribute",
        0,
        &[Replace],
        &[right("ec2:DescribeInstanceAttribute", On::Everything)],
    ),
    row(
        Call::DescribeVolumes,
        "ec2:DescribeVolumes",
        0,
        &[Launch, Replace, Terminate],
        &[right("ec2:DescribeVolumes", On::Everything)],
    ),
    row(
        Call::DescribeSubnets,
        "ec2:DescribeSubnets",
        0,
        &[Launch],
        &[right("ec2:DescribeSubnets", On::Everything)],
    ),
    row(
        Call::DescribeKeyPairs,
        "ec2:DescribeKeyPairs",
        0,
        &[Launch],
        &[right("ec2:DescribeKeyPairs", On::Everything)],
    ),
    row(
        Call::DescribeSecurityGroups,
        "ec2:DescribeSecurityGroups",
        0,
        &[Launch, Terminate],
        &[right("ec2:DescribeSecurityGroups", On::Everything)],
    ),
    row(
        Call::DescribeAddresses,
        "ec2:DescribeAddresses",
        0,
        &[Launch, Replace, Terminate],
        &[right("ec2:DescribeAddresses", On::Everything)],
    ),
    row(
        Call::CreateSecurityGroup,
        "ec2:CreateSecurityGroup",
        0,
        &[Launch],
        &[
            right("ec2:CreateSecurityGroup", On::NewGroups),
            right("ec2:CreateSecurityGroup", On::Networks),
            TAG_HOST,
        ],
    ),
    row(
        Call::AuthorizeSecurityGroupIngress,
        "ec2:AuthorizeSecurityGroupIngress",
        0,
        &[Launch],
        &[right("ec2:AuthorizeSecurityGroupIngress", On::OurGroups)],
    ),
    row(
        Call::RunInstances,
        "ec2:RunInstances",
        0,
        &[Launch, Replace],
        &[right("ec2:RunInstances", On::NewHosts), right("ec2:RunInstances", On::Ingredients), TAG_HOST],
    ),
    row(
        Call::StartInstances,
        "ec2:StartInstances",
        0,
        &[Launch, Replace],
        &[right("ec2:StartInstances", On::OurHosts)],
    ),
    row(Call::StopInstances, "ec2:StopInstances", 0, &[Replace], &[right("ec2:StopInstances", On::OurHosts)]),
    row(
        Call::RebootInstances,
        "ec2:RebootInstances",
        0,
        &[Launch, Hosts, Replace],
        &[right("ec2:RebootInstances", On::OurHosts)],
    ),
    row(
        Call::TerminateInstances,
        "ec2:TerminateInstances",
        0,
        &[Replace, Terminate],
        &[right("ec2:TerminateInstances", On::OurHosts)],
    ),
    row(
        Call::GetConsoleOutput,
        "ec2:GetConsoleOutput",
        0,
        &[Launch, Hosts, Replace],
        &[right("ec2:GetConsoleOutput", On::OurHosts)],
    ),
    row(
        Call::AttachVolume,
        "ec2:AttachVolume",
        0,
        &[Launch, Replace],
        &[right("ec2:AttachVolume", On::OurHostsAndVolumes)],
    ),
    row(
        Call::DetachVolume,
        "ec2:DetachVolume",
        0,
        &[Replace],
        &[right("ec2:DetachVolume", On::OurHostsAndVolumes)],
    ),
    row(Call::DeleteVolume, "ec2:DeleteVolume", 0, &[Terminate], &[right("ec2:DeleteVolume", On::OurVolumes)]),
    row(
        Call::AllocateAddress,
        "ec2:AllocateAddress",
        0,
        &[Launch],
        &[right("ec2:AllocateAddress", On::NewAddresses), TAG_HOST],
    ),
    row(
        Call::AssociateAddress,
        "ec2:AssociateAddress",
        0,
        &[Launch, Replace],
        &[right("ec2:AssociateAddress", On::OurAddressesAndHosts)],
    ),
    row(
        Call::ReleaseAddress,
        "ec2:ReleaseAddress",
        0,
        &[Terminate],
        &[right("ec2:ReleaseAddress", On::OurAddresses)],
    ),
    row(
        Call::DeleteSecurityGroup,
        "ec2:DeleteSecurityGroup",
        0,
        &[Terminate],
        &[right("ec2:DeleteSecurityGroup", On::OurGroups)],
    ),
];
