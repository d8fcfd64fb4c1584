//! Hosts: idempotent launches, states that only looks move on, disks that are at one instance at most, groups, addresses,
//! the console, and the API behind an address.

use crate::fake::compute::Phase;
use crate::{Clients, clients, code};
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, BootModeValues, EbsBlockDevice, IpPermission, IpRange, ResourceType, Tag,
    TagSpecification,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub(crate) const REGION: &str = "eu-west-1";

impl Clients {
    /// An image with a disk for data.
    async fn image(&self) -> String {
        let snapshot = self.completed().await;
        let ebs = EbsBlockDevice::builder().volume_size(8).encrypted(true).delete_on_termination(false).build();
        let data = BlockDeviceMapping::builder().device_name("/dev/sdf").ebs(ebs).build();
        let image = self.register(&snapshot).boot_mode(BootModeValues::Uefi).block_device_mappings(data);
        image.send().await.unwrap().image_id().unwrap().to_owned()
    }

    fn run(&self, image: &str, token: &str) -> RunInstancesFluentBuilder {
        let run = self.ec2.run_instances().image_id(image).instance_type("t3.small".into());
        run.min_count(1).max_count(1).client_token(token)
    }

    async fn started(&self, run: RunInstancesFluentBuilder) -> String {
        let run = run.send().await.unwrap();
        run.instances()[0].instance_id().unwrap().to_owned()
    }

    /// One that runs, and its disk for data, on which there is something now.
    pub(crate) async fn host(&self) -> (String, String) {
        let id = self.started(self.run(&self.image().await, "host")).await;
        let mut account = self.fake.account();
        account.settled(REGION);
        let disk = account.treasure(REGION, &id);
        (id, disk)
    }

    pub(crate) async fn state(&self, id: &str) -> String {
        let described = self.ec2.describe_instances().instance_ids(id).send().await.unwrap();
        let instance = &described.reservations()[0].instances()[0];
        instance.state().unwrap().name().unwrap().as_str().to_owned()
    }
}

#[tokio::test]
async fn a_client_token_means_one_instance() {
    let aws = clients().await;
    let image = aws.image().await;
    let id = aws.started(aws.run(&image, "a")).await;
    assert_eq!(aws.started(aws.run(&image, "a")).await, id);
    let other = aws.run(&image, "a").instance_type("t3.medium".into());
    assert_eq!(code(other.send().await), "IdempotentParameterMismatch");
    assert_ne!(aws.started(aws.run(&image, "b")).await, id);
    assert_eq!(aws.fake.account().region(REGION).compute.instances.len(), 2);
}

#[tokio::test]
async fn what_does_not_fit_together_is_not_started() {
    let aws = clients().await;
    let image = aws.image().await;
    let run = || aws.run(&image, "a");
    let long = STANDARD.encode(vec![b'x'; (16 << 10) + 1]);
    let no_device = BlockDeviceMapping::builder().device_name("/dev/xvda").no_device("").build();
    let small = EbsBlockDevice::builder().snapshot_id("snap-00000000000000000").build();
    let small = BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(small).build();
    for (request, expected) in [
        (run().user_data(long), "InvalidParameterValue"),
        (run().user_data("not base64"), "InvalidUserData.Malformed"),
        (run().instance_type("t4g.small".into()), "InvalidParameterValue"),
        (run().instance_type("t2.small".into()), "InvalidParameterCombination"),
        (run().instance_type("t9.huge".into()), "InvalidParameterValue"),
        (run().key_name("bob"), "InvalidKeyPair.NotFound"),
        (run().subnet_id("subnet-00000000000000000"), "InvalidSubnetID.NotFound"),
        (run().security_group_ids("sg-00000000000000000"), "InvalidGroup.NotFound"),
        (run().block_device_mappings(no_device), "InvalidBlockDeviceMapping"),
        (run().block_device_mappings(small), "InvalidBlockDeviceMapping"),
        (run().image_id("ami-00000000000000000"), "InvalidAMIID.NotFound"),
    ] {
        assert_eq!(code(request.send().await), expected);
    }
    aws.run(&image, "dry").dry_run(true).send().await.unwrap_err();
    assert!(aws.fake.account().region(REGION).compute.instances.is_empty());
}

