//! Copies an AMI to another region, unless a copy is there.

use super::ManageError;
use crate::aws::{Ami, Aws};
use crate::names;
use crate::publish::wait_for_image;
use crate::ui::Ui;

/// The copy of an AMI in another region, finished, and whether it was there before.
///
/// # Errors
/// [`ManageError`].
pub async fn copy(ami: &Ami, from: &str, to: &Aws, ui: Ui) -> Result<(Ami, bool), ManageError> {
    let digest = ami.tags.get(names::DIGEST).ok_or_else(|| ManageError::NotOurs(ami.id.clone()))?;
    let found = to.images(Some(digest)).await?;
    let same = |other: &&Ami| {
        other.tags.get(names::KEY) == ami.tags.get(names::KEY)
            && ["available", "pending"].contains(&other.state.as_str())
    };
    let there = found.iter().find(same);
    let id = if let Some(there) = there {
        ui.note(&format!("{} in {} is this image already", there.id, to.region()));
        there.id.clone()
    } else {
        ui.note(&format!("copying {} from {from} to {}; this takes minutes", ami.id, to.region()));
        to.copy_image(ami, from).await?
    };
    Ok((wait_for_image(to, &id).await?, there.is_some()))
}
