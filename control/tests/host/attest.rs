//! The TPM, through the API: what it is asked, by whom, and what is said where there is none.

use hyper::StatusCode;
use kennel_control::certificate::Certificate;
use kennel_model::api::Attest;
use kennel_model::msg::ControlRequest;
use kennel_model::tpm::{Activation, Answer, Hex, Question, Quote};
use sha2::{Digest, Sha256};

use crate::support::Host;
use crate::support::openapi::{document, errors};

const PATH: &str = "/v1/host/attest";

pub(crate) fn quote() -> Answer {
    let part = || Hex(vec![1; 9]);
    Answer::Quote(Box::new(Quote {
        statement: part(),
        signature: part(),
        registers: vec![Hex(vec![0; 32]); 4],
        attestation_key: part(),
        endorsement_key: part(),
    }))
}

fn host(answer: Answer) -> Host {
    let host = Host::start();
    host.world.lock().tpm = Some(answer);
    host
}

fn asked(host: &Host) -> Vec<Question> {
    let of = |request: &ControlRequest| match request {
        ControlRequest::Tpm(question) => Some(question.clone()),
        _ => None,
    };
    host.world.lock().requests.iter().filter_map(of).collect()
}

#[tokio::test]
async fn a_quote_holds_the_nonce_and_this_apis_certificate() {
    let host = host(quote());
    let operator = host.operator().await;
    let wish = Attest::Quote { nonce: Hex(vec![7; 32]) };
    let answer: Answer = operator.post(PATH, &wish).await.expect(StatusCode::OK);
    assert_eq!(answer, quote());
    let certificate = Certificate::load_or_make(&host.config.certificate_file()).unwrap().digest();
    let bound = Sha256::new().chain_update([7; 32]).chain_update(certificate).finalize().into();
    assert_eq!(asked(&host), [Question::Quote(bound)]);
    let schemas = &document()["components"]["schemas"];
    assert_eq!(errors(&schemas["Attest"], &serde_json::to_value(&wish).unwrap(), "request"), [""; 0]);
    assert_eq!(errors(&schemas["Attested"], &serde_json::to_value(&answer).unwrap(), "answer"), [""; 0]);
}

#[tokio::test]
async fn a_credential_is_passed_on_as_it_is() {
    let secret = Answer::Secret(Hex(vec![3; 32]));
    let host = host(secret.clone());
    let operator = host.operator().await;
    let activation = Activation { credential: Hex(vec![1; 68]), seed: Hex(vec![2; 256]) };
    let answer: Answer =
        operator.post(PATH, &Attest::Activate(activation.clone())).await.expect(StatusCode::OK);
    assert_eq!(answer, secret);
    assert_eq!(asked(&host), [Question::Activate(activation)]);
}

#[tokio::test]
async fn what_makes_no_sense_does_not_reach_the_tpm() {
    let host = host(quote());
    let operator = host.operator().await;
    let huge = Activation { credential: Hex(vec![1; 68]), seed: Hex(vec![2; 1025]) };
    for wish in [Attest::Quote { nonce: Hex(vec![7; 31]) }, Attest::Activate(huge)] {
        let answer = operator.post(PATH, &wish).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "bad-request"));
    }
    let nobody = host.stranger().post(PATH, &Attest::Quote { nonce: Hex(vec![7; 32]) }).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert!(asked(&host).is_empty());
}

#[tokio::test]
async fn a_host_without_a_tpm_and_one_that_fails_say_so() {
    let host = host(Answer::Failed("the TPM does not quote its registers: code".into()));
    let operator = host.operator().await;
    let wish = Attest::Quote { nonce: Hex(vec![7; 32]) };
    assert_eq!(operator.post(PATH, &wish).await.code(), "tpm-failed");
    host.world.lock().tpm = None;
    assert_eq!(operator.post(PATH, &wish).await.code(), "no-tpm");
}
