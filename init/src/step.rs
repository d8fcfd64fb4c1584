//! Errors of PID 1: what was being done, and why it failed. One type serves all stages, since all that is ever done
//! with such an error is to show it on the console, in a tenant's log, or in the answer to a request.

use std::fmt::Display;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct Failed {
    /// The step and its object: "mount /proc".
    pub what: String,
    /// The cause, in the system's words or ours.
    pub cause: String,
}

impl Failed {
    /// A failure whose cause is no system error.
    pub fn new(what: impl Into<String>, cause: impl Display) -> Self {
        Self { what: what.into(), cause: cause.to_string() }
    }
}

/// Names the step that a result belongs to.
pub trait Step<T> {
    /// The same result, its error knowing what was being done.
    ///
    /// # Errors
    /// The result's own, as [`Failed`].
    fn step(self, what: impl FnOnce() -> String) -> Result<T, Failed>;
}

impl<T, E: Display> Step<T> for Result<T, E> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, Failed> {
        self.map_err(|cause| Failed::new(what(), cause))
    }
}
