//! A line of an access log, as it lies on disk and as the API tells it: one JSON document.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Ended, Id, Record, Took};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line<'a> {
    /// A request.
    Visit(Box<Visit<'a>>),
    /// So many more came.
    LeftOut(LeftOut<'a>),
}

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit<'a> {
    /// When its head had come, in milliseconds since 1970-01-01 UTC. The line is written when the answer has ended.
    pub at_ms: u64,
    /// Whose; absent for what belongs to no tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Cow<'a, str>>,
    /// The host name that it was for.
    pub host: Cow<'a, str>,
    /// The other end of its connection.
    pub client: IpAddr,
    /// `GET`, …
    pub method: Cow<'a, str>,
    /// Path and query.
    pub target: Cow<'a, str>,
    /// `HTTP/1.1`, …
    pub protocol: Cow<'a, str>,
    /// Of the answer.
    pub status: u16,
    /// Of its body.
    pub bytes_in: u64,
    /// Of the answer's body.
    pub bytes_out: u64,
    /// Where the link was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referer: Option<Cow<'a, str>>,
    /// The client's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Cow<'a, str>>,
    /// As in `X-Request-Id`.
    pub id: Id,
    /// The trace's.
    pub trace: Id,
    /// Why the proxy answered in the program's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Cow<'a, str>>,
    /// How the answer ended.
    pub ended: Ended,
    /// See [`Took`].
    pub total_us: u64,
    /// See [`Took`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_us: Option<u64>,
    /// See [`Took`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_us: Option<u64>,
    /// See [`Took`].
    pub own_us: u64,
}

/// Requests of which there are no records: more came than are written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut<'a> {
    /// When it was said, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Cow<'a, str>>,
    /// How many since the line before.
    pub left_out: u32,
}

impl<'a> Visit<'a> {
    /// What is shown of a record; `tenant` is who it belongs to.
    pub fn of(record: &Record<'a>, tenant: Option<&'a str>) -> Self {
        let some = |text: &'a str| (!text.is_empty()).then_some(Cow::Borrowed(text));
        let Took { total_us, queue_us, upstream_us, own_us } = record.took;
        Self {
            at_ms: record.at_ms,
            tenant: tenant.map(Cow::Borrowed),
            host: record.host.into(),
            client: record.client,
            method: record.method.into(),
            target: record.target.into(),
            protocol: record.protocol.as_str().into(),
            status: record.status,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            referer: some(record.referer),
            agent: some(record.agent),
            id: record.id,
            trace: record.trace,
            fault: some(record.fault),
            ended: record.ended,
            total_us,
            queue_us,
            upstream_us,
            own_us,
        }
    }
}

impl Line<'_> {
    /// Its time, in milliseconds since 1970-01-01 UTC.
    pub fn at_ms(&self) -> u64 {
        match self {
            Self::Visit(visit) => visit.at_ms,
            Self::LeftOut(left_out) => left_out.at_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_line_are_told_apart() {
        let visit = Visit {
            at_ms: 5,
            tenant: Some("blog".into()),
            host: "blog.example".into(),
            client: "192.0.2.1".parse().unwrap(),
            method: "GET".into(),
            target: "/\"x\"".into(),
            protocol: "HTTP/1.1".into(),
            status: 200,
            bytes_in: 0,
            bytes_out: 3,
            referer: None,
            agent: Some("curl".into()),
            id: Id([1; 16]),
            trace: Id([2; 16]),
            fault: None,
            ended: Ended::Cut,
            total_us: 9,
            queue_us: None,
            upstream_us: Some(7),
            own_us: 2,
        };
        for line in
            [Line::Visit(Box::new(visit)), Line::LeftOut(LeftOut { at_ms: 6, tenant: None, left_out: 70 })]
        {
            let json = serde_json::to_string(&line).unwrap();
            // Its time comes first: who looks for lines of a time need not read the rest.
            assert!(json.starts_with(&format!("{{\"at_ms\":{},", line.at_ms())), "{json}");
            assert_eq!(serde_json::from_str::<Line<'static>>(&json).unwrap(), line);
        }
    }
}
