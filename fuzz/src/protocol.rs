//! Every message that init receives, those that it sends, and those between control and kennel-acme. Messages are data: bytes are either refused or mean one
//! thing, and what passed the checks may be put into paths, ports and the kernel's files.

use std::fmt::Debug;
use std::path::{Component, Path};

use kennel_init::slot::install::Act;
use kennel_init::slot::launch;
use kennel_model::acme::{Ask, FromAcme, Proof, Said, ToAcme};
use kennel_model::cloud::{Instance, Notice, Report};
use kennel_model::denial::Batch;
use kennel_model::env::EnvValue;
use kennel_model::launch::{MAX_ARGV_BYTES, MAX_ENV_BYTES};
use kennel_model::layout::RUNTIME_MOUNTS;
use kennel_model::msg::{
    self, Cause, ControlRequest, Depth, FromControl, FromProxy, Lease, ToControl, ToProxy,
};
use kennel_model::slot::{FIRST_UID, MAX_SLOTS};
use kennel_model::{LaunchSpec, Limits, ReleaseId, SlotId};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Tries bytes as each kind of message.
///
/// # Panics
/// When a message changes on a second trip, or one that passed init's checks could do harm.
pub fn run(data: &[u8]) {
    if let Some(message) = trip::<FromControl>(data) {
        judge(&message.request);
    }
    if let Some(FromProxy::Wake { slot, .. } | FromProxy::Idle { slot, .. }) = trip::<FromProxy>(data) {
        judge_slot(slot);
    }
    if let Some(lease) = trip::<Lease>(data)
        && lease.validate().is_ok()
    {
        assert!((8..=32).contains(&lease.prefix_len) && lease.dns.len() <= 3, "{lease:?}");
    }
    if let Some(batch) = trip::<Batch>(data) {
        let passed_on = ToControl::Denials(batch.bounded());
        assert!(msg::encode(&passed_on).is_ok(), "control would be blamed for it");
    }
    if let Some(report) = trip::<Report>(data)
        && report.validate().is_ok()
    {
        let passed_on = ToControl::Cloud(Box::new(report));
        assert!(msg::encode(&passed_on).is_ok(), "control would be blamed for it");
    }
    if let Some(FromAcme { said: Said::Challenge(Proof::Http { token, key_authorization }), .. }) = trip(data)
        && (Proof::Http { token: token.clone(), key_authorization: key_authorization.clone() }).is_sound()
    {
        judge_challenge(&token, &key_authorization);
    }
    trip::<ToAcme>(data);
    trip::<ToControl>(data);
    trip::<ToProxy>(data);
}

/// Decodes; what was decoded has one encoding, which is no longer than what came.
fn trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) -> Option<T> {
    let message = msg::decode::<T>(data).ok()?;
    match msg::encode(&message) {
        Ok(bytes) => {
            assert!(bytes.len() <= data.len(), "{message:?} has grown");
            assert_eq!(msg::decode::<T>(&bytes).as_ref(), Ok(&message));
        }
        Err(error) => panic!("{message:?} cannot be sent on: {error}"),
    }
    Some(message)
}

fn judge(request: &ControlRequest) {
    match request {
        ControlRequest::Configure(slot, spec) => {
            judge_slot(*slot);
            if spec.validate().is_ok() {
                judge_launch(spec);
            }
        }
        ControlRequest::Unpack { slot, limits, .. }
        | ControlRequest::BeginBuild(slot, _, limits)
        | ControlRequest::EndBuild { slot, limits, .. } => {
            judge_slot(*slot);
            judge_limits(limits);
        }
        ControlRequest::Prepare(slot)
        | ControlRequest::RemoveRelease(slot, _)
        | ControlRequest::ListRelease(slot, _) => judge_slot(*slot),
        _ => {}
    }
}

/// Strangers read it, at a path that is made of it.
fn judge_challenge(token: &str, key_authorization: &str) {
    let parts: Vec<_> = Path::new(token).components().collect();
    assert!(matches!(parts[..], [Component::Normal(_)]) && !token.contains(['/', '?', '#', '%']), "{token:?}");
    assert!(key_authorization.bytes().all(|b| b.is_ascii_graphic()), "{key_authorization:?}");
}

/// Whatever number came: UID, ports and folders are a tenant's.
fn judge_slot(slot: SlotId) {
    assert!((FIRST_UID..FIRST_UID + u32::from(MAX_SLOTS)).contains(&slot.uid()));
    assert!(slot.port() >= 20_000 && slot.last_port() > slot.port() && slot.last_port() < 0xe000);
    for act in [Act::WipeData, Act::WipeReleases, Act::Remove(ReleaseId(7))] {
        stays_below(&act.folder(slot), "/data/slots");
    }
}

