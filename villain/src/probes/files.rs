//! Files of another slot: its code, data, log, /tmp and sockets.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::outcome::{Attempt, done};
use crate::place::{DOOR, NOTE, PROGRAM, Place, SECRET, VICTIM};

/// Opens for reading, and reads.
pub(super) fn read(path: impl AsRef<Path>) -> Attempt {
    done(format!("{} bytes read", fs::read(path)?.len()))
}

/// Opens for writing, and changes nothing.
pub(super) fn open_to_write(path: impl AsRef<Path>) -> Attempt {
    File::options().write(true).open(path)?;
    done("opened for writing")
}

/// Adds a byte at the end.
pub(super) fn append(path: impl AsRef<Path>) -> Attempt {
    File::options().append(true).open(path)?.write_all(b"!")?;
    done("a byte was added")
}

/// Makes an empty file that was not there, and removes it again.
pub(super) fn create(path: impl AsRef<Path>) -> Attempt {
    let path = path.as_ref();
    File::options().write(true).create_new(true).open(path)?;
    fs::remove_file(path)?;
    done("made, and removed again")
}

/// Runs a program that ends at once when it is ours.
pub(super) fn run(path: impl AsRef<Path>) -> Attempt {
    // Not /dev/null, which is itself out of reach where SELinux is alone in the host's root.
    let output = Command::new(path.as_ref()).arg("nothing").stdin(Stdio::inherit()).output()?;
    done(format!("it ran: {}", output.status))
}

pub(super) fn code_read(place: &Place) -> Attempt {
    read(place.release_of(NOTE))
}

pub(super) fn code_write(place: &Place) -> Attempt {
    append(place.release_of(NOTE))
}

pub(super) fn code_run(place: &Place) -> Attempt {
    run(place.release_of(PROGRAM))
}

pub(super) fn data_read(place: &Place) -> Attempt {
    read(place.data_of(SECRET))
}

pub(super) fn data_list(place: &Place) -> Attempt {
    done(format!("{} names", fs::read_dir(place.data_of(""))?.count()))
}

pub(super) fn data_stat(place: &Place) -> Attempt {
    done(format!("{} bytes", fs::metadata(place.data_of(SECRET))?.len()))
}

pub(super) fn data_write(place: &Place) -> Attempt {
    append(place.data_of(SECRET))
}

pub(super) fn data_create(place: &Place) -> Attempt {
    create(place.data_of("planted"))
}

pub(super) fn data_remove(place: &Place) -> Attempt {
    fs::remove_file(place.data_of(VICTIM))?;
    done("removed")
}

pub(super) fn log_read(place: &Place) -> Attempt {
    read(place.log_of())
}

pub(super) fn log_write(place: &Place) -> Attempt {
    append(place.log_of())
}

pub(super) fn tmp_read(place: &Place) -> Attempt {
    read(place.proc_of(&format!("fd/{}", place.descriptor)))
}

pub(super) fn socket_connect(place: &Place) -> Attempt {
    UnixStream::connect(place.data_of(DOOR))?;
    done("connected")
}
