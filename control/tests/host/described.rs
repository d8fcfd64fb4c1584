//! `openapi.json` and the server say the same.

use std::collections::BTreeSet;

use kennel_control::error::Error;
use kennel_control::http::ROUTES;
use kennel_model::account::Role;
use kennel_model::api::NewTenant;
use kennel_model::{Limits, ReleaseId};
use serde_json::Value;

use crate::support::openapi::{document, errors, resolve};
use crate::support::wish;

fn operations() -> impl Iterator<Item = (String, String, &'static Value)> {
    let paths = document()["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
        methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
    })
}

#[test]
fn every_path_and_method_is_in_both() {
    let described: BTreeSet<_> = operations().map(|(method, path, _)| (method, path)).collect();
    let served: BTreeSet<_> = ROUTES.iter().map(|(m, path, _)| (m.to_string(), (*path).to_owned())).collect();
    assert_eq!(described, served);
}

#[test]
fn what_is_public_is_the_same_in_both() {
    for (method, path, operation) in operations() {
        let route = ROUTES.iter().find(|r| r.0.as_str() == method && r.1 == path).unwrap();
        let public = operation["security"].as_array().is_some_and(Vec::is_empty);
        assert_eq!(public, route.2.is_public(), "{method} {path}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &'static Value) {
        match value {
            Value::Object(object) => {
                resolve(value);
                object.values().for_each(walk);
            }
            Value::Array(items) => items.iter().for_each(walk),
            _ => {}
        }
    }
    walk(document());
}

#[test]
fn every_code_is_listed_and_nothing_else() {
    let listed: BTreeSet<_> = document()["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code.as_str().unwrap())
        .collect();
    let used: BTreeSet<_> = one_of_each().iter().map(|error| error.code().0).collect();
    assert_eq!(listed, used);
}

/// At least one error for each code.
fn one_of_each() -> Vec<Error> {
    use kennel_control::init::InitError;
    use kennel_model::msg::Refusal;
    let name = || wish("a").name;
    let text = String::new;
    vec![
        Error::BadRequest(text()),
        Error::RunsThere(name(), "static".parse().unwrap()),
        Error::NotMovable {
            release: kennel_model::ReleaseId(1),
            runs: text(),
            from: "static".parse().unwrap(),
            to: "static".parse().unwrap(),
        },
        Error::BadKey(text()),
        Error::SignInRequired,
        Error::SignInRefused,
        Error::TokenExpired("x".parse().unwrap()),
        Error::TokenRevoked("x".parse().unwrap()),
        Error::RoleTooLow(text(), Role::Viewer, Role::Owner),
        Error::NotYourTenant(text(), text()),
        Error::NobodyMay,
        Error::TooManyStreams(1),
        Error::InvalidAccount(text()),
        Error::AccountExists("x".parse().unwrap()),
        Error::NoSuchAccount(text()),
        Error::TooManyAccounts(1),
        Error::KeyTaken(text(), text()),
        Error::NoSuchKey("x".parse().unwrap(), text()),
        Error::TooManyKeys(1),
        Error::InvalidToken(text()),
        Error::OutOfScope("x".parse().unwrap(), ""),
        Error::TooManyWrong(std::time::Duration::ZERO),
        Error::TokenExists("x".parse().unwrap()),
        Error::AcmeTerms(text()),
        Error::Acme(text()),
        Error::NotOrdered(text(), text()),
        Error::NoSuchToken(text()),
        Error::TooManyTokens(1),
        Error::InvalidScale(String::new()),
        Error::NoSuchProcess("a".parse().unwrap(), "worker".parse().unwrap(), vec![]),
        Error::ReleaseCommand { release: ReleaseId(1), why: text(), log: vec![] },
        Error::InvalidJob(String::new()),
        Error::Failsafe,
        Error::NoSuchSnapshot(String::new()),
        Error::NotBroken,
        Error::NoSuchJob("a".parse().unwrap(), 1),
        Error::UnknownJob(1),
        Error::TooManyJobs("a".parse().unwrap()),
        Error::BadCertificate(text()),
        Error::NoSuchCertificate(text()),
        Error::TooManyCertificates(1),
        Error::NoSuchPath(text()),
        Error::Method { method: text(), path: text(), allow: text() },
        Error::Timeout,
        Error::TooLarge(1),
        Error::MediaType("text/plain"),
        Error::NoSuchTenant(text()),
        Error::TenantExists(name()),
        Error::DomainTaken { domain: "a.test".parse().unwrap(), owner: name() },
        Error::NoSuchDomain(text(), name()),
        Error::TooManyDomains(1, ""),
        Error::InvalidRedirect(text()),
        Error::InvalidPage(text()),
        Error::TooManyPages,
        Error::NoPage(text()),
        Error::InvalidMaintenance(text()),
        Error::NoFreeSlot(1),
        Error::Busy(name(), "a deploy"),
        Error::NotDeployed(name()),
        Error::AlreadyServes(name(), ReleaseId(1)),
        Error::NoSuchRelease(name(), ReleaseId(1), vec![]),
        Error::NothingEarlier(name(), ReleaseId(1)),
        Error::NothingNewer(name(), ReleaseId(1)),
        Error::NoTrial(name()),
        Error::NoLines(name(), ReleaseId(1), None),
        Error::NotReady { release: ReleaseId(1), serving: None, why: text(), log: vec![] },
        Error::Build { release: ReleaseId(1), name: text(), why: text(), log: vec![] },
        Error::DoesNotStart { release: ReleaseId(1), serving: ReleaseId(2), why: text(), log: vec![] },
        Error::InvalidEnv(text()),
        Error::NoSuchVariable(name(), "A".parse().unwrap()),
        Error::BeingRemoved(name()),
        Error::NoSuchRuntime("x".parse().unwrap(), vec![]),
        Error::InvalidTenant(text()),
        Error::Oversold(text()),
        Error::InvalidRule(text(), None),
        Error::NoSuchRule(name(), 1),
        Error::UploadRefused(text()),
        Error::NotSaved(text()),
        Error::DataRefused(text()),
        Error::BasisDiffers(text()),
        Error::UploadBroken(text()),
        Error::NoProgram { runtime: "x".parse().unwrap(), looked_for: vec![], clue: None },
        Error::NotRunnable { origin: kennel_model::found::Origin::Procfile, why: text() },
        Error::NotActivated(ReleaseId(1), InitError::Gone),
        Error::Init(InitError::Gone),
        Error::Init(InitError::Refused(Refusal::Invalid(text()))),
        Error::NoTpm,
        Error::Tpm(text()),
        Error::Overloaded,
        Error::Internal(text()),
    ]
}

#[test]
fn the_models_request_fits_its_schema_and_its_defaults_are_the_documents() {
    let schemas = &document()["components"]["schemas"];
    let given: NewTenant = wish("a");
    assert_eq!(errors(&schemas["NewTenant"], &serde_json::to_value(&given).unwrap(), "request"), [""; 0]);
    let defaults = serde_json::to_value(Limits::default()).unwrap();
    let compare = |schema: &str, defaults: &Value| {
        let described = schemas[schema]["properties"].as_object().unwrap();
        assert_eq!(described.len(), defaults.as_object().unwrap().len());
        for (name, schema) in described.iter().filter(|(_, schema)| schema["$ref"].is_null()) {
            assert_eq!(schema["default"], defaults[name], "{name}");
        }
    };
    compare("LimitsRequest", &defaults);
    compare("TrafficLimitsRequest", &defaults["traffic"]);
}
