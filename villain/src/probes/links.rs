//! Ways around a root folder by names: climbing, links, and traps for whoever goes there with more rights.

use std::fs;
use std::os::unix::fs::symlink as link_to;
use std::path::Path;

use super::files::read;
use crate::outcome::{Attempt, done};
use crate::place::{Place, SECRET};

/// From the working folder upwards, further than any root is deep.
pub(super) fn dot_dot(place: &Place) -> Attempt {
    let secret = place.data_of(SECRET);
    let below = secret.strip_prefix("/").unwrap_or(&secret);
    read(Path::new("../../../../../../../../../../../..").join(below))
}

pub(super) fn hard_link(place: &Place) -> Attempt {
    let link = place.own_data("linked");
    fs::hard_link(place.data_of(SECRET), &link)?;
    fs::remove_file(&link)?;
    done("linked")
}

pub(super) fn symlink(place: &Place) -> Attempt {
    let link = place.own_data("pointing");
    // A run before this one may have been ended in between.
    let _ = fs::remove_file(&link);
    link_to(place.data_of(SECRET), &link)?;
    let seen = read(&link);
    fs::remove_file(&link)?;
    seen
}

fn plant(place: &Place, at: &str) -> Attempt {
    let link = place.own_on_host(at);
    link_to(place.data_of(""), &link)?;
    fs::remove_file(&link)?;
    done("planted, and removed again")
}

pub(super) fn slot_plant(place: &Place) -> Attempt {
    plant(place, "planted")
}

pub(super) fn log_plant(place: &Place) -> Attempt {
    plant(place, "log/planted")
}

pub(super) fn release_plant(place: &Place) -> Attempt {
    plant(place, "releases/99")
}
