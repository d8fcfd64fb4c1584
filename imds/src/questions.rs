//! What the service is asked, and what its answers mean. What is not there (404) is nothing; what is there and cannot be
//! right is an error, and the whole is asked again later.

use kennel_model::cloud::{
    Identity, Instance, MAX_FACT, MAX_KEY, MAX_NOTICES, MAX_TAG_BYTES, MAX_TAGS, MAX_TEXT, MAX_USER_DATA,
    Notice, is_line,
};
use serde::Deserialize;

use crate::token::{AskError, Session};

/// Why the service's answers are of no use.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// See [`AskError`].
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Something that every instance has is not there.
    #[error("the metadata service has no {0}")]
    Absent(&'static str),
    /// Not what it should be.
    #[error("the metadata service's {0} makes no sense")]
    Nonsense(String),
}

impl QuestionError {
    /// Whether somebody has answered: then it is no use to wait for the network.
    pub const fn is_an_answer(&self) -> bool {
        !matches!(self, Self::Ask(AskError::Http(_)))
    }
}

/// Everything that stays as it is while the machine runs.
///
/// # Errors
/// [`QuestionError`].
pub fn instance(session: &mut Session) -> Result<Instance, QuestionError> {
    Ok(Instance {
        id: fact(session, "instance-id")?,
        kind: fact(session, "instance-type")?,
        region: fact(session, "placement/region")?,
        zone: fact(session, "placement/availability-zone")?,
        host_name: line(session, "local-hostname", MAX_FACT)?,
        public_key: line(session, "public-keys/0/openssh-key", MAX_KEY)?,
        user_data: user_data(session)?,
        tags: tags(session)?,
        identity: None,
    })
}

/// What the identity document says of the machine. Older services have none; one that makes no sense is no reason to do
/// without the rest, so that whoever asks may go on without it.
///
/// # Errors
/// [`QuestionError`].
pub fn identity(session: &mut Session) -> Result<Option<Identity>, QuestionError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        account_id: String,
        image_id: String,
        architecture: String,
        pending_time: String,
    }
    let path = "dynamic/instance-identity/document";
    let nonsense = || QuestionError::Nonsense(path.to_owned());
    let Some(bytes) = session.get(&format!("/latest/{path}"))? else { return Ok(None) };
    let document: Document = serde_json::from_slice(&bytes).map_err(|_| nonsense())?;
    let Document { account_id: account, image_id: image, architecture, pending_time: pending } = document;
    let texts = [&account, &image, &architecture, &pending];
    let is_text = |text: &&String| !text.is_empty() && is_line(text, MAX_TEXT);
    let are_lines = texts.iter().all(is_text);
    are_lines.then_some(Some(Identity { account, image, architecture, pending })).ok_or_else(nonsense)
}

/// Whether this spot instance is about to be taken away.
///
/// # Errors
/// [`QuestionError`].
pub fn interruption(session: &mut Session) -> Result<Option<Notice>, QuestionError> {
    #[derive(Deserialize)]
    struct Action {
        action: String,
        time: String,
    }
    let path = "spot/instance-action";
    let Some(Action { action, time }) = json(session, path)? else { return Ok(None) };
    if !is_line(&action, MAX_TEXT) || !is_line(&time, MAX_TEXT) {
        return Err(QuestionError::Nonsense(path.to_owned()));
    }
    Ok(Some(Notice::Interruption { action, at: time }))
}

/// Whether EC2 thinks that this spot instance is likely to be taken away.
///
/// # Errors
/// [`QuestionError`].
pub fn rebalance(session: &mut Session) -> Result<Option<Notice>, QuestionError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Recommendation {
        notice_time: String,
    }
    let path = "events/recommendations/rebalance";
    let Some(Recommendation { notice_time }) = json(session, path)? else { return Ok(None) };
    if !is_line(&notice_time, MAX_TEXT) {
        return Err(QuestionError::Nonsense(path.to_owned()));
    }
    Ok(Some(Notice::Rebalance { since: notice_time }))
}

