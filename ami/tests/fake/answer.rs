//! Answers and refusals, and how each of AWS's protocols writes them.

use super::request::Service;
use super::xml::Xml;
use hyper::body::Bytes;

/// What is sent back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    /// A JSON document.
    pub(crate) fn json(status: u16, document: &serde_json::Value) -> Reply {
        Reply { status, kind: "application/json", headers: Vec::new(), body: document.to_string().into() }
    }

    /// An XML document.
    pub(crate) fn xml(document: Xml) -> Reply {
        Reply {
            status: 200,
            kind: "text/xml;charset=UTF-8",
            headers: Vec::new(),
            body: document.finish().into(),
        }
    }

    /// EC2's "true".
    pub(crate) fn done(response: &str) -> Reply {
        Reply::xml(Xml::document(response, |xml| xml.text("return", "true")))
    }
}

/// A request that is not granted.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// What EBS tells beside the code.
    pub(crate) reason: Option<&'static str>,
}

/// What a request comes to.
pub(crate) type Answer = Result<Reply, Refusal>;

impl Refusal {
    /// A refusal in EC2's manner.
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Refusal {
        Refusal { status, code: code.to_owned(), message: message.into(), reason: None }
    }

    /// EBS's ValidationException.
    pub(crate) fn invalid(reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { reason: Some(reason), ..Refusal::new(400, "ValidationException", message) }
    }

    /// EBS's ResourceNotFoundException.
    pub(crate) fn no_snapshot(id: &str) -> Refusal {
        let reason = Some("SNAPSHOT_NOT_FOUND");
        Refusal {
            reason,
            ..Refusal::new(404, "ResourceNotFoundException", format!("The snapshot '{id}' does not exist."))
        }
    }

    /// In the protocol of the service that refuses.
    pub(crate) fn reply(&self, service: Service) -> Reply {
        let (code, message) = (self.code.as_str(), self.message.as_str());
        let mut reply = match service {
            Service::Ebs => {
                let mut reply =
                    Reply::json(400, &serde_json::json!({"Message": message, "Reason": self.reason}));
                reply.headers.push(("x-amzn-ErrorType", code.to_owned()));
                reply
            }
            Service::Ssm => Reply::json(400, &serde_json::json!({"__type": code, "message": message})),
            Service::Ec2 => Reply::xml(Xml::plain("Response", |xml| {
                xml.within("Errors", |xml| {
                    xml.within("Error", |xml| xml.text("Code", code).text("Message", message))
                })
                .text("RequestID", "5c8c5e9b-0000-4000-8000-000000000000")
            })),
            Service::Sts => Reply::xml(Xml::plain("ErrorResponse", |xml| {
                xml.within("Error", |xml| {
                    xml.text("Type", "Sender").text("Code", code).text("Message", message)
                })
            })),
        };
        reply.status = self.status;
        reply
    }
}
