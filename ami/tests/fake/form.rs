//! Parameters of a request: of a URI's query or of a form, flat names with dots and numbers in them as EC2 takes them.

use super::account::Tags;
use super::answer::Refusal;
use std::collections::BTreeMap;

/// Parameters by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(BTreeMap<String, String>);

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                let digits = std::str::from_utf8(&digits).unwrap_or("0");
                u8::from_str_radix(digits, 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Form {
    /// From a query string or a form's body.
    pub(crate) fn parse(text: &str) -> Form {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Form(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(k, v)| (decode(k), decode(v)))
                .collect(),
        )
    }

    /// A parameter that may be absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that must be there.
    pub(crate) fn need(&self, name: &str) -> Result<&str, Refusal> {
        let missing = || format!("The request must contain the parameter {name}");
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Refusal::new(400, "MissingParameter", missing()))
    }

    /// A boolean that may be absent.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let wrong =
            |value| Refusal::new(400, "InvalidParameterValue", format!("Invalid value '{value}' for {name}"));
        self.get(name).map(|value| value.parse().map_err(|_| wrong(value))).transpose()
    }

    /// A number that may be absent.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let wrong =
            |value| Refusal::new(400, "InvalidParameterValue", format!("Invalid value '{value}' for {name}"));
        self.get(name).map(|value| value.parse().map_err(|_| wrong(value))).transpose()
    }

    /// All parameters but these, as a text that is the same for the same parameters.
    pub(crate) fn text_without(&self, names: &[&str]) -> String {
        let all = self.0.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        all.map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    /// `Name.1`, `Name.2`, ...
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        (1..).map_while(|number| self.get(&format!("{name}.{number}")).map(str::to_owned)).collect()
    }

    /// `Name.1.*`, `Name.2.*`, ... each as parameters of its own.
    pub(crate) fn structures(&self, name: &str) -> Vec<Form> {
        let each = (1..).map(|number| {
            let begin = format!("{name}.{number}.");
            let of = self
                .0
                .iter()
                .filter_map(|(key, value)| Some((key.strip_prefix(&begin)?.to_owned(), value.clone())));
            Form(of.collect())
        });
        each.take_while(|form| !form.0.is_empty()).collect()
    }

    /// Refuses parameters of which the action knows nothing; `names` are those up to the first dot.
    pub(crate) fn only(&self, names: &[&str]) -> Result<(), Refusal> {
        let known = |name: &str| names.contains(&name) || ["Action", "Version", "DryRun"].contains(&name);
        let unknown = self.0.keys().find(|key| !known(key.split('.').next().unwrap_or_default()));
        unknown.map_or(Ok(()), |key| {
            Err(Refusal::new(400, "UnknownParameter", format!("The parameter {key} is not recognized")))
        })
    }

    /// `Tag.N.Key` and `Tag.N.Value`, within the limits that the documentation names.
    pub(crate) fn tags(&self) -> Result<Tags, Refusal> {
        let mut tags = Tags::new();
        for tag in self.structures("Tag") {
            let (key, value) = (tag.need("Key")?.to_owned(), tag.get("Value").unwrap_or_default().to_owned());
            check_tag(&key, &value).map_err(|why| Refusal::new(400, "InvalidParameterValue", why))?;
            if tags.insert(key.clone(), value).is_some() {
                let twice = format!("Duplicate tag key '{key}' specified.");
                return Err(Refusal::new(400, "InvalidParameterValue", twice));
            }
        }
        let many = || Refusal::new(400, "TagLimitExceeded", "a resource bears at most 50 tags");
        if tags.len() > 50 { Err(many()) } else { Ok(tags) }
    }

    /// The tags of `TagSpecification.N` for each kind of resource, of which only `kinds` may be named.
    pub(crate) fn tag_specifications(&self, kinds: &[&str]) -> Result<BTreeMap<String, Tags>, Refusal> {
        let mut all = BTreeMap::new();
        for specification in self.structures("TagSpecification") {
            let kind = specification.need("ResourceType")?;
            if !kinds.contains(&kind) {
                let message = format!("'{kind}' is not a valid taggable resource type for this operation.");
                return Err(Refusal::new(400, "InvalidParameterValue", message));
            }
            all.insert(kind.to_owned(), specification.tags()?);
        }
        Ok(all)
    }
}

/// Whether a tag may be set: 1 to 128 and 0 to 256 characters, and no name that AWS keeps for itself.
pub(crate) fn check_tag(key: &str, value: &str) -> Result<(), String> {
    if key.is_empty() || key.chars().count() > 128 {
        return Err(format!("Tag key '{key}' exceeds the maximum length of 128 characters or is empty"));
    }
    if value.chars().count() > 256 {
        return Err(format!("Tag value of '{key}' exceeds the maximum length of 256 characters"));
    }
    if key.starts_with("aws:") {
        Err("Tag keys starting with 'aws:' are reserved for internal use".to_owned())
    } else {
        Ok(())
    }
}
