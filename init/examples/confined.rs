//! Runs a program under the system call filter of one kind: `confined jit|plain|unpack PROGRAM [ARGUMENT]...`. To see
//! whether something runs as a tenant before there is a host, and under strace, what it uses.

use std::error::Error;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use kennel_init::child::seccomp::Filters;
use kennel_init::child::seccomp::table::Kind;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(kind), Some(program)) = (args.next(), args.next()) else {
        return Err("usage: confined jit|plain|unpack PROGRAM [ARGUMENT]...".into());
    };
    let kind = Kind::ALL.into_iter().find(|k| *k.name() == kind).ok_or("there is no such kind")?;
    let mut command = Command::new(program);
    command.args(args);
    Filters::compile()?.of(kind).apply()?;
    Err(command.exec().into())
}
