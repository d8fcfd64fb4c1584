//! Snapshots and images: blocks with their checksums, client tokens, and what an image may be made of.

use crate::fake::BLOCK;
use crate::fake::account::State;
use crate::fake::uefi::store;
use crate::{Clients, clients, code};
use aws_sdk_ebs::primitives::ByteStream;
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm};
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, TpmSupportValues,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

fn sum(data: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(data))
}

impl Clients {
    async fn start(&self, token: &str, gib: i64) -> String {
        let started = self.ebs.start_snapshot().volume_size(gib).client_token(token).send().await.unwrap();
        assert_eq!(started.block_size(), Some(524_288));
        started.snapshot_id().unwrap().to_owned()
    }

    async fn put(&self, id: &str, index: i32, data: Vec<u8>, sum: String) -> String {
        let length = i32::try_from(data.len()).unwrap();
        let put = self.ebs.put_snapshot_block().snapshot_id(id).block_index(index).data_length(length);
        let put = put.checksum(sum).checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256);
        code(put.block_data(ByteStream::from(data)).send().await)
    }

    async fn complete(&self, id: &str, count: i32, linear: String) -> String {
        let complete =
            self.ebs.complete_snapshot().snapshot_id(id).changed_blocks_count(count).checksum(linear);
        let complete = complete.checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256);
        let linear = ChecksumAggregationMethod::ChecksumAggregationLinear;
        code(complete.checksum_aggregation_method(linear).send().await)
    }

    /// A completed snapshot with one block.
    pub(crate) async fn completed(&self) -> String {
        self.fake.account().settle = 0;
        let id = self.start("whole", 1).await;
        let data = vec![7; BLOCK];
        assert_eq!(self.put(&id, 3, data.clone(), sum(&data)).await, "");
        assert_eq!(self.complete(&id, 1, sum(&Sha256::digest(&data))).await, "");
        id
    }

    pub(crate) fn register(
        &self,
        snapshot: &str,
    ) -> aws_sdk_ec2::operation::register_image::builders::RegisterImageFluentBuilder {
        let ebs = EbsBlockDevice::builder().snapshot_id(snapshot).build();
        let root = BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(ebs).build();
        let image = self.ec2.register_image().name("kennel").architecture(ArchitectureValues::X8664);
        image.virtualization_type("hvm").root_device_name("/dev/xvda").block_device_mappings(root)
    }
}

#[tokio::test]
async fn a_block_is_taken_only_as_the_reference_says() {
    let aws = clients().await;
    let id = aws.start("token", 1).await;
    let data = vec![1; BLOCK];
    assert_eq!(
        aws.put(&id, 0, data.clone(), sum(b"something else")).await,
        "ValidationException",
        "a wrong checksum"
    );
    assert_eq!(aws.put(&id, 0, vec![1; 1000], sum(&[1; 1000])).await, "ValidationException", "a short block");
    assert_eq!(
        aws.put(&id, 2048, data.clone(), sum(&data)).await,
        "ValidationException",
        "beyond the volume's end"
    );
    let other = "snap-00000000000000000";
    assert_eq!(
        aws.put(other, 0, data.clone(), sum(&data)).await,
        "ResourceNotFoundException",
        "no such snapshot"
    );
    assert_eq!(aws.put(&id, 2047, data.clone(), sum(&data)).await, "", "the volume's last block");
}

#[tokio::test]
async fn a_snapshot_is_completed_once_and_with_the_right_count_and_sum() {
    let aws = clients().await;
    let id = aws.start("token", 1).await;
    let (first, second) = (vec![1; BLOCK], vec![2; BLOCK]);
    for (index, data) in [(5, &second), (2, &first)] {
        assert_eq!(aws.put(&id, index, data.clone(), sum(data)).await, "");
    }
    let linear = |a: &[u8], b: &[u8]| sum(&[Sha256::digest(a), Sha256::digest(b)].concat());
    assert_eq!(aws.complete(&id, 1, linear(&first, &second)).await, "ValidationException", "a wrong count");
    assert_eq!(
        aws.complete(&id, 2, linear(&second, &first)).await,
        "ValidationException",
        "in the order of sending"
    );
    assert_eq!(aws.complete(&id, 2, linear(&first, &second)).await, "");
    assert_eq!(aws.complete(&id, 2, linear(&first, &second)).await, "ValidationException", "a second time");
    assert_eq!(
        aws.put(&id, 0, first.clone(), sum(&first)).await,
        "ValidationException",
        "written to when sealed"
    );
    let listed = aws.ebs.list_snapshot_blocks().snapshot_id(&id).send().await;
    assert_eq!(code(listed), "ValidationException", "read before it is completed");
    for expected in ["pending", "completed"] {
        let described = aws.ec2.describe_snapshots().snapshot_ids(&id).send().await.unwrap();
        assert_eq!(described.snapshots()[0].state().unwrap().as_str(), expected);
    }
}

#[tokio::test]
async fn a_client_token_means_one_snapshot() {
    let aws = clients().await;
    let id = aws.start("token", 1).await;
    assert_eq!(aws.start("token", 1).await, id);
    let other = aws.ebs.start_snapshot().volume_size(2).client_token("token").send().await;
    assert_eq!(code(other), "ConflictException");
    assert_ne!(aws.start("another", 1).await, id);
}

