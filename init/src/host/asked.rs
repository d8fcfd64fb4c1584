//! Services that run only when control asks for them: `kennel-acme`, which has no business on a host that orders nothing just
//! now. They end by themselves; what is said to them goes past init.

use kennel_model::msg::{ControlReply, Refusal};
use kennel_model::services::Restart;

use super::Host;
use super::services::Service;

impl Host {
    /// Starts such a service, unless it runs.
    pub(super) fn start_asked(&mut self, name: &str) -> Result<ControlReply, Refusal> {
        let found =
            self.services.iter().position(|s| s.entry.name == name && s.entry.restart == Restart::Asked);
        let Some(index) = found else {
            return Err(Refusal::Invalid(format!("this image has no {name}")));
        };
        if self.ending.is_some() {
            return Err(Refusal::Busy("the host shuts down".to_owned()));
        }
        if !self.services[index].is_alive() {
            self.start_service(index);
        }
        if self.services[index].is_alive() {
            Ok(ControlReply::Done)
        } else {
            Err(Refusal::Failed(format!("{name} does not start; the console says why")))
        }
    }

    /// Whether it belongs into the host's state: one that nobody wants, or has asked for, is not missing.
    pub(super) fn is_shown(&self, service: &Service) -> bool {
        self.is_wanted(service) && (service.entry.restart != Restart::Asked || service.is_alive())
    }
}
