//! Releases on their way to a host, and what it says of those it has.

use hyper::Method;
use kennel_model::api;
use kennel_model::listing::Listing;

use super::{Body, Client, ClientError};

impl Client {
    /// `POST` of a release. `patience` ends when the upload makes no headway; its owner knows that better than a fixed time would.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn upload(
        &mut self,
        path: &str,
        media_type: &'static str,
        body: Body,
        patience: impl Future<Output = ()>,
    ) -> Result<api::Deployed, ClientError> {
        let token = self.token(false).await?;
        let exchange = self.send_typed(Method::POST, path, Some(&token), media_type, body, None);
        let response = tokio::select! {
            response = exchange => response?,
            () = patience => return Err(self.late("the upload made no headway")),
        };
        let response = self.checked(response).await?;
        self.json(response).await
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
