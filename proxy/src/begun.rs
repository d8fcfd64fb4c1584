//! A request that `forward` has begun and that is not plain after all, on its way to `request`: what has been done for it is not done again, and its record
//! goes on.

use std::sync::Arc;

use crate::exchange::Start;
use crate::fairness::Turn;
use crate::fault::Fault;
use crate::leases::Visit;
use crate::routes::Target;
use crate::seen::Seen;
use crate::upstream::Upstream;

/// One request, until hyper has read it too.
pub(crate) struct Begun {
    /// Its record.
    pub(crate) seen: Seen,
    /// How far it has come.
    pub(crate) so_far: SoFar,
}

/// How far a request has come.
pub(crate) enum SoFar {
    /// To this.
    Failed(Fault),
    /// To its program.
    Let(Admitted, Start<Upstream>),
}

/// A request that is let through to its program.
pub(crate) struct Admitted {
    /// Where to.
    pub(crate) target: Arc<Target>,
    /// Counted, and holding the lease of the program that serves; none for another's.
    pub(crate) visit: Option<Visit>,
    /// Its place at the program.
    pub(crate) turn: Turn,
}
