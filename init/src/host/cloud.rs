//! What the cloud says of this machine, from `kennel-imds` to control. It came from outside of the host through an
//! unprivileged process: init looks at its bounds, keeps the last report for the next control, and understands none of it.

use kennel_model::cloud::Report;
use kennel_model::msg::ToControl;

use super::Host;
use super::link::Outgoing;
use super::services::Service;
use crate::say;

/// What is said before anything was heard: nothing at all where nobody asks, since there is no cloud.
pub(super) fn first(services: &[Service]) -> Option<Report> {
    services.iter().any(|service| service.entry.name == "imds").then(|| Report {
        trouble: Some("the metadata service has not answered yet".to_owned()),
        ..Report::default()
    })
}

impl Host {
    /// `kennel-imds` knows something new.
    pub(super) fn on_cloud(&mut self, report: Report) {
        match report.validate() {
            Ok(()) => self.cloud = Some(report),
            Err(why) => return say!("FAILED to take what the cloud says: {why}"),
        }
        self.pass_on_cloud();
    }

    /// Tells control, if there is a cloud and control runs.
    pub(super) fn pass_on_cloud(&mut self) {
        if let Some(report) = self.cloud.clone() {
            self.send("control", Outgoing::Control(ToControl::Cloud(Box::new(report))), vec![]);
        }
    }
}
