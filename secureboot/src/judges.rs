//! Others' programs look at what we make: sbverify and OpenSSL (`make deps` installs them) and, where `KENNEL_JUDGES`
//! names a Python virtual environment with `uefivars` and `virt-firmware` from PyPI, AWS's and QEMU's own tools:
//! `KENNEL_JUDGES=… cargo test -p kennel-secureboot -- --ignored`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cms::content_info::ContentInfo;
use der::asn1::{Any, ObjectIdentifier};
use der::{Decode, Encode};

use crate::keys::tests::KEYS;
use crate::pe::tests::program;
use crate::variables::{ATTRIBUTES, utf16};
use crate::{Enrolment, KeySigner, Role, Variable, enroll, sign, uefi_data};

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn certificate(&self, role: usize) -> PathBuf {
        self.file(&format!("{role}.pem"), KEYS[role].certificate.to_pem().unwrap())
    }
}

fn run(program: impl AsRef<Path>, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let program = program.as_ref();
    let output = Command::new(program).args(arguments.iter().map(AsRef::as_ref)).output();
    output.unwrap_or_else(|error| panic!("{}: {error}: run `make deps`", program.display()))
}

fn python_tool(name: &str) -> PathBuf {
    let folder = std::env::var_os("KENNEL_JUDGES").expect("KENNEL_JUDGES: see the head of this file");
    Path::new(&folder).join("bin").join(name)
}

fn enrolment() -> Enrolment {
    Enrolment::new([0, 1, 2].map(|n| &KEYS[n].certificate))
}

#[test]
fn sbverify_accepts_the_signature_of_this_key_on_this_program_only() {
    let bench = Bench::new();
    let signed = sign(program(), &KeySigner::from(&KEYS[2])).unwrap();
    let verify = |image: &[u8], role: usize| {
        let image = bench.file("image.efi", image);
        let output = run("sbverify", &[&"--cert", &bench.certificate(role), &image]);
        (output.status.success(), format!("{output:?}"))
    };
    let (good, said) = verify(&signed, 2);
    assert!(good, "{said}");
    assert!(!verify(&signed, 1).0, "another key's certificate");
    let mut tampered = signed;
    tampered[0x300] ^= 1;
    assert!(!verify(&tampered, 2).0, "one bit changed");
    assert!(!verify(&program(), 2).0, "no signature");
}

#[test]
fn openssl_accepts_the_signature_of_a_variable() {
    let bench = Bench::new();
    let variable = Variable::new(Role::Database, &KEYS[2].certificate);
    let auth = variable.signed(enrolment().time, &KeySigner::from(&KEYS[1])).unwrap();
    // The parts as the specification lays them out: time, WIN_CERTIFICATE_UEFI_GUID, the list.
    let length = u32::from_le_bytes(auth[16..20].try_into().unwrap()) as usize;
    let structure = Any::from_der(&auth[40..16 + length]).unwrap();
    let kind = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
    let wrapped = ContentInfo { content_type: kind, content: structure }.to_der().unwrap();
    let space = uuid::uuid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f").to_bytes_le();
    let content =
        [&utf16("db"), &space[..], &ATTRIBUTES.to_le_bytes(), &auth[..16], &auth[16 + length..]].concat();
    let verify = |content: &[u8]| {
        let (signature, content) = (bench.file("signature", &wrapped), bench.file("content", content));
        let fixed: [&dyn AsRef<std::ffi::OsStr>; 9] =
            [&"cms", &"-verify", &"-binary", &"-noverify", &"-inform", &"DER", &"-in", &signature, &"-content"];
        run("openssl", &[&fixed[..], &[&content, &"-out", &"/dev/null"]].concat())
    };
    let output = verify(&content);
    assert!(output.status.success(), "{output:?}");
    assert!(!verify(&content[1..]).status.success());
}

#[test]
#[ignore = "needs AWS's uefivars: see the head of this file"]
fn uefivars_reads_what_is_for_aws() {
    let bench = Bench::new();
    let blob = bench.file("blob", uefi_data(&enrolment()).unwrap());
    let json = bench.0.path().join("json");
    let tool = python_tool("uefivars");
    let output = run(tool, &[&"-i", &"aws", &"-o", &"json", &"-I", &blob, &"-O", &json]);
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(json).unwrap();
    for name in ["\"PK\"", "\"KEK\"", "\"db\""] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
#[ignore = "needs virt-firmware: see the head of this file"]
fn virt_fw_vars_reads_what_is_for_ovmf() {
    let bench = Bench::new();
    let template = fs::read("/usr/share/OVMF/OVMF_VARS_4M.fd").expect("OVMF: run `make deps`");
    let store = bench.file("vars.fd", enroll(&template, &enrolment()).unwrap());
    let output = run(python_tool("virt-fw-vars"), &[&"--input", &store, &"--print", &"--verbose"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for pair in &*KEYS {
        let subject = pair.certificate.subject();
        assert!(text.contains(subject.trim_start_matches("CN=")), "{subject} is not in\n{text}");
    }
}