fn judge_launch(spec: &LaunchSpec) {
    stays_below(&format!("{RUNTIME_MOUNTS}/{}", spec.runtime), RUNTIME_MOUNTS);
    assert!(launch::program_path(spec).starts_with('/'));
    let pairs = || spec.env.iter().flat_map(|(name, value)| [name.as_str(), value.expose()]);
    let strings = || spec.argv.iter().map(String::as_str).chain(pairs());
    assert!(strings().all(|text| !text.contains('\0')), "the kernel would cut it");
    assert!(strings().map(str::len).sum::<usize>() <= MAX_ARGV_BYTES + MAX_ENV_BYTES);
    assert!(spec.tenant.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
    judge_limits(&spec.limits);
}

/// Limits that passed are ones that the kernel takes and that leave the host alone.
fn judge_limits(limits: &Limits) {
    if limits.validate().is_ok() {
        assert!(limits.pids_max > 0 && limits.memory_max_bytes > 0 && limits.open_files_max > 0);
        assert!((1..=10_000).contains(&limits.cpu_weight));
    }
}

fn stays_below(path: &str, folder: &str) {
    let climbs = Path::new(path).components().any(|part| part == Component::ParentDir);
    assert!(!climbs && Path::new(path).starts_with(folder) && path != folder, "{path}");
}

fn report() -> Report {
    let tags = vec![("Name".to_owned(), "edge1".to_owned())];
    let instance =
        Instance { id: "i-0".to_owned(), user_data: b"[operator]".to_vec(), tags, ..Instance::default() };
    let notices = vec![Notice::Interruption { action: "stop".to_owned(), at: "soon".to_owned() }];
    Report { instance: Some(instance), trouble: Some("late".to_owned()), notices }
}

/// One of each message.
pub fn seeds() -> Vec<Vec<u8>> {
    let requests = sample_requests().into_iter().enumerate();
    let requests = requests.map(|(id, request)| msg::encode(&FromControl { id: id as u32, request }));
    let lease = Lease {
        address: [10, 0, 2, 15].into(),
        prefix_len: 24,
        gateway: Some([10, 0, 2, 2].into()),
        dns: vec![[10, 0, 2, 3].into()],
        mtu: Some(1500),
    };
    let others = [
        msg::encode(&lease),
        msg::encode(&Batch::default()),
        msg::encode(&report()),
        msg::encode(&challenge()),
        msg::encode(&ToAcme { id: 7, ask: Ask::Shown }),
        msg::encode(&ToProxy::Drain),
        msg::encode(&ToProxy::Routes),
        msg::encode(&ToProxy::Certificates),
    ];
    requests.chain(others).filter_map(Result::ok).collect()
}

fn challenge() -> FromAcme {
    let (token, print) = ("LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDf", "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA");
    let proof = Proof::Http { token: token.into(), key_authorization: format!("{token}.{print}") };
    FromAcme { id: 7, said: Said::Challenge(proof) }
}

fn sample_requests() -> Vec<ControlRequest> {
    use ControlRequest as R;
    let (Ok(slot), Some(spec)) = (SlotId::new(12), sample_launch()) else { return vec![] };
    let release = ReleaseId(3);
    let name = "edge1.example".parse().ok().map(R::Name);
    let requests = [
        R::Prepare(slot),
        R::Configure(slot, spec),
        R::Start(slot, Cause::operator()),
        R::StartOnce(slot),
        R::Sleep(slot, Depth::Reclaimed),
        R::Stop(slot),
        R::Wipe(slot),
        R::Unpack { slot, release, limits: Limits::default(), onto: Some(ReleaseId(2)) },
        R::ListRelease(slot, release),
        R::BeginBuild(slot, release, Limits::default()),
        R::EndBuild { slot, release, limits: Limits::default(), onto: Some(ReleaseId(2)) },
        R::RemoveRelease(slot, release),
        R::PublishRoutes,
        R::PublishCertificates,
        R::Status,
        R::Counters(slot),
        R::Announce("certificate SHA256:x".into()),
        R::PowerOff,
    ];
    requests.into_iter().chain(name).collect()
}

fn sample_launch() -> Option<LaunchSpec> {
    Some(LaunchSpec {
        tenant: "blog".parse().ok()?,
        runtime: "node-24".parse().ok()?,
        release: ReleaseId(3),
        files: ReleaseId(2),
        argv: vec!["/usr/bin/node".into(), "server.js".into()],
        env: vec![("COLOUR".into(), EnvValue::new("blue").ok()?)],
        limits: Limits::default(),
        connect_ports: vec![],
    })
}