/// What maintenance is scheduled. What was done or called off is none.
///
/// # Errors
/// [`QuestionError`].
pub fn maintenance(session: &mut Session) -> Result<Vec<Notice>, QuestionError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Event {
        code: String,
        description: String,
        not_before: String,
        state: String,
    }
    let path = "events/maintenance/scheduled";
    let events: Vec<Event> = json(session, path)?.unwrap_or_default();
    let to_come = events.into_iter().filter(|event| !["completed", "canceled"].contains(&event.state.as_str()));
    let notices: Vec<_> = to_come.take(MAX_NOTICES - 2).collect();
    let fits = |event: &Event| {
        [&event.code, &event.description, &event.not_before].into_iter().all(|text| is_line(text, MAX_TEXT))
    };
    if !notices.iter().all(fits) {
        return Err(QuestionError::Nonsense(path.to_owned()));
    }
    let notice =
        |e: Event| Notice::Maintenance { code: e.code, description: e.description, from: e.not_before };
    Ok(notices.into_iter().map(notice).collect())
}

fn get(session: &mut Session, path: &str) -> Result<Option<Vec<u8>>, QuestionError> {
    Ok(session.get(&format!("/latest/meta-data/{path}"))?)
}

fn json<T: for<'a> Deserialize<'a>>(session: &mut Session, path: &str) -> Result<Option<T>, QuestionError> {
    let parse =
        |bytes: Vec<u8>| serde_json::from_slice(&bytes).map_err(|_| QuestionError::Nonsense(path.to_owned()));
    get(session, path)?.map(parse).transpose()
}

/// One line, if it is there.
fn line(session: &mut Session, path: &str, max: usize) -> Result<Option<String>, QuestionError> {
    let read = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).ok().map(|text| text.trim().to_owned());
        text.filter(|t| is_line(t, max)).ok_or_else(|| QuestionError::Nonsense(path.to_owned()))
    };
    Ok(get(session, path)?.map(read).transpose()?.filter(|text| !text.is_empty()))
}

/// One line that every instance has.
fn fact(session: &mut Session, path: &'static str) -> Result<String, QuestionError> {
    line(session, path, MAX_FACT)?.ok_or(QuestionError::Absent(path))
}

fn user_data(session: &mut Session) -> Result<Vec<u8>, QuestionError> {
    let bytes = session.get("/latest/user-data")?.unwrap_or_default();
    if bytes.len() > MAX_USER_DATA {
        return Err(QuestionError::Nonsense("user-data".to_owned()));
    }
    Ok(bytes)
}

/// The tags: none where the instance may not tell them. They are for people to read, so one that cannot be told is left
/// out, and nothing else is.
fn tags(session: &mut Session) -> Result<Vec<(String, String)>, QuestionError> {
    let path = "tags/instance";
    let names = get(session, path)?.unwrap_or_default();
    let names = String::from_utf8_lossy(&names).into_owned();
    let mut tags = Vec::new();
    let mut room = MAX_TAG_BYTES;
    for name in names.lines().filter(|name| is_name(name)).take(MAX_TAGS) {
        let value = match line(session, &format!("{path}/{}", encoded(name)), MAX_FACT) {
            Ok(value) => value.unwrap_or_default(),
            Err(QuestionError::Nonsense(_)) => continue,
            Err(other) => return Err(other),
        };
        let Some(left) = room.checked_sub(name.len() + value.len()) else { continue };
        room = left;
        tags.push((name.to_owned(), value));
    }
    Ok(tags)
}

/// Whether a tag of this name can be asked for: the name becomes part of a path, and EC2 allows no other characters where
/// tags are told here.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || "+-=.,_:@".contains(c);
    !name.is_empty() && name.len() <= MAX_FACT && name.chars().all(fits) && ![".", ".."].contains(&name)
}

/// As part of a path: letters of other scripts by their bytes.
fn encoded(name: &str) -> String {
    let byte = |b: u8| if b.is_ascii() { char::from(b).to_string() } else { format!("%{b:02X}") };
    name.bytes().map(byte).collect()
}
