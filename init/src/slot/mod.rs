//! Slots: the parts that one slot consists of at run time. Each file knows one of them and no other; putting them
//! together in answer to messages is `host`'s work.

pub mod cgroup;
pub mod ending;
pub mod folders;
pub mod install;
pub mod ladder;
pub mod launch;
pub mod log;
pub mod meter;
pub mod quota;
pub mod usage;