#[tokio::test]
async fn states_come_one_after_the_other() {
    let aws = clients().await;
    let image = aws.image().await;
    aws.fake.account().settle = 1;
    let id = aws.started(aws.run(&image, "a")).await;
    assert_eq!(code(aws.ec2.stop_instances().instance_ids(&id).send().await), "IncorrectInstanceState");
    assert_eq!(code(aws.ec2.reboot_instances().instance_ids(&id).send().await), "IncorrectInstanceState");
    assert_eq!(
        [aws.state(&id).await, aws.state(&id).await, aws.state(&id).await],
        ["pending", "pending", "running"]
    );
    aws.ec2.stop_instances().instance_ids(&id).send().await.unwrap();
    assert_eq!(code(aws.ec2.start_instances().instance_ids(&id).send().await), "IncorrectInstanceState");
    assert_eq!(
        [aws.state(&id).await, aws.state(&id).await, aws.state(&id).await],
        ["stopping", "stopping", "stopped"]
    );
    aws.ec2.start_instances().instance_ids(&id).send().await.unwrap();
    assert_eq!(aws.state(&id).await, "pending");
    aws.ec2.terminate_instances().instance_ids(&id).send().await.unwrap();
    assert_eq!(
        [aws.state(&id).await, aws.state(&id).await, aws.state(&id).await],
        ["shutting-down", "shutting-down", "terminated"]
    );
    assert_eq!(code(aws.ec2.stop_instances().instance_ids(&id).send().await), "IncorrectInstanceState");
    aws.ec2.terminate_instances().instance_ids(&id).send().await.unwrap();
    assert_eq!(aws.state(&id).await, "terminated");
    let volumes: Vec<_> = aws.fake.account().region(REGION).compute.volumes.values().cloned().collect();
    let [data] = &volumes[..] else { panic!("{volumes:?}") };
    assert!(
        data.gib == 8 && data.encrypted && data.attachment.is_none(),
        "the root disk went, the other one stayed"
    );
}

#[tokio::test]
async fn an_instance_is_not_seen_at_once() {
    let aws = clients().await;
    aws.fake.account().lag = 1;
    let image = aws.image().await;
    let _ = aws.ec2.describe_images().image_ids(&image).send().await;
    let id = aws.started(aws.run(&image, "a")).await;
    let look = || aws.ec2.describe_instances().instance_ids(&id).send();
    assert_eq!(code(look().await), "InvalidInstanceID.NotFound");
    assert_eq!(code(look().await), "");
    assert_eq!(
        code(aws.ec2.describe_instances().instance_ids("i-1").send().await),
        "InvalidInstanceID.Malformed"
    );
}

