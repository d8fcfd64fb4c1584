//! DescribeImageAttribute: who may launch an image.

use super::account::Account;
use super::answer::{Answer, Refusal, Reply};
use super::image::ours;
use super::request::Request;
use super::xml::Xml;

/// Answers DescribeImageAttribute.
pub(crate) fn describe(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["ImageId", "Attribute"])?;
    if request.form.need("Attribute")? != "launchPermission" {
        return Err(Refusal::new(
            400,
            "InvalidParameterValue",
            "of the attributes only launchPermission is known here",
        ));
    }
    let id = request.form.need("ImageId")?;
    let launchers = ours(request, account)?.launchers.clone();
    Ok(Reply::xml(Xml::document("DescribeImageAttributeResponse", |xml| {
        xml.text("imageId", id).list("launchPermission", launchers, |xml, who| {
            xml.text(if who == "all" { "group" } else { "userId" }, who);
        })
    })))
}
