//! Answers about a tenant's files: its data or a release out, and other data in its place.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use kennel_model::data::ARCHIVE;
use kennel_model::{ReleaseId, TenantName};

use super::answers::{Answer, Asked, gone, last_segment, media_type, note, number_of, undisturbed};
use super::body::{json, stream};
use crate::control::Control;
use crate::data::Saved;
use crate::error::Result;

/// An archive of all of it.
pub(super) async fn save(control: &Arc<Control>, name: TenantName) -> Result<Answer> {
    Ok(archive(Arc::clone(control).save_data(&name).await?))
}

/// One of a release.
pub(super) async fn save_release(control: &Arc<Control>, name: TenantName, path: &str) -> Result<Answer> {
    let id = ReleaseId(number_of(last_segment(path.trim_end_matches("/save")))?);
    Ok(archive(Arc::clone(control).save_release(&name, id).await?))
}

fn archive(saved: Saved) -> Answer {
    let mut answer = stream(StatusCode::OK, ARCHIVE, saved.body.boxed_unsync());
    if let Some(bytes) = saved.bytes {
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    answer
}

/// An archive takes its place.
pub(super) async fn replace(control: &Arc<Control>, name: TenantName, asked: Asked<'_>) -> Result<Answer> {
    media_type(&asked.head.headers, ARCHIVE)?;
    let mut body = asked.body.take().ok_or_else(gone)?;
    let act = |control: Arc<Control>| async move {
        let replaced = control.replace_data(&name, &mut body).await;
        Ok((replaced, body))
    };
    let (replaced, unread) = undisturbed(control, act).await?;
    *asked.body = Some(unread);
    let replaced = replaced?;
    note(asked.head).add(&format!("{} bytes in {} entries", replaced.bytes, replaced.entries));
    Ok(json(StatusCode::OK, &replaced))
}