#[tokio::test]
async fn a_disk_is_at_one_instance_and_in_its_zone() {
    let aws = clients().await;
    let (first, disk) = aws.host().await;
    let image = aws.ec2.describe_images().owners("self").send().await.unwrap().images()[0]
        .image_id()
        .unwrap()
        .to_owned();
    let none = BlockDeviceMapping::builder().device_name("/dev/sdf").no_device("").build();
    let second = aws.started(aws.run(&image, "second").block_device_mappings(none.clone())).await;
    let far = aws.run(&image, "far").block_device_mappings(none).subnet_id("subnet-0c00000000000000c");
    let far = aws.started(far).await;
    let attach =
        |to: &str, device: &str| aws.ec2.attach_volume().volume_id(&disk).instance_id(to).device(device).send();
    assert_eq!(code(attach(&first, "/dev/sdf").await), "VolumeInUse");
    assert_eq!(code(aws.ec2.delete_volume().volume_id(&disk).send().await), "VolumeInUse");
    aws.ec2.stop_instances().instance_ids(&first).send().await.unwrap();
    aws.fake.account().settled(REGION);
    let detach = || aws.ec2.detach_volume().volume_id(&disk).send();
    detach().await.unwrap();
    assert_eq!(code(attach(&second, "/dev/sdf").await), "VolumeInUse", "while it is being detached");
    aws.fake.account().violations.clear();
    aws.fake.account().settled(REGION);
    assert_eq!(code(detach().await), "IncorrectState");
    assert_eq!(code(attach(&far, "/dev/sdf").await), "InvalidVolume.ZoneMismatch");
    assert_eq!(code(attach(&second, "/dev/xvda").await), "InvalidParameterValue", "that is the root disk");
    attach(&second, "/dev/sdf").await.unwrap();
    let root = {
        let mut account = aws.fake.account();
        let root = account.region(REGION).compute.at(&second).find(|(.., at)| at.device == "/dev/xvda");
        root.map(|(id, ..)| id.to_owned()).unwrap()
    };
    assert_eq!(code(aws.ec2.detach_volume().volume_id(root).send().await), "OperationNotPermitted");
}

#[tokio::test]
async fn a_system_waits_for_its_disk_but_not_for_ever() {
    for (dawdles, found) in [(0, true), (400, false)] {
        let aws = clients().await;
        let (first, disk) = aws.host().await;
        aws.ec2.terminate_instances().instance_ids(&first).send().await.unwrap();
        aws.fake.account().settled(REGION);
        let image = aws.fake.account().images()[0].1.to_owned();
        let none = BlockDeviceMapping::builder().device_name("/dev/sdf").no_device("").build();
        let id = aws.started(aws.run(&image, "second").block_device_mappings(none)).await;
        aws.fake.account().settled(REGION);
        aws.fake.account().dawdles = dawdles;
        aws.ec2.attach_volume().volume_id(&disk).instance_id(&id).device("/dev/sdf").send().await.unwrap();
        let data = || aws.fake.account().settled(REGION).instances[&id].boot.data.clone();
        assert_eq!(data().is_some(), found);
        aws.ec2.reboot_instances().instance_ids(&id).send().await.unwrap();
        assert_eq!(data(), Some(disk));
    }
}

#[tokio::test]
async fn harm_to_tenants_data_is_recorded() {
    let aws = clients().await;
    let (id, disk) = aws.host().await;
    aws.ec2.detach_volume().volume_id(&disk).send().await.unwrap();
    aws.fake.account().settled(REGION);
    aws.ec2.delete_volume().volume_id(&disk).send().await.unwrap();
    let violations = std::mem::take(&mut aws.fake.account().violations);
    assert!(violations.len() == 2 && violations[0].contains(&id), "{violations:?}");
}

#[tokio::test]
async fn a_group_with_something_in_it_stays() {
    let aws = clients().await;
    let create = || aws.ec2.create_security_group().group_name("edge").description("Hosts");
    assert_eq!(code(create().description("kennel's").send().await), "InvalidParameterValue");
    let group = create().send().await.unwrap().group_id().unwrap().to_owned();
    assert_eq!(code(create().send().await), "InvalidGroup.Duplicate");
    let rule = |cidr: &str| {
        let range = IpRange::builder().cidr_ip(cidr).build();
        let rule =
            IpPermission::builder().ip_protocol("tcp").from_port(8443).to_port(8443).ip_ranges(range).build();
        aws.ec2.authorize_security_group_ingress().group_id(&group).ip_permissions(rule).send()
    };
    assert_eq!(code(rule("127.0.0.1").await), "InvalidParameterValue");
    assert_eq!(code(rule("127.0.0.1/8").await), "InvalidParameterValue", "bits behind the prefix");
    rule("127.0.0.1/32").await.unwrap();
    assert_eq!(code(rule("127.0.0.1/32").await), "InvalidPermission.Duplicate");
    let id = aws.started(aws.run(&aws.image().await, "a").security_group_ids(&group)).await;
    let delete = || aws.ec2.delete_security_group().group_id(&group).send();
    assert_eq!(code(delete().await), "DependencyViolation");
    aws.ec2.terminate_instances().instance_ids(&id).send().await.unwrap();
    assert_eq!(code(delete().await), "DependencyViolation", "as long as it shuts down");
    aws.fake.account().settled(REGION);
    delete().await.unwrap();
    assert_eq!(code(delete().await), "InvalidGroup.NotFound");
}

