//! Changes that take a while, as their host tells of them on the way.

use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Response, StatusCode};
use kennel_model::job::{ANSWER, Answered, EVENTS, JOB, Job};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sse_stream::{Sse, SseStream};
use tokio::time::timeout;

use super::{BrokenCause, Client, ClientError, JSON, STALL, Types, api};

impl Client {
    /// `POST` of a change, signed in; `news` is told how its job goes on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change<B: Serialize, T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &B,
        news: impl FnMut(&Job),
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| self.malformed(&e))?;
        let response = self.signed_typed(Method::POST, path, Types::live(JSON), Some(body.into())).await?;
        self.answered(response, news).await
    }

    /// Follows a job to its end, of which `news` is told too.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn follow(&mut self, number: u64, mut news: impl FnMut(&Job)) -> Result<Job, ClientError> {
        let path = format!("/v1/jobs/{number}/events");
        let mut events = SseStream::new(self.stream(&path).await?);
        let mut last = None;
        while let Some(event) = self.next_event(&mut events).await? {
            if event.event.as_deref() == Some(JOB) {
                let job = self.of_event(&event)?;
                news(&job);
                last = Some(job);
            }
        }
        last.ok_or_else(|| self.malformed(&"its job has no events"))
    }

    /// What a change is answered with, whether it was told of on the way or not.
    pub(super) async fn answered<T: DeserializeOwned>(
        &self,
        response: Response<Incoming>,
        mut news: impl FnMut(&Job),
    ) -> Result<T, ClientError> {
        let shown = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if shown != Some(EVENTS) {
            let response = self.checked(response).await?;
            return self.json(response).await;
        }
        let mut events = SseStream::new(response.into_body());
        while let Some(event) = self.next_event(&mut events).await? {
            match event.event.as_deref() {
                Some(JOB) => {
                    let job: Job = self.of_event(&event)?;
                    self.job.store(job.number, Ordering::Relaxed);
                    news(&job);
                }
                Some(ANSWER) => return self.judged(self.of_event(&event)?),
                _ => {}
            }
        }
        Err(self.malformed(&"its events ended before the answer"))
    }

    fn judged<T: DeserializeOwned>(&self, answer: Answered<Value>) -> Result<T, ClientError> {
        let status = StatusCode::from_u16(answer.status).map_err(|e| self.malformed(&e))?;
        let body = answer.body.unwrap_or_default();
        if status.is_success() {
            return serde_json::from_value(body).map_err(|e| self.malformed(&e));
        }
        let problem = serde_json::from_value::<api::Problem>(body).map_err(|e| self.malformed(&e))?;
        Err(ClientError::Refused { status, problem })
    }

    /// The host tells of a job again and again, also when there is no news.
    async fn next_event(&self, events: &mut SseStream<Incoming>) -> Result<Option<Sse>, ClientError> {
        let event = timeout(STALL, events.next()).await.map_err(|_| self.late("its events stalled"))?;
        event.transpose().map_err(|error| match error {
            sse_stream::Error::Body(cause) => match cause.downcast::<hyper::Error>() {
                Ok(cause) => ClientError::Broken { host: self.name.clone(), cause: BrokenCause::from(*cause) },
                Err(cause) => self.malformed(&cause),
            },
            other => self.malformed(&other),
        })
    }

    fn of_event<T: DeserializeOwned>(&self, event: &Sse) -> Result<T, ClientError> {
        serde_json::from_str(event.data.as_deref().unwrap_or_default()).map_err(|e| self.malformed(&e))
    }
}
