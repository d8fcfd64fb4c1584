//! A request as it arrived: which service, region and action it means.

use super::answer::Refusal;
use super::form::Form;
use hyper::HeaderMap;
use hyper::body::Bytes;

/// The services that the fake knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Ebs,
    Ec2,
    Ssm,
    Sts,
}

/// A request, whole.
pub(crate) struct Request {
    pub(crate) service: Service,
    pub(crate) region: String,
    pub(crate) action: String,
    pub(crate) path: Vec<String>,
    /// The URI's query or, of EC2 and STS, the body.
    pub(crate) form: Form,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Who signs for what: `AWS4-HMAC-SHA256 Credential=KEY/DAY/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=c`.
struct Signature {
    region: String,
    service: Service,
    headers: Vec<String>,
}

fn signature(headers: &HeaderMap) -> Result<Signature, Refusal> {
    let missing = || Refusal::new(403, "MissingAuthenticationToken", "The request must be signed");
    let text = headers.get("authorization").and_then(|it| it.to_str().ok()).ok_or_else(missing)?;
    let field =
        |name: &str| text.split([' ', ',']).find_map(|part| part.strip_prefix(name)).ok_or_else(missing);
    let scope: Vec<&str> = field("Credential=")?.split('/').collect();
    let [_, _, region, service, "aws4_request"] = scope[..] else { return Err(missing()) };
    let service = match service {
        "ebs" => Service::Ebs,
        "ec2" => Service::Ec2,
        "ssm" => Service::Ssm,
        "sts" => Service::Sts,
        other => return Err(Refusal::new(403, "SignatureDoesNotMatch", format!("no service '{other}' here"))),
    };
    field("Signature=")?;
    let headers = field("SignedHeaders=")?.split(';').map(str::to_owned).collect();
    Ok(Signature { region: region.to_owned(), service, headers })
}

/// The action of an EBS direct request, which method and path tell.
fn ebs_action(method: &str, path: &[String]) -> Option<&'static str> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    Some(match (method, &path[..]) {
        ("POST", ["snapshots"]) => "StartSnapshot",
        ("PUT", ["snapshots", _, "blocks", _]) => "PutSnapshotBlock",
        ("GET", ["snapshots", _, "blocks", _]) => "GetSnapshotBlock",
        ("GET", ["snapshots", _, "blocks"]) => "ListSnapshotBlocks",
        ("GET", ["snapshots", _, "changedblocks"]) => "ListChangedBlocks",
        ("POST", ["snapshots", "completion", _]) => "CompleteSnapshot",
        _ => return None,
    })
}

impl Request {
    /// What a request means.
    pub(crate) fn of(
        method: &str,
        uri: &hyper::Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Request, Refusal> {
        let Signature { region, service, headers: signed } = signature(&headers)?;
        let path: Vec<String> =
            uri.path().split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let unknown =
            || Refusal::new(404, "UnknownOperationException", format!("no operation {method} {}", uri.path()));
        let mut form = Form::parse(uri.query().unwrap_or_default());
        let action = match service {
            Service::Ebs => ebs_action(method, &path).ok_or_else(unknown)?.to_owned(),
            Service::Ec2 | Service::Sts => {
                form = Form::parse(&String::from_utf8_lossy(&body));
                form.need("Action")?.to_owned()
            }
            Service::Ssm => {
                let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok()).ok_or_else(unknown)?;
                target.strip_prefix("AmazonSSM.").ok_or_else(unknown)?.to_owned()
            }
        };
        // The data of a block is not signed; its checksum has to be, or anyone on the way could exchange both.
        let unsigned =
            ["x-amz-checksum", "x-amz-data-length"].iter().find(|name| !signed.iter().any(|it| it == *name));
        if let ("PutSnapshotBlock", Some(name)) = (action.as_str(), unsigned) {
            return Err(Refusal::new(403, "SignatureDoesNotMatch", format!("{name} is not signed")));
        }
        Ok(Request { service, region, action, path, form, headers, body })
    }

    /// EC2's dry run.
    pub(crate) fn dry_run(&self) -> bool {
        self.service == Service::Ec2 && self.form.get("DryRun") == Some("true")
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
