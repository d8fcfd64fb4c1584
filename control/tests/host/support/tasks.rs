//! What the stand-in for init does with tasks: a few programs that a test can name.
//!
//! | program | does |
//! |---|---|
//! | `cat` | prints what it reads until its end |
//! | `complain` | prints on its error output, and exits with 3 |
//! | `npm` | exits, with 1 when builds are to fail |
//! | `wait` | goes on until it is asked to end |

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use kennel_model::msg::ToControl;
use kennel_model::task::{TaskEnd, TaskId, TaskIo};
use kennel_model::{LaunchSpec, SlotId};
use kennel_sys::Channel;

use super::world::Shared;

/// A task that runs.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) slot: SlotId,
    pub(crate) spec: LaunchSpec,
    /// It was asked to end.
    pub(crate) stopped: bool,
}

/// Starts one; the ends are control's.
pub(super) fn start(
    world: &Shared,
    channel: Arc<Channel>,
    id: TaskId,
    spec: &LaunchSpec,
    io: TaskIo,
) -> Vec<OwnedFd> {
    let (mut own, mut given) = (vec![], vec![]);
    if io == TaskIo::Streams {
        for _ in 0..3 {
            let (end, other) = UnixStream::pair().unwrap();
            own.push(end);
            given.push(OwnedFd::from(other));
        }
    }
    let (world, program) = (world.clone(), spec.argv[0].clone());
    thread::spawn(move || {
        let program = if io == TaskIo::Trial { "wait" } else { program.as_str() };
        let (code, why) = run(&world, id, program, &mut own);
        drop(own);
        world.lock().tasks.remove(&id);
        world.wake();
        let end = TaskEnd { code, why: why.to_owned() };
        // Control may have gone.
        let _ = channel.send(&ToControl::TaskEnded(id, end), &[]);
    });
    given
}

fn run(world: &Shared, id: TaskId, program: &str, streams: &mut [UnixStream]) -> (u8, &'static str) {
    match (program.trim_start_matches("./"), streams) {
        ("cat", [input, output, _]) => {
            let mut block = [0; 1000];
            while let Ok(n @ 1..) = input.read(&mut block) {
                output.write_all(&block[..n]).unwrap();
            }
            (0, "exited with code 0")
        }
        ("complain", [_, _, errors]) => {
            errors.write_all(b"no such thing\n").unwrap();
            (3, "exited with code 3")
        }
        ("complain", _) => (3, "exited with code 3"),
        ("npm", _) if world.lock().builds_fail => (1, "exited with code 1"),
        ("wait", _) => {
            world.wait("the task is asked to end", |world| {
                world.tasks.get(&id).is_some_and(|task| task.stopped)
            });
            (143, "killed by signal 15 (SIGTERM)")
        }
        _ => (0, "exited with code 0"),
    }
}
