//! Launches hosts on EC2 and looks after them. A host is known at AWS by the tag `kennel:host` with its name, on its
//! instance, its volumes, its network interface, its security group and its Elastic IP; what has not this tag is not touched.
//! The instance that has the data volume is the host: the OS is disposable, the tenants are not.
//!
//! # What is asked of AWS, by command
//!
//! In this order; waiting repeats a question. *by name* is the filter `tag:kennel:host` = NAME; of instances also
//! `instance-state-name` = `pending`, `running`, `stopping`, `stopped`, `shutting-down`.
//!
//! `launch --name NAME`
//! 1. `DescribeInstances` by name: is it there already? With our client token, or all that was typed, it is gone on with.
//! 2. which AMI: `DescribeImages` (owner `self`, `tag-key` = `kennel:image-digest`, the newest `available` one), or
//!    `ssm:GetParameter` for `--ami /path`; then, as for `--ami ami-…`, `DescribeImages` by its id: state, boot mode, block devices.
//! 3. `DescribeVolumes` by name and `status` = `available`: the data volume of an earlier host of this name is used again.
//! 4. `DescribeSubnets`: by id with `--subnet`, else `default-for-az` = `true` (and `availability-zone`, that of the volume).
//! 5. with `--key`: `DescribeKeyPairs` by its name: must be of the type `ed25519`.
//! 6. without `--api-from`: `GET` of `https://checkip.amazonaws.com` (`KENNEL_CHECKIP_URL` names another).
//! 7. `DescribeSecurityGroups` (`group-name` = `kennel-NAME`, `vpc-id`); `CreateSecurityGroup` (GroupName, Description, VpcId,
//!    TagSpecification `security-group`: `Name`, `kennel:host`); `AuthorizeSecurityGroupIngress`, one call with the rules that are
//!    missing: TCP 80 and 443 from `0.0.0.0/0` and `::/0`, TCP 8443 from `--api-from`.
//! 8. `RunInstances`: ImageId, InstanceType, MinCount = MaxCount = 1, ClientToken, UserData (base64),
//!    MetadataOptions (HttpEndpoint `enabled`, HttpTokens `required`, HttpPutResponseHopLimit 1, InstanceMetadataTags `enabled`),
//!    NetworkInterface.1 (DeviceIndex 0, SubnetId, SecurityGroupId.1, AssociatePublicIpAddress true),
//!    BlockDeviceMapping of the AMI's root device (gp3, Encrypted, DeleteOnTermination true) and of `/dev/sdf` (VolumeSize, gp3,
//!    Encrypted, DeleteOnTermination false; or NoDevice, when a data volume is used again),
//!    TagSpecification `instance`, `volume`, `network-interface` (`Name`, `kennel:host`; `replace`: `kennel:replaces` = the old
//!    instance, on the instance), and where asked for KeyName, IamInstanceProfile.Name,
//!    InstanceMarketOptions (MarketType `spot`, SpotInstanceType `one-time`).
//! 9. `DescribeInstances` by id, until `running`.
//! 10. for a data volume that is used again: `StopInstances`, `DescribeInstances` until `stopped`, `AttachVolume` (`/dev/sdf`),
//!     `DescribeVolumes` by id until attached, `StartInstances`, `DescribeInstances` until `running`.
//! 11. with `--elastic-ip`: `DescribeAddresses` by name; `AllocateAddress` (Domain `vpc`, TagSpecification `elastic-ip`);
//!     `AssociateAddress` (AllocationId, InstanceId, AllowReassociation).
//! 12. `GetConsoleOutput` (Latest) until the line `control: api certificate SHA256:…`.
//! 13. TLS to port 8443 of the instance's public address: that certificate, and `GET /v1/ping` answered with 200 or 204.
//!
//! `hosts`: `DescribeInstances` (`tag-key` = `kennel:host`, the same states).
//!
//! `host console`: `DescribeInstances` by name, `GetConsoleOutput`. `host reboot`: the same, `RebootInstances`.
//!
//! `host terminate`: `DescribeInstances`, `DescribeVolumes`, `DescribeAddresses`, `DescribeSecurityGroups` by name;
//! `TerminateInstances`; `DescribeInstances` by id until `terminated`; `DeleteSecurityGroup`; with `--with-data` `DescribeVolumes` by id
//! until `available`, `DeleteVolume`; with `--with-address` `ReleaseAddress`.
//!
//! `host replace`
//! 1. `DescribeInstances` and `DescribeAddresses` by name, the AMI as in `launch`, `DescribeInstanceAttribute` (`userData`) of the old.
//! 2. `RunInstances` as in `launch`, with the old one's type, subnet, groups, key, profile and user-data, and NoDevice for `/dev/sdf`.
//! 3. unless the new one has the data volume already (`DescribeVolumes` by id): `StopInstances` of the new, then of the old, each
//!    until `stopped`; `DetachVolume` (VolumeId, InstanceId) until `available`; `AttachVolume` to the new until `attached`.
//! 4. `StartInstances` of the new until `running`; `AssociateAddress` if there is an Elastic IP that it has not.
//! 5. the API answers with the certificate that is known (it is on the data volume), else with the console's.
//! 6. `TerminateInstances` of the old, until `terminated`.
//!
//! `host replace --back` does 3 to 6 with the two exchanged: the old one gets the volume and the address back, the new one is terminated.
