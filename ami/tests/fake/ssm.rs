//! SSM's parameters: PutParameter and GetParameter.

use super::account::Account;
use super::answer::{Answer, Refusal, Reply};
use super::request::Request;
use serde_json::{Value, json};

/// Answers one of them.
pub(crate) fn answer(request: &Request, account: &mut Account) -> Answer {
    let body: Value =
        serde_json::from_slice(&request.body).map_err(|why| invalid(format!("not JSON: {why}")))?;
    let name = body["Name"].as_str().ok_or_else(|| invalid("a parameter has a name"))?.to_owned();
    let parameters = &mut account.region(&request.region).parameters;
    match request.action.as_str() {
        "PutParameter" => {
            check(&name, &body)?;
            let overwrite = body["Overwrite"].as_bool().unwrap_or(false);
            if parameters.contains_key(&name) && !overwrite {
                let message =
                    "The parameter already exists. To overwrite this value, set the overwrite option.";
                return Err(Refusal::new(400, "ParameterAlreadyExists", message));
            }
            let version = parameters.get(&name).map_or(1, |(_, version)| version + 1);
            parameters.insert(name, (body["Value"].as_str().unwrap_or_default().to_owned(), version));
            Ok(Reply::json(200, &json!({"Tier": "Standard", "Version": version})))
        }
        "GetParameter" => {
            let missing = || Refusal::new(400, "ParameterNotFound", format!("no parameter {name}"));
            let (value, version) = parameters.get(&name).ok_or_else(missing)?;
            let parameter = json!({"Name": name, "Type": "String", "Value": value, "Version": version});
            Ok(Reply::json(200, &json!({ "Parameter": parameter })))
        }
        other => Err(Refusal::new(400, "UnknownOperationException", format!("no operation {other} here"))),
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ValidationException", message)
}

fn check(name: &str, body: &Value) -> Result<(), Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    let reserved =
        ["aws", "ssm"].iter().any(|begin| name.trim_start_matches('/').to_lowercase().starts_with(begin));
    if !name.chars().all(legal) || reserved || (name.contains('/') && !name.starts_with('/')) {
        return Err(invalid(format!("'{name}' is no name of a parameter")));
    }
    if !matches!(body["Type"].as_str(), Some("String" | "StringList" | "SecureString")) {
        return Err(invalid("a parameter that is new needs a type"));
    }
    if body["Overwrite"] == true && body["Tags"].as_array().is_some_and(|tags| !tags.is_empty()) {
        return Err(invalid("tags and overwrite can't be used together"));
    }
    let value = body["Value"].as_str().unwrap_or_default();
    match body["DataType"].as_str() {
        None | Some("text") if !value.is_empty() => Ok(()),
        Some("aws:ec2:image") if value.starts_with("ami-") => Ok(()),
        _ => Err(invalid(format!("'{value}' is no value of the parameter's data type"))),
    }
}
