//! The judge judged: with the plain SDK, the fake takes what AWS takes and refuses what AWS refuses, above all what moto
//! lets through. Nothing of Kennel's own takes part.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure in a helper is a failed test")]

mod door;
#[path = "../fake/mod.rs"]
mod fake;
mod hosts;
mod publishing;

use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_sdk_ec2::error::ProvideErrorMetadata;
use fake::Fake;

struct Clients {
    fake: Fake,
    ebs: aws_sdk_ebs::Client,
    ec2: aws_sdk_ec2::Client,
}

async fn clients() -> Clients {
    let fake = Fake::start();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(fake.endpoint())
        .region(Region::new("eu-west-1"))
        .credentials_provider(aws_sdk_ebs::config::Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            None,
            None,
            "test",
        ))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    Clients { ebs: aws_sdk_ebs::Client::new(&config), ec2: aws_sdk_ec2::Client::new(&config), fake }
}

/// The code of an error, empty if there was none.
fn code<T, E: ProvideErrorMetadata>(result: Result<T, E>) -> String {
    result.err().map(|error| error.code().unwrap_or("no code").to_owned()).unwrap_or_default()
}
