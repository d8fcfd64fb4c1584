//! Plain requests: a method, a path, JSON there and back.

use hyper::Method;
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ANSWER, Body, Client, ClientError};

impl Client {
    /// `GET`, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        self.call::<(), T>(Method::GET, path, None).await
    }

    /// `POST` with a JSON body, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// `PUT` of a JSON document, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put<B: Serialize, T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// `PUT` that is answered by nothing, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_only<B: Serialize>(&mut self, path: &str, body: &B) -> Result<(), ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| self.malformed(&e))?;
        let response = self.signed(Method::PUT, path, Some(body.into())).await?;
        self.checked(response).await.map(drop)
    }

    /// `POST` without a body, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn act<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        self.call::<(), T>(Method::POST, path, None).await
    }

    /// `DELETE`, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&mut self, path: &str) -> Result<(), ClientError> {
        let response = self.signed(Method::DELETE, path, None).await?;
        self.checked(response).await.map(drop)
    }

    /// `DELETE` that is answered by what is gone, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        self.call::<(), T>(Method::DELETE, path, None).await
    }

    /// Whether the host answers at all, without signing in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ping(&mut self) -> Result<(), ClientError> {
        let response = self.send(Method::GET, "/v1/ping", None, Body::empty(), ANSWER).await?;
        self.checked(response).await.map(drop)
    }

    /// `GET` of a text, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn text(&mut self, path: &str) -> Result<String, ClientError> {
        let response = self.signed(Method::GET, path, None).await?;
        let response = self.checked(response).await?;
        let bytes = self.collect(response.into_body()).await?;
        String::from_utf8(bytes).map_err(|e| self.malformed(&e))
    }

    /// `GET` of a stream, signed in; the body is the caller's to read.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stream(&mut self, path: &str) -> Result<Incoming, ClientError> {
        let response = self.signed(Method::GET, path, None).await?;
        Ok(self.checked(response).await?.into_body())
    }

    /// `POST` of JSON that is answered by a stream.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stream_of<B: Serialize>(&mut self, path: &str, body: &B) -> Result<Incoming, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| self.malformed(&e))?;
        let response = self.signed(Method::POST, path, Some(body.into())).await?;
        Ok(self.checked(response).await?.into_body())
    }
}
