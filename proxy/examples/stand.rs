//! Runs `kennel-proxy` without a host, for measurements: stands in for init with one route, to a program that runs
//! already, so that every wake is granted at once. `stand <kennel-proxy> <listen address> <host> <slot>`; prints the proxy's PID, ends it by a drain when
//! standard input closes. A folder in `KENNEL_STAND_FILES` has the host's files, which the proxy answers by itself. A number behind it is of further routes, to all other slots in turn; behind that the address
//! with TLS, and the files with the host's certificate and its key.

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use kennel_model::access::MAX_PACKET_BYTES;
use kennel_model::certificate::{CertificateTable, ServedCertificate};
use kennel_model::msg::{FromProxy, Refusal, Rung, ToProxy};
use kennel_model::routes::{Https, Route, RouteTable, TrafficLimits};
use kennel_model::slot::MAX_SLOTS;
use kennel_model::{CertificateName, Limits, ReleaseId, SlotId, TenantName};
use kennel_sys::{Channel, ChannelError};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

/// Names the folder of files.
const FILES: &str = "KENNEL_STAND_FILES";
const USAGE: &str = "usage: stand <kennel-proxy> <listen address> <host> <slot> [further routes [<https address> <chain> <key>]]";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let ([program, address, host, slot], more) = args.split_at_checked(4).ok_or(USAGE)? else {
        return Err(USAGE.into());
    };
    let routes = more.first().map_or(Ok(0), |more| more.parse())?;
    let (https, certificate) = match more {
        [_, https, chain, key] => (https.parse()?, Some([chain, key])),
        // Nobody comes by it.
        _ => (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None),
    };
    let (near, far) = Channel::pair()?;
    let listeners = [TcpListener::bind(address)?, TcpListener::bind(https)?];
    let (records_in, records) = Channel::pair()?;
    let mut proxy = start(program, &near, listeners.each_ref(), &records_in)?;
    drop(listeners);
    drop(near);
    if let Some(files) = certificate {
        show(&far, host, files)?;
    }
    publish(&far, host, slot.parse()?, routes)?;
    println!("{}", proxy.id());
    std::thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        // Ends when the proxy does.
        scope.spawn(|| grant(&far));
        std::thread::spawn(move || read(&records));
        std::io::stdin().read_to_end(&mut Vec::new())?;
        Ok(far.send(&ToProxy::Drain, &[])?)
    })?;
    match proxy.wait()? {
        status if status.success() => Ok(()),
        status => Err(format!("the proxy ended with {status}").into()),
    }
}

/// Reads records in the place of control, for as long as this program runs: unread they would be left out, and cost less
/// than they do.
fn read(records: &Channel) {
    let mut packet = vec![0; MAX_PACKET_BYTES];
    loop {
        if !matches!(records.recv_packet(&mut packet), Ok(Some(_))) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Grants every wake, of what runs already.
fn grant(init: &Channel) -> Result<(), ChannelError> {
    while let Some((message, _)) = init.recv()? {
        match message {
            FromProxy::Wake { id, slot, .. } => {
                init.send(&ToProxy::Awake(slot, Some(ReleaseId(1))), &[])?;
                init.send(&ToProxy::Wake { id, slot, result: Ok(Rung::Running) }, &[])?;
            }
            FromProxy::OpenFiles { id, .. } => match std::env::var_os(FILES).map(open_folder) {
                Some(Ok(folder)) => init.send(&ToProxy::Files { id, result: Ok(()) }, &[folder.as_fd()])?,
                _ => {
                    let none = Err(Refusal::Failed("no such folder".to_owned()));
                    init.send(&ToProxy::Files { id, result: none }, &[])?;
                }
            },
            _ => {}
        }
    }
    Ok(())
}

fn open_folder(path: OsString) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// With its descriptors at the numbers where init puts them.
fn start(
    program: &str,
    channel: &Channel,
    [http, https]: [&TcpListener; 2],
    records: &Channel,
) -> Result<Child, Box<dyn Error>> {
    // One worker, as its peers have.
    let handed = [channel.as_fd(), records.as_fd(), http.as_fd(), https.as_fd()];
    let mapping = |(fd, child_fd): (BorrowedFd<'_>, _)| {
        fd.try_clone_to_owned().map(|parent_fd| FdMapping { parent_fd, child_fd })
    };
    let mappings = handed.into_iter().zip(3..).map(mapping).collect::<Result<_, _>>()?;
    Ok(Command::new(program).fd_mappings(mappings)?.stdin(Stdio::null()).spawn()?)
}

fn publish(init: &Channel, host: &str, slot: u16, more: u16) -> Result<(), Box<dyn Error>> {
    let mut routes = vec![route(host, slot)?];
    for n in 0..more {
        // Of each ten, two are wildcards and one is a path.
        let domain = match n % 10 {
            7 | 8 => format!("*.site-{n}.example"),
            9 => format!("site-{}.example/shop", n - 3),
            _ => format!("site-{n}.example"),
        };
        routes.push(route(&domain, n % MAX_SLOTS)?);
    }
    let table = sealed(&serde_json::to_vec(&RouteTable { generation: 1, routes, ..RouteTable::default() })?)?;
    Ok(init.send(&ToProxy::Routes, &[table.as_fd()])?)
}

fn show(init: &Channel, host: &str, [chain, key]: [&String; 2]) -> Result<(), Box<dyn Error>> {
    let certificate = ServedCertificate {
        names: vec![CertificateName::new(host)?],
        not_after_s: 0,
        chain_pem: std::fs::read_to_string(chain)?,
        key_pem: std::fs::read_to_string(key)?,
    };
    let table = CertificateTable { generation: 1, certificates: vec![certificate], challenges: vec![] };
    let table = sealed(&serde_json::to_vec(&table)?)?;
    Ok(init.send(&ToProxy::Certificates, &[table.as_fd()])?)
}

fn sealed(bytes: &[u8]) -> Result<File, Box<dyn Error>> {
    let mut file = File::from(memfd_create("table", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file)
}

fn route(host: &str, slot: u16) -> Result<Route, Box<dyn Error>> {
    let static_files = std::env::var_os(FILES).map(|_| serde_json::from_str(r#"{"path":"/","folder":"."}"#));
    let limits = Limits {
        https: Https::Optional,
        // One client asks for all that there is.
        traffic: TrafficLimits { requests_max: 1000, ..TrafficLimits::default() },
        static_files: static_files.transpose()?,
        ..Limits::default()
    };
    Ok(Route::to(host.parse()?, TenantName::new("bench")?, SlotId::new(slot)?, Some(ReleaseId(1)), &limits))
}