#[tokio::test]
async fn blocks_come_back_by_their_own_tokens_only() {
    let aws = clients().await;
    let id = aws.completed().await;
    let listed = aws.ebs.list_snapshot_blocks().snapshot_id(&id).send().await.unwrap();
    let [block] = listed.blocks() else { panic!("{:?}", listed.blocks()) };
    let token = block.block_token().unwrap();
    let get = |index, token: &str| {
        aws.ebs.get_snapshot_block().snapshot_id(&id).block_index(index).block_token(token).send()
    };
    assert_eq!(code(get(2, token).await), "ValidationException");
    let block = get(3, token).await.unwrap();
    assert_eq!(block.checksum(), Some(sum(&[7; BLOCK]).as_str()));
    assert_eq!(block.block_data.collect().await.unwrap().to_vec(), vec![7; BLOCK]);
}

#[tokio::test]
async fn a_child_has_its_parents_blocks_and_is_compared_with_it() {
    let aws = clients().await;
    let parent = aws.completed().await;
    let child =
        aws.ebs.start_snapshot().volume_size(1).client_token("child").parent_snapshot_id(&parent).send().await;
    let child = child.unwrap().snapshot_id().unwrap().to_owned();
    let data = vec![9; BLOCK];
    assert_eq!(aws.put(&child, 4, data.clone(), sum(&data)).await, "");
    assert_eq!(aws.complete(&child, 1, sum(&Sha256::digest(&data))).await, "", "only its own block counts");
    let changed =
        aws.ebs.list_changed_blocks().first_snapshot_id(&parent).second_snapshot_id(&child).send().await;
    let changed: Vec<_> =
        changed.unwrap().changed_blocks().iter().map(|it| it.block_index().unwrap()).collect();
    assert_eq!(changed, [4]);
    let stranger = aws.start("stranger", 1).await;
    assert_eq!(aws.complete(&stranger, 0, sum(b"")).await, "");
    let changed =
        aws.ebs.list_changed_blocks().first_snapshot_id(&parent).second_snapshot_id(&stranger).send().await;
    assert_eq!(code(changed), "ValidationException", "of two volumes");
}

#[tokio::test]
async fn an_image_is_registered_only_of_what_can_boot() {
    let aws = clients().await;
    let unfinished = aws.start("unfinished", 1).await;
    let id = aws.completed().await;
    assert_eq!(code(aws.register(&unfinished).send().await), "IncorrectState");
    assert_eq!(code(aws.register("snap-00000000000000000").send().await), "InvalidSnapshot.NotFound");
    let tpm = aws.register(&id).tpm_support(TpmSupportValues::V20);
    assert_eq!(code(tpm.send().await), "InvalidParameterCombination", "a TPM without UEFI");
    let store = store(b"variables");
    let tipped = format!("{}AA{}", &store[..24], &store[26..]);
    for (data, what) in
        [("AMZNUEFI", "a short one"), ("not base64", "no base64"), (&tipped, "a wrong checksum")]
    {
        let uefi = aws.register(&id).boot_mode(BootModeValues::Uefi).uefi_data(data);
        assert_eq!(code(uefi.send().await), "InvalidParameterValue", "{what}");
    }
    let legacy = aws.register(&id).uefi_data(&store);
    assert_eq!(code(legacy.send().await), "InvalidParameterCombination", "variables without UEFI");
    let ebs = EbsBlockDevice::builder().snapshot_id(&id).encrypted(true).build();
    let root = BlockDeviceMapping::builder().device_name("/dev/xvdb").ebs(ebs).build();
    assert_eq!(code(aws.register(&id).block_device_mappings(root).send().await), "InvalidBlockDeviceMapping");
    assert_eq!(code(aws.register(&id).name("a").send().await), "InvalidAMIName.Malformed");
    let whole =
        aws.register(&id).boot_mode(BootModeValues::Uefi).tpm_support(TpmSupportValues::V20).uefi_data(&store);
    let image = whole.send().await.unwrap().image_id().unwrap().to_owned();
    assert_eq!(code(aws.register(&id).send().await), "InvalidAMIName.Duplicate");
    let described = aws.ec2.describe_images().image_ids(&image).send().await.unwrap();
    let described = &described.images()[0];
    assert_eq!(described.boot_mode(), Some(&BootModeValues::Uefi));
    assert_eq!(described.tpm_support(), Some(&TpmSupportValues::V20));
    assert_eq!(described.block_device_mappings()[0].ebs().unwrap().snapshot_id(), Some(id.as_str()));
}

#[tokio::test]
async fn a_snapshot_in_use_stays() {
    let aws = clients().await;
    let id = aws.completed().await;
    let image = aws.register(&id).send().await.unwrap().image_id().unwrap().to_owned();
    assert_eq!(code(aws.ec2.delete_snapshot().snapshot_id(&id).send().await), "InvalidSnapshot.InUse");
    aws.ec2.deregister_image().image_id(&image).send().await.unwrap();
    let gone = aws.ec2.describe_images().image_ids(&image).send().await;
    assert_eq!(code(gone), "InvalidAMIID.Unavailable");
    aws.ec2.delete_snapshot().snapshot_id(&id).send().await.unwrap();
    assert_eq!(code(aws.ec2.delete_snapshot().snapshot_id(&id).send().await), "InvalidSnapshot.NotFound");
    assert!(aws.fake.account().snapshots().is_empty());
}

#[tokio::test]
async fn a_completion_can_fail_later() {
    let aws = clients().await;
    aws.fake.account().next_completion_fails = Some("Client.InternalError".to_owned());
    let id = aws.start("token", 1).await;
    assert_eq!(aws.complete(&id, 0, sum(b"")).await, "");
    assert!(matches!(aws.fake.account().only_snapshot().1.state, State::Failed(_)));
    assert_eq!(code(aws.register(&id).send().await), "IncorrectState");
}
