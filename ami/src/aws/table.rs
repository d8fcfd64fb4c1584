//! The one table of calls to AWS: what each is called, what it needs to be allowed, which part of the program makes it, and
//! what it costs. A call cannot be made without naming its row, and the IAM policies are made from the same rows, so that
//! they can neither be too small nor carry an action that is not used.

use crate::iam::Role;

/// A call to AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// Who are we?
    GetCallerIdentity,
    /// Which AMIs are there?
    DescribeImages,
    /// Which snapshots are there?
    DescribeSnapshots,
    /// Begins a snapshot that is written block by block.
    StartSnapshot,
    /// Writes a block.
    PutSnapshotBlock,
    /// Seals a snapshot.
    CompleteSnapshot,
    /// Which blocks does a snapshot have?
    ListSnapshotBlocks,
    /// Reads a block.
    GetSnapshotBlock,
    /// Tags what exists already.
    CreateTags,
    /// Makes an AMI of a snapshot.
    RegisterImage,
    /// Copies an AMI from another region.
    CopyImage,
    /// Who may launch an AMI?
    DescribeImageAttribute,
    /// Changes who may launch an AMI.
    ModifyImageAttribute,
    /// Sets the date from which an AMI should not be used.
    EnableImageDeprecation,
    /// Forbids launches of an AMI.
    DisableImage,
    /// Removes an AMI; its snapshot stays.
    DeregisterImage,
    /// Removes a snapshot.
    DeleteSnapshot,
    /// Writes an SSM parameter.
    PutParameter,
    /// Reads an SSM parameter.
    GetParameter,
    /// Which instances are there?
    DescribeInstances,
    /// What user-data was an instance launched with?
    DescribeInstanceAttribute,
    /// Which volumes are there?
    DescribeVolumes,
    /// Which subnets are there?
    DescribeSubnets,
    /// Of which kind is a key pair?
    DescribeKeyPairs,
    /// Which security groups are there?
    DescribeSecurityGroups,
    /// Which Elastic IPs are there?
    DescribeAddresses,
    /// Makes a security group.
    CreateSecurityGroup,
    /// Opens ports.
    AuthorizeSecurityGroupIngress,
    /// Makes an instance with its volumes.
    RunInstances,
    /// Starts an instance that was stopped.
    StartInstances,
    /// Shuts an instance down; its volumes stay.
    StopInstances,
    /// Starts an instance again.
    RebootInstances,
    /// Removes an instance.
    TerminateInstances,
    /// What did an instance print?
    GetConsoleOutput,
    /// Gives a volume to an instance.
    AttachVolume,
    /// Takes a volume from an instance.
    DetachVolume,
    /// Removes a volume.
    DeleteVolume,
    /// Gets an Elastic IP.
    AllocateAddress,
    /// Gives an Elastic IP to an instance.
    AssociateAddress,
    /// Gives an Elastic IP back.
    ReleaseAddress,
    /// Removes a security group.
    DeleteSecurityGroup,
}

/// What an action is allowed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    /// Everything: IAM knows no narrower way for it.
    Everything,
    /// Snapshots that have our digest tag.
    OurSnapshots,
    /// Snapshots that are being made with our digest tag.
    NewSnapshots,
    /// AMIs that have our digest tag.
    OurImages,
    /// AMIs that are being made with our digest tag.
    NewImages,
    /// Any AMI and snapshot: a copy reads in one region and makes in another.
    ImagesAndSnapshots,
    /// Tags of ours, on AMIs and snapshots.
    OurTags,
    /// Instances, volumes and network interfaces that are being made with our host tag.
    NewHosts,
    /// What an instance is made of that is there already: AMI, snapshots, subnet, security group, key pair, and the request
    /// for a spot instance.
    Ingredients,
    /// Instances that have our host tag.
    OurHosts,
    /// Instances and volumes that have our host tag.
    OurHostsAndVolumes,
    /// Volumes that have our host tag.
    OurVolumes,
    /// Security groups that are being made with our host tag.
    NewGroups,
    /// Any network: IAM asks for it when a security group is made.
    Networks,
    /// Security groups that have our host tag.
    OurGroups,
    /// Elastic IPs that are being made with our host tag.
    NewAddresses,
    /// Elastic IPs that have our host tag.
    OurAddresses,
    /// Elastic IPs, instances and network interfaces that have our host tag.
    OurAddressesAndHosts,
    /// Tags of ours, in the call that makes a host, its security group or its address.
    HostTags,
    /// The instance profiles' roles named by whoever attaches the policy.
    ProfileRoles,
    /// SSM parameters below /kennel/.
    Parameters,
    /// The KMS keys named by whoever attaches the policy.
    Keys,
    /// The same, and only what a service of AWS does in the caller's name.
    KeysByService,
}

/// An action in IAM's words, and what it is allowed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// For example `ec2:RegisterImage`.
    pub action: &'static str,
    /// On what.
    pub on: On,
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// The call.
    pub call: Call,
    /// Name of the service and the call, as AWS documents it.
    pub name: &'static str,
    /// Price of one call in billionths of a dollar (us-east-1; EBS direct calls are billed by the block of 512 KiB).
    pub nanodollars: u64,
    /// Which parts of the program make it.
    pub roles: &'static [Role],
    /// What must be allowed for it: its own action first, if IAM has one.
    pub rights: &'static [Right],
}

const fn right(action: &'static str, on: On) -> Right {
    Right { action, on }
}

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
    Copy, Encrypt, Hosts, Launch, LaunchSsm, Profile, Publish, Read, Remove, Replace, Retire, Share, Ssm,
    Terminate, Verify,
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
    row(
        Call::StopInstances,
        "ec2:StopInstances",
        0,
        &[Launch, Replace],
        &[right("ec2:StopInstances", On::OurHosts)],
    ),
    row(
        Call::RebootInstances,
        "ec2:RebootInstances",
        0,
        &[Hosts],
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

/// AWS starts an instance with the rights of a role only for who may give that role away: no call of ours.
pub const PROFILE: (Role, &[Right]) = (Profile, &[right("iam:PassRole", On::ProfileRoles)]);

/// What AWS does with a key of KMS in the name of the caller while an encrypted snapshot is written: no calls of ours.
pub const ENCRYPTION: (Role, &[Right]) = (
    Encrypt,
    &[
        right("kms:CreateGrant", On::KeysByService),
        right("kms:Decrypt", On::Keys),
        right("kms:DescribeKey", On::Keys),
        right("kms:GenerateDataKeyWithoutPlaintext", On::Keys),
        right("kms:ReEncryptFrom", On::Keys),
        right("kms:ReEncryptTo", On::Keys),
    ],
);

impl Call {
    /// Its row.
    pub fn row(self) -> &'static Row {
        // A test sees to it that the table has the rows in the order of the enumeration.
        &CALLS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_its_row() {
        for (at, row) in CALLS.iter().enumerate() {
            assert_eq!(row.call as usize, at, "{} is out of order", row.name);
            assert_eq!(format!("{:?}", row.call), row.name.split_once(':').unwrap().1);
            assert!(!row.roles.is_empty(), "{} belongs to nothing", row.name);
        }
        assert_eq!(Call::DeleteSecurityGroup as usize, CALLS.len() - 1, "a call has no row");
    }

    #[test]
    fn a_call_asks_for_its_own_action() {
        for row in CALLS {
            let own = row.rights.first().map(|right| right.action);
            assert!(own == Some(row.name) || row.call == Call::GetCallerIdentity, "{}", row.name);
        }
    }
}
