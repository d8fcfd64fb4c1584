//! Starts the program itself, as init does. `binary` asks whether it lives as it ought to; `tests/judges` has others judge it, `examples/soak` has it work for long.

use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Stdio;

use command_fds::{CommandFdExt, FdMapping};
use kennel_sys::Channel;
use tokio::process::{Child, Command};

/// Starts this program with its descriptors at the numbers where init puts them. This process has many descriptors of other
/// tests, at any number: those in the way are the crate's business.
pub(crate) fn spawn(program: &str, channel: &Channel, records: &Channel, listeners: &[TcpListener]) -> Child {
    let handed = [channel.as_fd(), records.as_fd()].into_iter().chain(listeners.iter().map(AsFd::as_fd));
    let mapping = |(fd, child_fd): (BorrowedFd<'_>, _)| FdMapping {
        parent_fd: fd.try_clone_to_owned().unwrap(),
        child_fd,
    };
    let mut program = Command::new(program);
    program.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    program.fd_mappings(handed.zip(3..).map(mapping).collect()).unwrap().spawn().unwrap()
}
