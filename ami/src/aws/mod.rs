//! The calls to AWS. [`Aws`] holds the SDK's clients and nobody else does: a call is made by a function here, which names its
//! row in the [`table`], has a deadline for each attempt and one over all, and is made again only when its failure passes.
//!
//! The SDK's own retries are switched off. They are counted against a bucket that 64 uploads at a time empty in a moment,
//! after which throttling turns into failure; they hide the throttling from which the upload learns how fast it may go; they
//! would multiply with hedged attempts; and they know nothing of the overall deadline. Its guard against stalled streams is
//! off for the same reason: each attempt has a deadline.

mod ebs;
mod ec2;
mod fault;
mod other;
pub mod pace;
pub mod table;

use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::SharedHttpClient;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

pub use ebs::{BlockToken, IDLE_MINUTES, NewSnapshot};
pub use ec2::{
    Address, Ami, Attachment, Grant, Group, Instance, NewImage, NewInstance, Snapshot, SnapshotState, Subnet,
    Volume,
};
pub use fault::{Fault, Kind};
use table::Call;

/// Connections for blocks are spread over so many pools: a stalled connection holds up only its own, and a hedged attempt
/// is sure to take another.
pub const SHARDS: usize = 8;
/// An attempt at a call takes at most this long.
const ATTEMPT: Duration = Duration::from_secs(30);
/// An attempt at a block: many share the line, which may be slow.
const BLOCK_ATTEMPT: Duration = Duration::from_secs(60);
/// A command takes at most this long unless it sets its own deadline.
const COMMAND: Duration = Duration::from_secs(15 * 60);

/// AWS in one region.
#[derive(Debug, Clone)]
pub struct Aws {
    region: String,
    ec2: aws_sdk_ec2::Client,
    ssm: aws_sdk_ssm::Client,
    sts: aws_sdk_sts::Client,
    ebs: Vec<aws_sdk_ebs::Client>,
    deadline: Instant,
}

impl Aws {
    /// A connection as the environment says: credentials, profile, and where the services are (`AWS_ENDPOINT_URL`).
    /// Nothing is sent yet.
    pub async fn connect(region: &str) -> Self {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .http_client(http_client())
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .load()
            .await;
        Self {
            region: region.to_owned(),
            ec2: aws_sdk_ec2::Client::new(&config),
            ssm: aws_sdk_ssm::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            ebs: (0..SHARDS).map(|_| ebs_client(&config)).collect(),
            deadline: Instant::now() + COMMAND,
        }
    }

    /// The same, with a deadline over all its calls.
    #[must_use]
    pub fn until(self, deadline: Instant) -> Self {
        Self { deadline, ..self }
    }

    /// When all its calls must be done.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Its region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// One attempt.
    async fn once<T, E>(
        &self,
        call: Call,
        longest: Duration,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Fault>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(out_of_time(call));
        }
        match tokio::time::timeout(longest.min(left), request).await {
            Ok(answer) => answer.map_err(|error| Fault::of(call, &error)),
            Err(_) => {
                Err(Fault::own(call, Kind::Late, format!("no answer in {} s", longest.min(left).as_secs())))
            }
        }
    }

    /// As many attempts as it takes and is allowed.
    async fn call<T, E, F>(&self, call: Call, request: impl Fn() -> F) -> Result<T, Fault>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let mut failures = 0;
        loop {
            let fault = match self.once(call, ATTEMPT, request()).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => Fault { before: failures, ..fault },
            };
            failures += 1;
            let again = fault.kind == Kind::Throttled || (fault.passes() && failures < pace::ATTEMPTS);
            if !again {
                return Err(fault);
            }
            self.rest(call, pace::pause(failures)).await?;
        }
    }

    /// Waits, unless the deadline comes first.
    async fn rest(&self, call: Call, pause: Duration) -> Result<(), Fault> {
        if Instant::now() + pause >= self.deadline {
            return Err(out_of_time(call));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

fn out_of_time(call: Call) -> Fault {
    Fault::own(call, Kind::OutOfTime, "the deadline for the whole command has passed")
}

/// HTTPS with the authorities that this computer trusts.
pub(crate) fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

fn ebs_client(config: &SdkConfig) -> aws_sdk_ebs::Client {
    let own = aws_sdk_ebs::config::Builder::from(config).http_client(http_client());
    aws_sdk_ebs::Client::from_conf(own.build())
}
