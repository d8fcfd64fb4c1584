//! Whether a request can go to its program at once. It is `admission`'s order of steps, as far as each step has nothing to say; where one has, nothing is left
//! of the others, and the request goes that way.

use std::sync::atomic::Ordering;

use kennel_model::acme::CHALLENGE_PATH;
use kennel_model::routes::{Https, Protocol};

use crate::asleep::File;
use crate::begun::Admitted;
use crate::client::Client;
use crate::routes::{Found, Target};
use crate::shared::Shared;

/// Let through, or none if there is anything else to be done about it. How many requests a second there may be is not looked at: it counts.
pub(super) fn admit(shared: &Shared, client: &Client, name: &str, path: &str) -> Option<Admitted> {
    let is_named = client.name().is_none_or(|shown_for| shared.certificates.are_one(shown_for, name));
    if shared.refusing.load(Ordering::Relaxed) || shared.routes.in_front().is_some() || !is_named {
        return None;
    }
    // What is answered for certificate authorities, or kept for when the program is asleep.
    if path.starts_with(CHALLENGE_PATH) || File::by_path(path).is_some() {
        return None;
    }
    let Found::Target(target) = shared.routes.find(name, path) else { return None };
    if !is_plain(shared, client, &target, name) {
        return None;
    }
    let visit = shared.leases.enter(target.slot)?;
    let is_ready = target.health.is_none() || shared.awake.is_ready(target.slot);
    if !visit.is_leased() || !is_ready {
        return None;
    }
    let turn = shared.turns.at_once(target.slot, client.address(), target.traffic.requests_max)?;
    Some(Admitted { target, visit: Some(visit), turn })
}

/// Whether all that there is at the target is a program that speaks HTTP/1.1.
fn is_plain(shared: &Shared, client: &Client, target: &Target, name: &str) -> bool {
    let is_sent_elsewhere =
        !client.has_tls() && target.https == Https::Redirect && shared.certificates.has(name);
    target.release.is_some()
        && target.redirect.is_none()
        && target.maintenance.is_none()
        && target.site.is_none()
        && target.beta.is_none()
        && !target.strip
        && target.protocol == Protocol::Http1
        && !is_sent_elsewhere
}
