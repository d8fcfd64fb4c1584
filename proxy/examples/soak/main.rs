//! Lets `kennel-proxy` work for minutes: tenants appear, go, are deployed anew and die, in an order that a seed decides, while clients of all kinds ask at 70 % of what
//! they could at the begin. `soak <kennel-proxy> [minutes [seed]]`. Fails if an answer other than the right one is not explained by the tenant
//! having been away just then, or if the proxy's memory has grown. Used by `benches/soak.sh`. `tenants` has the programs and what befalls them, `load` the
//! clients.

// A bench: what goes wrong ends it, and nothing of it is used from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, missing_docs)]

#[path = "../../tests/it/authority.rs"]
mod authority;
#[path = "../../tests/it/born.rs"]
mod born;
mod load;
#[path = "../../tests/it/rig.rs"]
#[allow(dead_code, unused_imports)]
mod rig;
mod tenants;

use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kennel_model::access::MAX_PACKET_BYTES;
use kennel_model::certificate::CertificateTable;
use kennel_model::msg::ToProxy;
use kennel_sys::Channel;

use authority::Authority;
use load::Load;
use rig::{Init, soon};
use tenants::Tenants;
use tokio::process::Child;

/// Of what was possible at the begin.
const PART: f64 = 0.7;
/// How long it is found out what is possible, before anything befalls anybody.
const CALIBRATION: Duration = Duration::from_secs(5);
/// What the proxy's memory may have grown from the second minute to the end, beside a tenth.
const GROWTH_KIB: u64 = 2048;
/// From the last tenant's end to the end of the requests that came before.
const AFTERMATH: Duration = Duration::from_secs(2);

/// The same numbers for the same seed (Knuth's MMIX).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The proxy, whose records and words go nowhere.
fn bear(program: &str, near: Channel, listeners: &[TcpListener]) -> Child {
    let (records_in, records) = Channel::pair().unwrap();
    let mut proxy = born::spawn(program, &near, &records_in, listeners);
    // In the place of control; unread they would be left out.
    std::thread::spawn(move || {
        let mut packet = vec![0; MAX_PACKET_BYTES];
        loop {
            if !matches!(records.recv_packet(&mut packet), Ok(Some(_))) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    let mut said = proxy.stderr.take().unwrap();
    tokio::spawn(async move { tokio::io::copy(&mut said, &mut tokio::io::sink()).await });
    proxy
}

/// The clients have a thread of their own; they share the machine's processors with the proxy.
fn ask(load: Arc<Load>, seed: u64) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(load.run(seed))
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let program = args.first().expect("usage: soak <kennel-proxy> [minutes [seed]]");
    let number = |n: usize, usual| args.get(n).map_or(usual, |arg| arg.parse().expect("a number"));
    let (minutes, seed) = (number(1, 10.0), number(2, 1.0) as u64);

    let (near, far) = Channel::pair().unwrap();
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let [http, https] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let mut proxy = bear(program, near, &listeners);

    let init = Arc::new(Init::new(far));
    let tenants = Arc::new(Tenants::new());
    let authority = Authority::new();
    let names: Vec<&str> = tenants.all.iter().map(|tenant| &tenant.name[..]).collect();
    let certificates = vec![authority.issue(&names, 0)];
    init.say_certificates(&CertificateTable { generation: 1, certificates, challenges: vec![] });
    tenants.publish(&init);
    let waking = tokio::spawn(tenants::wake(tenants.clone(), init.clone(), Dice::new(seed + 1)));

    let load = Arc::new(Load::new(
        tenants.clone(),
        http,
        https,
        authority.connector(&[b"http/1.1"]),
        authority.connector(&[b"h2"]),
    ));
    let clients = ask(load.clone(), seed + 2);
    soon(load.is_under_way()).await;
    let before = load.asked();
    tokio::time::sleep(CALIBRATION).await;
    let most = (load.asked() - before) as f64 / CALIBRATION.as_secs_f64();
    load.pace(most * PART);
    println!(
        "{most:.0} requests/s were possible; {:.0} are asked for, for {minutes} minutes, seed {seed}",
        most * PART
    );

    let (began, whole) = (Instant::now(), Duration::from_secs_f64(minutes * 60.0));
    let pid = proxy.id().unwrap();
    let mut dice = Dice::new(seed);
    let (mut early, before) = (None, load.asked());
    while began.elapsed() < whole {
        tokio::time::sleep(Duration::from_millis(200 + dice.roll(1000))).await;
        tenants.befall(&init, &mut dice, http).await;
        // The second minute, of ten.
        if early.is_none() && began.elapsed() >= whole / 5 {
            early = Some(resident_kib(pid));
        }
    }
    let rate = (load.asked() - before) as f64 / began.elapsed().as_secs_f64();
    tokio::time::sleep(AFTERMATH).await;
    let (early, late) = (early.unwrap(), resident_kib(pid));
    load.stop();
    soon(async {
        while !clients.is_finished() {
            tokio::time::sleep(Duration::from_millis(10)).await
        }
    })
    .await;
    clients.join().unwrap();
    waking.abort();
    init.say(&ToProxy::Drain);
    let ended = soon(proxy.wait()).await.unwrap();

    let unexplained = load.report(rate);
    println!("befallen: {}", tenants.report());
    println!(
        "memory of the proxy: {early} KiB after a fifth of the time, {late} KiB at the end; ended with {ended}"
    );
    let is_flat = late <= early + early / 10 + GROWTH_KIB;
    match unexplained == 0 && is_flat && ended.success() {
        true => ExitCode::SUCCESS,
        false => {
            println!(
                "FAILED: {unexplained} unexplained, memory is {}",
                if is_flat { "flat" } else { "not flat" }
            );
            ExitCode::FAILURE
        }
    }
}
