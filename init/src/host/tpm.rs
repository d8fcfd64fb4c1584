//! The TPM, for control: a question goes to `kennel-tpm`, its answer to whoever asked. Init opens the device and hands it
//! over, and looks at the bounds of what is said; what it means is for others. One question at a time, since a TPM is slow
//! and everybody's.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;

use kennel_model::msg::{ControlReply, Refusal, RequestId};
use kennel_model::tpm::{Answer, DEVICE, Question};

use super::Host;
use super::link::Outgoing;
use crate::say;
use crate::step::{Failed, Step};

/// Its name in the services table.
const SERVICE: &str = "tpm";

/// The question that `kennel-tpm` has at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// None.
    Nothing,
    /// Control's, which waits.
    By(RequestId),
    /// That of a control which has ended meanwhile.
    ByNobody,
}

/// Opens the TPM for one start of `kennel-tpm`.
///
/// # Errors
/// The system's.
pub(super) fn open() -> Result<OwnedFd, Failed> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    Ok(options.open(DEVICE).step(|| format!("open {DEVICE}"))?.into())
}

impl Host {
    /// Passes a question on; answers at once only when that cannot be.
    pub(super) fn ask_tpm(&mut self, id: RequestId, question: Question) -> Result<(), Refusal> {
        question.validate().map_err(|why| Refusal::Invalid(format!("the question to the TPM: {why}")))?;
        let Some(service) = self.services.iter().find(|service| service.entry.name == SERVICE) else {
            return Err(Refusal::Invalid("this host has no TPM".into()));
        };
        if self.asked_tpm != Asked::Nothing {
            return Err(Refusal::Busy("the TPM has another question".into()));
        }
        if !service.is_alive() {
            return Err(Refusal::Failed("kennel-tpm does not run".into()));
        }
        self.asked_tpm = Asked::By(id);
        self.send(SERVICE, Outgoing::Tpm(question), vec![]);
        Ok(())
    }

    /// `kennel-tpm` has answered.
    pub(super) fn on_tpm(&mut self, answer: Answer) {
        let result = match answer.validate() {
            Ok(()) => Ok(ControlReply::Tpm(answer)),
            Err(why) => {
                say!("FAILED to take what kennel-tpm says: {why}");
                Err(Refusal::Failed("the TPM's answer makes no sense".into()))
            }
        };
        self.end_tpm_question(result);
    }

    /// A service has ended that may have been part of a question.
    pub(super) fn forget_tpm_question(&mut self, service: &str) {
        match (service, self.asked_tpm) {
            (SERVICE, _) => self.end_tpm_question(Err(Refusal::Failed("kennel-tpm has ended".into()))),
            ("control", Asked::By(_)) => self.asked_tpm = Asked::ByNobody,
            _ => {}
        }
    }

    fn end_tpm_question(&mut self, result: Result<ControlReply, Refusal>) {
        if let Asked::By(id) = std::mem::replace(&mut self.asked_tpm, Asked::Nothing) {
            self.reply(id, result, vec![]);
        }
    }
}
