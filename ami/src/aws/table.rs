//! The one table of calls to AWS: what each is called, what it needs to be allowed, which part of the program makes it, and
//! what it costs. A call cannot be made without naming its row, and the IAM policies are made from the same rows, so that
//! they can neither be too small nor carry an action that is not used.

mod rows;

use crate::iam::Role;

pub use rows::CALLS;

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

/// What AWS does with a key of KMS in the name of the caller while an encrypted snapshot is written: no calls of ours.
pub const ENCRYPTION: (Role, &[Right]) = (
    Role::Encrypt,
    &[
        right("kms:CreateGrant", On::KeysByService),
        right("kms:Decrypt", On::Keys),
        right("kms:DescribeKey", On::Keys),
        right("kms:GenerateDataKeyWithoutPlaintext", On::Keys),
        right("kms:ReEncryptFrom", On::Keys),
        right("kms:ReEncryptTo", On::Keys),
    ],
);

/// AWS starts an instance with the rights of a role only for who may give that role away: no call of ours.
pub const PROFILE: (Role, &[Right]) = (Role::Profile, &[right("iam:PassRole", On::ProfileRoles)]);

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
