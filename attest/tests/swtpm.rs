//! Against a TPM in software (swtpm): what `kennel-tpm` makes it say is believed as it is, and in no other way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure in a helper is a failed test")]

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kennel_attest::{Challenge, EndorsementKey, Expected, Fault, Verdict, binding, check};
use kennel_model::tpm::{Answer, Hex, Question, Quote};
use kennel_tpm::device::Device;
use kennel_tpm::work::Tpm;

const NONCE: [u8; 32] = [1; 32];
const CERTIFICATE: [u8; 32] = [2; 32];

/// A TPM of its own, new, with its process.
struct Emulator {
    process: Child,
    tpm: Tpm,
    _folder: tempfile::TempDir,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Emulator {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let state = format!("dir={},mode=0600", folder.path().display());
        let server = format!("type=unixio,path={}", socket.display());
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &state, "--server", &server])
            .stdout(Stdio::null())
            .spawn()
            .expect("swtpm is needed here: apt-get install swtpm");
        let stream = connect(&socket);
        Self { process, tpm: Tpm::new(Device::new(stream.into())), _folder: folder }
    }

    fn ask(&mut self, question: &Question) -> Answer {
        let answer = self.tpm.answer(question).unwrap();
        assert_eq!(answer.validate(), Ok(()));
        answer
    }

    fn quote(&mut self, nonce: [u8; 32]) -> Quote {
        match self.ask(&Question::Quote(binding(&nonce, &CERTIFICATE))) {
            Answer::Quote(quote) => *quote,
            other => panic!("{other:?}"),
        }
    }
}

fn connect(socket: &Path) -> UnixStream {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => {
                stream.set_nonblocking(true).unwrap();
                return stream;
            }
            Err(e) => assert!(Instant::now() < end, "swtpm does not listen: {e}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_quote_is_believed_and_its_keys_are_one_tpms() {
    let mut emulator = Emulator::new();
    let quote = emulator.quote(NONCE);
    let evidence = check(&quote, &binding(&NONCE, &CERTIFICATE)).unwrap();
    assert_eq!(evidence.registers, [[0; 32]; 4]);
    let challenge = Challenge::new(&evidence).unwrap();
    let Answer::Secret(secret) = emulator.ask(&Question::Activate(challenge.activation.clone())) else {
        panic!()
    };
    challenge.check(&secret).unwrap();
    assert_eq!(challenge.check(&Hex(vec![0; 32])), Err(Fault::Secret));
    // The same keys again, and again by a program that was started anew.
    let again = emulator.quote([9; 32]);
    assert_eq!((again.attestation_key, again.endorsement_key), (quote.attestation_key, quote.endorsement_key));
    let file = evidence.endorsement.der();
    assert_eq!(EndorsementKey::read(file).unwrap(), evidence.endorsement);
}

#[test]
fn a_quote_of_another_question_host_or_content_is_refused() {
    let quote = Emulator::new().quote(NONCE);
    let bound = binding(&NONCE, &CERTIFICATE);
    let fault = |quote: &Quote, bound: &[u8; 32]| check(quote, bound).unwrap_err();
    assert_eq!(fault(&quote, &binding(&[3; 32], &CERTIFICATE)), Fault::Binding, "replayed");
    assert_eq!(fault(&quote, &binding(&NONCE, &[3; 32])), Fault::Binding, "relayed from another host");
    let told = Quote { registers: vec![Hex(vec![7; 32]); 4], ..quote.clone() };
    assert_eq!(fault(&told, &bound), Fault::Registers, "registers that were not signed");
    let fewer = Quote { registers: quote.registers[..3].to_vec(), ..quote.clone() };
    assert_eq!(fault(&fewer, &bound), Fault::Registers);
    // Every bit of the statement and of the signature counts.
    for at in 0..quote.statement.0.len() * 8 {
        let mut forged = quote.clone();
        forged.statement.0[at / 8] ^= 1 << (at % 8);
        assert_eq!(fault(&forged, &bound), Fault::Signature, "bit {at} of the statement");
    }
    for at in 0..quote.signature.0.len() * 8 {
        let mut forged = quote.clone();
        forged.signature.0[at / 8] ^= 1 << (at % 8);
        check(&forged, &bound).unwrap_err();
    }
    let longer = Quote { statement: Hex([&quote.statement.0[..], &[0]].concat()), ..quote };
    assert_eq!(fault(&longer, &bound), Fault::Signature);
}

#[test]
fn a_key_that_may_be_outside_of_a_tpm_is_refused() {
    let quote = Emulator::new().quote(NONCE);
    // Where the attributes are in `TPMT_PUBLIC`: behind the type and the name's algorithm.
    for bit in [1, 4, 5, 16, 18] {
        let mut forged = quote.clone();
        forged.attestation_key.0[4 + 3 - bit / 8] ^= 1 << (bit % 8);
        let fault = check(&forged, &binding(&NONCE, &CERTIFICATE)).unwrap_err();
        assert!(matches!(fault, Fault::Key(_)), "bit {bit}: {fault}");
    }
    // The endorsement key is not one that signs.
    let swapped = Quote { attestation_key: quote.endorsement_key.clone(), ..quote };
    assert!(matches!(check(&swapped, &binding(&NONCE, &CERTIFICATE)), Err(Fault::Key(_))));
}

#[test]
fn another_tpm_cannot_answer_the_challenge() {
    let (mut one, mut two) = (Emulator::new(), Emulator::new());
    let bound = binding(&NONCE, &CERTIFICATE);
    let mixed = Quote { endorsement_key: two.quote(NONCE).endorsement_key, ..one.quote(NONCE) };
    let evidence = check(&mixed, &bound).unwrap();
    let challenge = Challenge::new(&evidence).unwrap();
    for tpm in [&mut one, &mut two] {
        assert!(tpm.tpm.answer(&Question::Activate(challenge.activation.clone())).is_err());
    }
    // And each goes on as before.
    one.quote(NONCE);
    two.quote(NONCE);
}

#[test]
fn what_differs_from_the_manifest_is_named() {
    let evidence = check(&Emulator::new().quote(NONCE), &binding(&NONCE, &CERTIFICATE)).unwrap();
    let (zero, one) = ("00".repeat(32), "01".repeat(32));
    let manifest = format!(
        r#"{{"name":"kennel","version":"1","other":1,"boot":{{"expected_pcrs":{{"4":"{one}","11":"{zero}"}}}}}}"#
    );
    let mut expected = Expected::read(&manifest).unwrap();
    let verdicts = |expected: &Expected| {
        expected.compare(&evidence).iter().map(|f| (f.register, f.verdict)).collect::<Vec<_>>()
    };
    assert_eq!(
        verdicts(&expected),
        [(4, Verdict::Differs), (7, Verdict::NotPredicted), (11, Verdict::Same), (12, Verdict::Same)]
    );
    expected.with_keys([1; 32]);
    assert_eq!(verdicts(&expected)[1], (7, Verdict::Differs));
    for bad in ["", "{}", &manifest.replace(&one, "01")] {
        assert!(matches!(Expected::read(bad), Err(Fault::Manifest(_))), "{bad}");
    }
}
