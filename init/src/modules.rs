//! Kernel modules: loads those that a list names, in its order. The builder has worked out which ones and in what
//! order (`modules.list`, `modules-swap.list`); the kernel checks their signatures and unpacks them.

use std::fs::{self, File};
use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::say;
use crate::step::{Failed, Step};

/// `MODULE_INIT_COMPRESSED_FILE` of <linux/module.h>: the file is `.ko.xz` and the kernel unpacks it.
const COMPRESSED_FILE: i32 = 4;

/// Loads every module of the list, and answers how many there are. One that is there already, or whose device is absent,
/// is no error; one that the kernel refuses is said on the console, and what needed it will say so too.
///
/// # Errors
/// When there is no list.
pub fn load(list: &str) -> Result<usize, Failed> {
    let text = fs::read_to_string(list).step(|| format!("read {list}"))?;
    let paths = text.lines().filter(|line| !line.is_empty());
    let loaded = paths.map(load_one).inspect(|result| {
        if let Err(failed) = result {
            say!("FAILED to {failed}");
        }
    });
    Ok(loaded.filter(Result::is_ok).count())
}

fn load_one(path: &str) -> Result<(), Failed> {
    let file = File::open(path).step(|| format!("open module {path}"))?;
    let flags = if path.ends_with(".ko") { 0 } else { COMPRESSED_FILE };
    match rustix::system::finit_module(file.as_fd(), c"", flags) {
        Ok(()) | Err(Errno::EXIST | Errno::NODEV) => Ok(()),
        Err(cause) => Err(Failed::new(format!("load module {path}"), cause)),
    }
}
