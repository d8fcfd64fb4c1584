//! What the benchmark compares with: the plain SDK in a loop, a block after the other, with the SDK's own retries. It skips
//! the same holes and computes the same checksums; no journal, no concurrency. The endpoint comes from the environment.
//!
//!   sequential IMAGE REGION
#![allow(clippy::unwrap_used, reason = "a tool of the benchmarks, not of the product")]

use aws_config::{BehaviorVersion, Region};
use aws_sdk_ebs::primitives::ByteStream;
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm};
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, SnapshotState,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::SeekFrom;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::os::unix::fs::FileExt;

const BLOCK: u64 = 524_288;

/// Whether anything was written between two places.
fn written(file: &File, from: u64, until: u64) -> bool {
    rustix::fs::seek(file, SeekFrom::Data(from)).is_ok_and(|data| data < until)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let [image, region] = std::env::args().skip(1).collect::<Vec<_>>().try_into().unwrap();
    let config = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region));
    let config = config.http_client(aws_smithy_http_client::Builder::new().build_http()).load().await;
    let (ebs, ec2) = (aws_sdk_ebs::Client::new(&config), aws_sdk_ec2::Client::new(&config));

    let file = File::open(image).unwrap();
    let length = file.metadata().unwrap().len();
    let gib = i64::try_from(length.div_ceil(1 << 30)).unwrap();
    let started = ebs.start_snapshot().volume_size(gib).send().await.unwrap();
    let id = started.snapshot_id().unwrap().to_owned();
    let (mut linear, mut count) = (Sha256::new(), 0);
    for index in 0..length.div_ceil(BLOCK) {
        let (from, until) = (index * BLOCK, length.min((index + 1) * BLOCK));
        if !written(&file, from, until) {
            continue;
        }
        let mut data = vec![0; usize::try_from(BLOCK).unwrap()];
        file.read_exact_at(&mut data[..usize::try_from(until - from).unwrap()], from).unwrap();
        let sum = Sha256::digest(&data);
        linear.update(sum);
        count += 1;
        let put = ebs.put_snapshot_block().snapshot_id(&id).block_index(i32::try_from(index).unwrap());
        let put = put.data_length(i32::try_from(BLOCK).unwrap()).checksum(STANDARD.encode(sum));
        let put = put.checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256);
        put.block_data(ByteStream::from(data)).send().await.unwrap();
    }
    let complete = ebs.complete_snapshot().snapshot_id(&id).changed_blocks_count(count);
    let complete = complete.checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256);
    let complete = complete.checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear);
    complete.checksum(STANDARD.encode(linear.finalize())).send().await.unwrap();
    // The fake's snapshots are completed after a look or two; this loop need not be gentle with it.
    loop {
        let described = ec2.describe_snapshots().snapshot_ids(&id).send().await.unwrap();
        if described.snapshots()[0].state() == Some(&SnapshotState::Completed) {
            break;
        }
    }
    let root = EbsBlockDevice::builder().snapshot_id(&id).build();
    let root = BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(root).build();
    let register =
        ec2.register_image().name(format!("sequential-{id}")).architecture(ArchitectureValues::X8664);
    let register =
        register.virtualization_type("hvm").boot_mode(BootModeValues::Uefi).root_device_name("/dev/xvda");
    println!("{}", register.block_device_mappings(root).send().await.unwrap().image_id().unwrap());
}
