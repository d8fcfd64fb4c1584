//! The neighbour: makes one of everything that a villain may reach for. What it is not allowed itself is made in a child,
//! since being killed is one way of not being allowed; a neighbour that is an ordinary tenant lacks those objects, and the
//! bare one of a proof image has them all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv6Addr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::thread;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Serialize;

use crate::outside;
use crate::place::{DOOR, Place, SECRET, VICTIM, abstract_name, ipc_key};
use crate::probes::ipc::QUEUE;
use crate::raw::{Arg, NULL, call, open};

/// What is there for a villain to reach for.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Objects {
    /// This program's PID, as it sees it.
    pid: u32,
    /// A descriptor of a file of its /tmp.
    descriptor: i32,
    /// A key in the kernel that is open for all; 0 when it has none.
    key: i32,
    /// What it could not make, and why.
    missing: Vec<String>,
}

/// What is made in a child.
const IN_A_CHILD: [&str; 5] = ["shared-memory", "semaphore", "message-queue", "posix-queue", "key"];

/// Makes everything; it stays as long as the program runs.
pub(crate) fn set_up(place: &Place) -> Objects {
    let mut objects = Objects { pid: std::process::id(), ..Objects::default() };
    let mut note = |what: &str, result: io::Result<()>| {
        if let Err(error) = result {
            objects.missing.push(format!("{what}: {error}"));
        }
    };
    note("data", data(place));
    note("socket in the data folder", door(place));
    note("abstract sockets", abstract_sockets(place));
    note("loopback port", port(place.own.port() + 1));
    note("others outside of the host", outside::there());
    match tmp(place) {
        Ok(descriptor) => objects.descriptor = descriptor,
        Err(error) => objects.missing.push(format!("tmp: {error}")),
    }
    for what in IN_A_CHILD {
        match in_a_child(what) {
            Ok(said) if what == "key" => objects.key = said.trim().parse().unwrap_or_default(),
            Ok(_) => {}
            Err(error) => objects.missing.push(format!("{what}: {error}")),
        }
    }
    objects
}

fn data(place: &Place) -> io::Result<()> {
    fs::write(place.own_data(SECRET), "the neighbour's secret\n")?;
    fs::write(place.own_data(VICTIM), "")
}

/// Runs for ever in a thread of its own.
fn for_ever(mut serve: impl FnMut() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    // An error of one client is no reason to end, but one of the socket itself would be for ever.
    thread::Builder::new().spawn(move || while serve().is_ok() {}).map(|_| ())
}

fn door(place: &Place) -> io::Result<()> {
    let path = place.own_data(DOOR);
    // One that an earlier run left.
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(path)?;
    for_ever(move || listener.accept().map(|_| ()))
}

fn abstract_sockets(place: &Place) -> io::Result<()> {
    let name = |purpose| SocketAddr::from_abstract_name(abstract_name(place.own, purpose));
    let door = UnixListener::bind_addr(&name("door")?)?;
    for_ever(move || door.accept().map(|_| ()))?;
    let post = UnixDatagram::bind_addr(&name("post")?)?;
    for_ever(move || post.recv(&mut [0; 64]).map(|_| ()))?;
    let gift = UnixListener::bind_addr(&name("gift")?)?;
    let folder = File::open(place.own_data(""))?;
    for_ever(move || {
        let (client, _) = gift.accept()?;
        // A client that has gone away already gets nothing.
        let _ = give(&client, folder.as_fd());
        Ok(())
    })
}

/// Passes a descriptor.
fn give(client: &UnixStream, gift: BorrowedFd<'_>) -> io::Result<()> {
    let mut room = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    let gifts = [gift];
    if !control.push(SendAncillaryMessage::ScmRights(&gifts)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    sendmsg(client, &[io::IoSlice::new(b"!")], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Every address, IPv4 and IPv6.
fn port(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    for_ever(move || listener.accept().map(|_| ()))
}

/// A file of its /tmp, or in the host's root, where it has none, of memory: both have the same label. It stays open.
fn tmp(place: &Place) -> io::Result<i32> {
    let path = place.own_tmp(SECRET);
    let mut file = if path.starts_with("/tmp") {
        File::options().read(true).write(true).create(true).truncate(true).open(path)?
    } else {
        File::from(memfd_create(SECRET, MemfdFlags::CLOEXEC)?)
    };
    file.write_all(b"the neighbour's secret\n")?;
    let number = file.as_raw_fd();
    std::mem::forget(file);
    Ok(number)
}

fn in_a_child(what: &str) -> io::Result<String> {
    let mut command = Command::new("/proc/self/exe");
    let output = command.arg("make").arg(what).stdin(Stdio::inherit()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{} {}", output.status, said.trim())))
}

/// Makes one kind of object, which outlives this process; what there is to say of it.
///
/// # Errors
/// The system's.
pub fn make(what: &str, place: &Place) -> io::Result<String> {
    const NEW: i64 = libc::IPC_CREAT as i64 | 0o666;
    let key = ipc_key(place.own);
    match what {
        "shared-memory" => call(libc::SYS_shmget, [Arg::Int(key), Arg::Int(4096), Arg::Int(NEW)])?,
        "semaphore" => call(libc::SYS_semget, [Arg::Int(key), Arg::Int(1), Arg::Int(NEW)])?,
        "message-queue" => call(libc::SYS_msgget, [Arg::Int(key), Arg::Int(NEW)])?,
        "posix-queue" => {
            let flags = i64::from(libc::O_CREAT | libc::O_RDWR);
            open(libc::SYS_mq_open, [Arg::Text(QUEUE), Arg::Int(flags), Arg::Int(0o666), NULL])?;
            0
        }
        "key" => return open_key().map(|key| key.to_string()),
        _ => return Err(io::Error::other(format!("{what} is nothing to make"))),
    };
    Ok(String::new())
}

/// A key that everybody may read, in the user's keyring, which outlives the process.
fn open_key() -> io::Result<i64> {
    const USER_KEYRING: i64 = -4;
    const SET_PERMISSIONS: i64 = 5;
    const EVERYTHING: i64 = 0x3f3f_3f3f;
    let secret = b"secret";
    let arguments = [
        Arg::Text(c"user"),
        Arg::Text(c"kennel-neighbour"),
        Arg::In(secret),
        Arg::Int(6),
        Arg::Int(USER_KEYRING),
    ];
    let key = call(libc::SYS_add_key, arguments)?;
    call(libc::SYS_keyctl, [Arg::Int(SET_PERMISSIONS), Arg::Int(key), Arg::Int(EVERYTHING)])?;
    Ok(key)
}
