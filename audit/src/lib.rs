//! Denied acts, from the kernel's log to init. The log is read through a descriptor that init opened; what it says of
//! tenants is partly of their own choice (names of files and threads), so that every byte is hostile here. Parsing it
//! is all that this process does, and the reason why it is one of its own.
//!
//! | file | duty |
//! |---|---|
//! | `record` | the form of `/dev/kmsg`: one record a read |
//! | `fields` | `name=value` words, and strings that the kernel quotes or writes in hexadecimal |
//! | `avc`, `packet`, `seccomp` | what SELinux, the packet filter and the system call filters say |
//! | `line` | which of them a line is from |
//! | `tally` | counts instead of a thousand lines, and bounds |
//! | `watch` | the loop |

mod avc;
mod fields;
pub mod line;
mod packet;
pub mod record;
mod seccomp;
pub mod tally;
pub mod watch;
