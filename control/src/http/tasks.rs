//! Answers about tasks: something run beside a program for whoever waits, and what runs by the clock.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::StatusCode;
use kennel_model::TenantName;
use kennel_model::cron::NewJob;
use kennel_model::task::FRAMES;

use super::answers::{Answer, Asked, gone, last_segment, media_type, note, number_of, read_of, undisturbed};
use super::body::{empty, json, stream};
use super::paths::Endpoint;
use crate::control::Control;
use crate::error::Result;

/// Frames both ways, for as long as it runs.
pub(super) async fn exec(control: &Arc<Control>, name: TenantName, asked: Asked<'_>) -> Result<Answer> {
    media_type(&asked.head.headers, FRAMES)?;
    let body = asked.body.take().ok_or_else(gone)?;
    let (program, answer) = Arc::clone(control).exec(&name, body).await?;
    note(asked.head).add(&program);
    Ok(stream(StatusCode::OK, FRAMES, answer.boxed_unsync()))
}

/// What runs by the clock.
pub(super) async fn timetable(
    control: &Arc<Control>,
    endpoint: Endpoint,
    name: TenantName,
    asked: Asked<'_>,
) -> Result<Answer> {
    let path = asked.head.uri.path();
    match endpoint {
        Endpoint::AddJob => {
            let (wish, by): (NewJob, _) = (read_of(control, asked.head, asked.body).await?, asked.operator);
            let act = |control: Arc<Control>| async move { control.add_job(&name, wish, by).await };
            Ok(json(StatusCode::CREATED, &undisturbed(control, act).await?))
        }
        Endpoint::RemoveJob => {
            let number = number_of(last_segment(path))?;
            undisturbed(control, |control| async move { control.remove_job(&name, number).await }).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Endpoint::RunJob => {
            let number = number_of(last_segment(path.trim_end_matches("/run")))?;
            let act = |control: Arc<Control>| async move { control.run_job_now(&name, number).await };
            Ok(json(StatusCode::ACCEPTED, &undisturbed(control, act).await?))
        }
        _ => Ok(json(StatusCode::OK, &control.timetable(&name).await?)),
    }
}
