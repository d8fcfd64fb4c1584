//! Releases and data on their way to a host, and what it has of them.

use std::time::Duration;

use hyper::Method;
use hyper::body::Incoming;
use hyper::header::CONTENT_LENGTH;
use kennel_model::data::ARCHIVE;
use kennel_model::job::Job;
use kennel_model::listing::Listing;
use serde::de::DeserializeOwned;

use super::{Body, Client, ClientError, Types};

/// For the host to copy all of a tenant's data; it gives up earlier by itself.
const COPY: Duration = Duration::from_secs(330);

impl Client {
    /// Sends a release, or data, and is told how its job goes on. `patience` ends when the upload makes no headway; its owner knows that better than a fixed time would.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn upload<T: DeserializeOwned>(
        &mut self,
        (method, path, media_type): (Method, &str, &'static str),
        body: Body,
        news: impl FnMut(&Job),
        patience: impl Future<Output = ()>,
    ) -> Result<T, ClientError> {
        let token = self.token(false).await?;
        let exchange = async {
            let types = Types::live(media_type);
            let response = self.send_typed(method, path, Some(&token), types, body, None).await?;
            self.answered(response, news).await
        };
        tokio::select! {
            answer = exchange => return answer,
            () = patience => {}
        }
        Err(self.late("the upload made no headway"))
    }

    /// An archive of a tenant's data: its size, where the host knows it before, and itself.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn save(&mut self, path: &str) -> Result<(Option<u64>, Incoming), ClientError> {
        let token = self.token(false).await?;
        let response = self
            .send_typed(Method::POST, path, Some(&token), Types::of(ARCHIVE), Body::empty(), Some(COPY))
            .await?;
        let response = self.checked(response).await?;
        let bytes = response.headers().get(CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse().ok());
        Ok((bytes, response.into_body()))
    }

    /// `GET` of what a release holds.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn listing(&mut self, path: &str) -> Result<Listing, ClientError> {
        let response = self.signed(Method::GET, path, None).await?;
        let response = self.checked(response).await?;
        let bytes = self.collect(response.into_body()).await?;
        Listing::read(&bytes).map_err(|e| self.malformed(&e))
    }
}
