//! Denial of service: each takes what there is until a limit holds, then gives it back. Whether the neighbour noticed is
//! for others to see. Each has a bound of its own, far above every limit, at which it gives up and says that none held.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::outcome::{Attempt, done, held};
use crate::place::Place;

const MIB: usize = 1 << 20;

fn is(error: &io::Error, errnos: &[Errno]) -> bool {
    errnos.iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

/// `Held` when it ended by one of these, `Done` when it did not end.
fn verdict(ended: Option<io::Error>, limits: &[Errno], taken: String) -> Attempt {
    match ended {
        None => done(format!("no limit after {taken}")),
        Some(error) if is(&error, limits) => held(format!("{taken}, then: {error}")),
        Some(error) => Err(error),
    }
}

pub(super) fn processes(_: &Place) -> Attempt {
    const BOUND: usize = 2000;
    let mut children: Vec<Child> = Vec::new();
    let mut ended = None;
    while children.len() < BOUND && ended.is_none() {
        let mut command = Command::new("/proc/self/exe");
        command.arg("wait").stdin(Stdio::piped());
        match command.spawn() {
            Ok(child) => children.push(child),
            Err(error) => ended = Some(error),
        }
    }
    let count = children.len();
    for mut child in children {
        // They wait for their input, which ends here; one that is gone is gone.
        let _ = child.kill();
        let _ = child.wait();
    }
    verdict(ended, &[Errno::EAGAIN, Errno::ENOMEM, Errno::EMFILE], format!("{count} processes"))
}

/// Being killed is the usual end. Before it is, the limit slows down whoever takes memory, on a busy machine for longer than
/// anybody waits: a thread that takes none keeps the time.
pub(super) fn memory(_: &Place) -> Attempt {
    const PATIENCE: Duration = Duration::from_secs(30);
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(take_memory()));
    end.recv_timeout(PATIENCE).unwrap_or_else(|_| held(format!("no end in {} s", PATIENCE.as_secs())))
}

fn take_memory() -> Attempt {
    const PIECE: usize = 16 << 10;
    const BOUND_MIB: usize = 4096;
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let taken = |pieces: &[Vec<u8>]| pieces.len() * PIECE / MIB;
    while taken(&pieces) < BOUND_MIB {
        let mut piece: Vec<u8> = Vec::new();
        if piece.try_reserve_exact(PIECE).is_err() {
            return held(format!("{} MiB", taken(&pieces)));
        }
        piece.resize(PIECE, 7);
        pieces.push(piece);
    }
    done(format!("no limit after {BOUND_MIB} MiB"))
}

/// Writes a file until it is refused.
fn fill(path: &Path, bound_mib: usize) -> Attempt {
    let piece = vec![7; MIB];
    let mut file = File::create(path)?;
    let mut written = 0;
    let mut ended = None;
    while written < bound_mib && ended.is_none() {
        match file.write_all(&piece) {
            Ok(()) => written += 1,
            Err(error) => ended = Some(error),
        }
    }
    drop(file);
    fs::remove_file(path)?;
    verdict(ended, &[Errno::EDQUOT, Errno::ENOSPC, Errno::EFBIG], format!("{written} MiB"))
}

pub(super) fn disk(place: &Place) -> Attempt {
    fill(&place.own_data("filler"), 4096)
}

pub(super) fn tmp(place: &Place) -> Attempt {
    fill(&place.own_tmp("filler"), 512)
}

pub(super) fn inodes(place: &Place) -> Attempt {
    const BOUND: usize = 400_000;
    let folder = place.own_data("crowd");
    fs::create_dir_all(&folder)?;
    let (mut made, mut ended) = (0, None);
    while made < BOUND && ended.is_none() {
        match File::create(folder.join(made.to_string())) {
            Ok(_) => made += 1,
            Err(error) => ended = Some(error),
        }
    }
    fs::remove_dir_all(&folder)?;
    verdict(ended, &[Errno::EDQUOT, Errno::ENOSPC], format!("{made} files"))
}

pub(super) fn descriptors(_: &Place) -> Attempt {
    const BOUND: usize = 1 << 20;
    let (mut files, mut ended) = (Vec::new(), None);
    while files.len() < BOUND && ended.is_none() {
        match File::open("/proc/self/exe") {
            Ok(file) => files.push(file),
            Err(error) => ended = Some(error),
        }
    }
    verdict(ended, &[Errno::EMFILE, Errno::ENFILE], format!("{} files open", files.len()))
}

/// What it prints more than its log holds is cut off; that is the limit, and nobody tells the printer.
pub(super) fn log(_: &Place) -> Attempt {
    const LINES: usize = 300_000;
    let line = format!("{}\n", "noise ".repeat(16));
    let many = line.repeat(100);
    let mut log = io::stderr();
    let (mut printed, mut ended) = (0, None);
    while printed < LINES && ended.is_none() {
        match log.write_all(many.as_bytes()) {
            Ok(()) => printed += 100,
            Err(error) => ended = Some(error),
        }
    }
    match ended {
        Some(error) if !is(&error, &[Errno::EDQUOT, Errno::ENOSPC, Errno::EAGAIN]) => Err(error),
        _ => held(format!("{printed} lines")),
    }
}

pub(super) fn processor(_: &Place) -> Attempt {
    let end = Instant::now() + Duration::from_secs(10);
    let spin = move || {
        let mut turns = 0_u64;
        while Instant::now() < end {
            turns = turns.wrapping_add(1);
        }
        turns
    };
    let threads: Vec<_> = (0..8).map(|_| thread::Builder::new().spawn(spin)).collect::<Result<_, _>>()?;
    let turns: u64 = threads.into_iter().filter_map(|thread| thread.join().ok()).fold(0, u64::wrapping_add);
    held(format!("{turns} turns"))
}

/// To a port of its own; each connection is remembered by the packet filter after it has ended.
pub(super) fn connections(place: &Place) -> Attempt {
    const BOUND: usize = 20_000;
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, place.own.port() + 3))?;
    let address = server.local_addr()?;
    let end = Instant::now() + Duration::from_secs(20);
    let mut made = 0;
    while made < BOUND && Instant::now() < end {
        let client = TcpStream::connect_timeout(&address, Duration::from_secs(2));
        if client.is_err() || server.accept().is_err() {
            break;
        }
        made += 1;
    }
    held(format!("{made} connections"))
}

/// Many connections to its own web server, of which none is read from.
pub(super) fn slow_reader(place: &Place) -> Attempt {
    let mut held_open = Vec::new();
    for _ in 0..100 {
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, place.own.port()))?;
        client.write_all(b"GET /endless HTTP/1.0\r\n\r\n")?;
        held_open.push(client);
    }
    thread::sleep(Duration::from_secs(5));
    held(format!("{} connections", held_open.len()))
}
