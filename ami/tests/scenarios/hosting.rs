//! What the scenarios about hosts share: a desk with a published image, launches, and what must be there afterwards.

use crate::desk::{Desk, Outcome, REGION};
use crate::fake::compute::{Compute, Instance, Phase, Volume};
use crate::fake::groups;
use crate::fake::host::fingerprint;
use crate::picture::{Picture, Piece};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The name of the host.
pub(crate) const NAME: &str = "edge1";

/// What there is that costs money or is in the way: living instances, groups, addresses and volumes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Things {
    pub(crate) instances: usize,
    pub(crate) groups: usize,
    pub(crate) addresses: usize,
    pub(crate) volumes: usize,
}

/// Nothing at all.
pub(crate) const NOTHING: Things = Things { instances: 0, groups: 0, addresses: 0, volumes: 0 };

/// The public half of an operator's key, as OpenSSH writes it.
fn operator() -> String {
    // Of the first test of RFC 8032.
    let key = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e,
        0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    ];
    let blob = [&11_u32.to_be_bytes()[..], b"ssh-ed25519", &32_u32.to_be_bytes(), &key].concat();
    format!("ssh-ed25519 {} alice@example\n", STANDARD.encode(blob))
}

/// A desk with a published image, in an account in which everything happens at the first look.
pub(crate) fn desk() -> Desk {
    let desk = Desk::new();
    std::fs::write(desk.path("alice.pub"), operator()).unwrap();
    let image = desk.image("1", &Picture::of(4));
    desk.published(&image, &[]);
    let mut account = desk.fake.account();
    account.settle = 0;
    account.boot = 0;
    // Older than the next one.
    account.region(REGION).images.values_mut().for_each(|image| image.created -= 86_400);
    drop(account);
    desk.fake.forget_calls();
    desk
}

/// The arguments of a launch, and more.
pub(crate) fn launching<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let all =
        ["launch", "--name", NAME, "--region", REGION, "--ssh-key", "alice.pub", "--api-from", "127.0.0.1/32"];
    [&all[..], &["--type", "t3.small"], more].concat()
}

/// Launches a host.
pub(crate) fn launch(desk: &Desk, more: &[&str]) -> Outcome {
    desk.run(&launching(more))
}

/// A desk with a host that has tenants' data, and its instance.
pub(crate) fn hosted(more: &[&str]) -> (Desk, String) {
    let desk = desk();
    launch(&desk, more).well();
    let id = host(&desk).0;
    desk.fake.account().treasure(REGION, &id);
    (desk, id)
}

/// Publishes the next version of the image.
pub(crate) fn next_image(desk: &Desk) -> String {
    desk.published(&desk.image("2", &Picture::of(4).with(0, Piece::Data(77))), &[])
}

/// The only living instance, once everything that was begun has ended.
#[track_caller]
pub(crate) fn host(desk: &Desk) -> (String, Instance) {
    let mut account = desk.fake.account();
    let living = account.settled(REGION).living();
    let [(id, instance)] = living[..] else { panic!("{living:?}") };
    (id.to_owned(), instance.clone())
}

/// How much there is, once everything that was begun has ended.
pub(crate) fn things(desk: &Desk) -> Things {
    let mut account = desk.fake.account();
    count(account.settled(REGION))
}

fn count(compute: &Compute) -> Things {
    Things {
        instances: compute.living().len(),
        groups: groups::made(compute).len(),
        addresses: compute.addresses.len(),
        volumes: compute.volumes.len(),
    }
}

/// The only disk for data that there is, with its id.
#[track_caller]
pub(crate) fn data(desk: &Desk) -> (String, Volume) {
    let mut account = desk.fake.account();
    let all: Vec<_> = account.settled(REGION).volumes.iter().filter(|(_, it)| it.snapshot.is_none()).collect();
    let [(id, volume)] = all[..] else { panic!("{} disks for data: {all:?}", all.len()) };
    (id.clone(), volume.clone())
}

/// That there is exactly one host, which runs with its disk for data and is known at the desk by its address and
/// certificate; with an elastic address if that was asked for.
#[track_caller]
pub(crate) fn stands(desk: &Desk, elastic: bool) -> String {
    let ((id, instance), (disk, volume)) = (host(desk), data(desk));
    assert_eq!(instance.phase, Phase::Running);
    assert_eq!(volume.attachment.as_ref().map(|at| at.instance.as_str()), Some(id.as_str()));
    assert_eq!(instance.boot.data.as_ref(), Some(&disk), "it has booted with its data");
    assert_eq!(things(desk), Things { instances: 1, groups: 1, addresses: elastic.into(), volumes: 2 });
    let account = &mut desk.fake.account();
    let compute = &account.region(REGION).compute;
    let address = compute.public_address(&id).expect("a public address");
    if elastic {
        assert!(compute.addresses.values().any(|it| it.ip == address), "{address} is not the elastic one");
    }
    let book =
        std::fs::read_to_string(desk.path("config/kennel/hosts.toml")).expect("hosts are known at the desk");
    let pin = fingerprint(volume.certificate.expect("a certificate"));
    assert!(book.contains(NAME) && book.contains(address) && book.contains(&pin), "{address} {pin}: {book}");
    id
}

/// Does something for each of several cases, some at a time, as most of it is waiting; a failing one is named by its thread.
pub(crate) fn each<T: Copy + Send + std::fmt::Debug>(cases: &[T], work: impl Fn(T) + Sync) {
    for some in cases.chunks(4) {
        std::thread::scope(|scope| {
            for case in some {
                let case = *case;
                let work = &work;
                let name = format!("{case:?}");
                let builder = std::thread::Builder::new().name(name);
                builder.spawn_scoped(scope, move || work(case)).expect("a thread");
            }
        });
    }
}
