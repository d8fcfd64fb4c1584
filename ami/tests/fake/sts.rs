//! STS: who asks.

use super::OWNER;
use super::answer::{Answer, Refusal, Reply};
use super::request::Request;
use super::xml::Xml;

/// Answers GetCallerIdentity.
pub(crate) fn answer(request: &Request) -> Answer {
    if request.action != "GetCallerIdentity" {
        return Err(Refusal::new(400, "InvalidAction", format!("no action {} here", request.action)));
    }
    Ok(Reply::xml(Xml::plain("GetCallerIdentityResponse", |xml| {
        xml.within("GetCallerIdentityResult", |xml| {
            xml.text("Arn", format!("arn:aws:iam::{OWNER}:user/publisher"))
                .text("UserId", "AIDAEXAMPLE")
                .text("Account", OWNER)
        })
    })))
}
