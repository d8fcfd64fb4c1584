//! The session with the service: a token that is good for a while, asked for by PUT and borne by every question. Nothing
//! is ever asked without one, which would be the service's first version, and no answer makes us try that.
//!
//! The service bounds by the hop limit of its answer how far a token travels (1 by default: to the machine and no further).
//! We are the machine, and pass nothing on.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::http::{Answer, HttpError, SERVICE, ask};

/// How long a token shall be good, in seconds: as long as the service allows.
const LIFE_S: u64 = 21_600;
/// A token is not used within so much of its end.
const MARGIN: Duration = Duration::from_secs(60);
/// Longest token; today's have 56 characters.
const MAX_TOKEN: usize = 512;
/// Asks for a life, and tells it.
const LIFE_FIELD: &str = "X-aws-ec2-metadata-token-ttl-seconds";
/// Bears the token.
const TOKEN_FIELD: &str = "X-aws-ec2-metadata-token";

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// See [`HttpError`].
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The service is switched off for this instance, or the token does not get through.
    #[error(
        "the metadata service is refused to this instance (403); hint: aws ec2 modify-instance-metadata-options \
         --http-endpoint enabled"
    )]
    SwitchedOff,
    /// A token that is none.
    #[error("the metadata service's token makes no sense")]
    BadToken,
    /// Anything else than yes and no.
    #[error("the metadata service answers {path} with {status}")]
    Status {
        /// What was asked.
        path: String,
        /// The answer.
        status: u16,
    },
}

struct Token {
    text: String,
    ends: Instant,
}

/// The way to the service.
pub struct Session {
    addresses: Vec<SocketAddr>,
    /// The address that is asked at present.
    current: usize,
    token: Option<Token>,
}

impl Session {
    /// A session that has not begun, with a service that is at one of these addresses.
    pub const fn new(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, current: 0, token: None }
    }

    /// Asks for one thing; nothing when it is not there. Where nobody is, the next address is tried.
    ///
    /// # Errors
    /// [`AskError`]; of the first address tried where nobody is at any.
    pub fn get(&mut self, path: &str) -> Result<Option<Vec<u8>>, AskError> {
        let mut asked = self.get_here(path);
        for _ in 1..self.addresses.len() {
            let Err(AskError::Http(HttpError::Connect(_))) = asked else { break };
            self.current = (self.current + 1) % self.addresses.len();
            match self.get_here(path) {
                Err(AskError::Http(HttpError::Connect(_))) => {}
                other => asked = other,
            }
        }
        asked
    }

    fn get_here(&mut self, path: &str) -> Result<Option<Vec<u8>>, AskError> {
        let mut answer = self.get_once(path)?;
        if answer.status == 401 {
            // The service has forgotten the token before its time. A new one, once.
            self.token = None;
            answer = self.get_once(path)?;
        }
        match answer.status {
            200 => Ok(Some(answer.body)),
            404 => Ok(None),
            403 => Err(AskError::SwitchedOff),
            status => Err(AskError::Status { path: path.to_owned(), status }),
        }
    }

    fn get_once(&mut self, path: &str) -> Result<Answer, AskError> {
        // There is always one at `current`; the service's own is as good a guess as any.
        let address = self.addresses.get(self.current).copied().unwrap_or(SERVICE[0]);
        let token = self.token(address)?;
        Ok(ask(address, "GET", path, &[(TOKEN_FIELD, &token)])?)
    }

    /// A token that is still good.
    fn token(&mut self, address: SocketAddr) -> Result<String, AskError> {
        let now = Instant::now();
        if let Some(token) = self.token.as_ref().filter(|token| now < token.ends) {
            return Ok(token.text.clone());
        }
        self.token = None;
        let path = "/latest/api/token";
        let answer = ask(address, "PUT", path, &[(LIFE_FIELD, &LIFE_S.to_string())])?;
        let token = match answer.status {
            200 => read_token(&answer, now).ok_or(AskError::BadToken)?,
            403 => return Err(AskError::SwitchedOff),
            status => return Err(AskError::Status { path: path.to_owned(), status }),
        };
        Ok(self.token.insert(token).text.clone())
    }
}

/// The token, with the life that the service gave it, which may be less than was asked for.
fn read_token(answer: &Answer, asked: Instant) -> Option<Token> {
    let text = std::str::from_utf8(&answer.body).ok()?;
    let is_token =
        |text: &str| !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(|b| b.is_ascii_graphic());
    let life = match answer.field(&LIFE_FIELD.to_ascii_lowercase()) {
        Some(life) => Duration::from_secs(life.parse::<u64>().ok()?.min(LIFE_S)),
        None => Duration::from_secs(LIFE_S),
    };
    is_token(text)
        .then(|| Token { text: text.to_owned(), ends: asked + life.saturating_sub(MARGIN).max(life / 2) })
}