#[tokio::test]
async fn an_address_has_a_limit_and_one_place() {
    let aws = clients().await;
    aws.fake.account().most_addresses = 1;
    let tags = TagSpecification::builder().resource_type(ResourceType::ElasticIp);
    let tags = tags.tags(Tag::builder().key("Name").value("edge1").build()).build();
    let made = aws.ec2.allocate_address().tag_specifications(tags).send().await.unwrap();
    let (address, ip) = (made.allocation_id().unwrap(), made.public_ip().unwrap());
    assert_eq!(code(aws.ec2.allocate_address().send().await), "AddressLimitExceeded");
    let image = aws.image().await;
    let id = aws.started(aws.run(&image, "a")).await;
    let associate = || aws.ec2.associate_address().allocation_id(address).instance_id(&id).send();
    assert_eq!(code(associate().await), "InvalidInstanceID", "it is pending");
    aws.fake.account().settled(REGION);
    let association = associate().await.unwrap().association_id().unwrap().to_owned();
    assert_eq!(associate().await.unwrap().association_id(), Some(association.as_str()), "a second time");
    assert_eq!(aws.fake.account().region(REGION).compute.public_address(&id), Some(ip));
    let release = || aws.ec2.release_address().allocation_id(address).send();
    assert_eq!(code(release().await), "InvalidIPAddress.InUse");
    aws.ec2.disassociate_address().association_id(&association).send().await.unwrap();
    assert_ne!(aws.fake.account().region(REGION).compute.public_address(&id), Some(ip));
    release().await.unwrap();
    assert_eq!(code(release().await), "InvalidAllocationID.NotFound");
}

#[tokio::test]
async fn the_console_is_late_short_and_tells_the_certificate_of_the_disk() {
    let aws = clients().await;
    let (id, disk) = aws.host().await;
    let text = async || {
        let output = aws.ec2.get_console_output().instance_id(&id).latest(true).send().await.unwrap();
        String::from_utf8(STANDARD.decode(output.output().unwrap_or_default()).unwrap()).unwrap()
    };
    let first = text().await;
    assert!(first.len() == 64 << 10 && first.contains("control: api certificate SHA256:"), "{}", first.len());
    aws.ec2.reboot_instances().instance_ids(&id).send().await.unwrap();
    let again = text().await;
    assert!(again.contains("boot 2") && !again.contains("api certificate"), "not yet");
    assert!(text().await.contains("api certificate"));
    let number = aws.fake.account().region(REGION).compute.volumes[&disk].certificate.unwrap();
    assert!(text().await.contains(&crate::fake::host::fingerprint(number)));
    let buffered = aws.ec2.get_console_output().instance_id(&id).send().await.unwrap();
    assert_eq!(buffered.output(), None, "what is not asked of now is not there yet");
}

#[tokio::test]
async fn a_spot_instance_of_one_time_cannot_be_stopped() {
    let aws = clients().await;
    let market = aws_sdk_ec2::types::InstanceMarketOptionsRequest::builder();
    let market = market.market_type(aws_sdk_ec2::types::MarketType::Spot).build();
    let id = aws.started(aws.run(&aws.image().await, "a").instance_market_options(market)).await;
    aws.fake.account().settled(REGION);
    assert_eq!(code(aws.ec2.stop_instances().instance_ids(&id).send().await), "UnsupportedOperation");
    assert_eq!(aws.fake.account().region(REGION).compute.instances[&id].phase, Phase::Running);
}
