//! The folders from which the proxy answers by itself: opened here, as only init finds its way into a slot's releases, and
//! handed over as a place in the file system and no more (`O_PATH`). Which folder that is control has said with what the slot
//! runs; the proxy names a slot and a release, and gets what it may. No file below is opened, read or named here.

use std::rc::Rc;

use kennel_model::msg::{Refusal, RequestId, ToProxy};
use kennel_model::{ReleaseId, SlotId};
use rustix::io::Errno;

use super::Host;
use super::link::Outgoing;
use crate::slot::folders;

impl Host {
    pub(super) fn hand_over_files(&mut self, id: RequestId, slot: SlotId, release: ReleaseId) {
        let (result, fds) = match self.open_files(slot, release) {
            Ok(folder) => (Ok(()), vec![Rc::new(folder)]),
            Err(refusal) => (Err(refusal), vec![]),
        };
        self.send("proxy", Outgoing::Proxy(ToProxy::Files { id, result }), fds);
    }

    fn open_files(&self, slot: SlotId, release: ReleaseId) -> Result<std::os::fd::OwnedFd, Refusal> {
        let spec = self.in_use(slot, release);
        let spec = spec.ok_or_else(|| Refusal::Busy("that is not what the slot runs".to_owned()))?;
        let Some(files) = spec.limits.static_files else {
            return Err(Refusal::Invalid("its files are its program's to answer".to_owned()));
        };
        folders::files(slot, spec.files, files.folder.as_str()).map_err(|errno| match errno {
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => Refusal::Busy(errno.to_string()),
            _ => Refusal::Failed(format!("its folder {}: {errno}", files.folder)),
        })
    }
}
