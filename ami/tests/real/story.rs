//! The story itself: publish, launch, a tenant, its page; the next version of the image, replace, the same page; the end.

use crate::desk::REGION;
use crate::key;
use crate::person::Person;
use crate::rack::Rack;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The commands that `launch` said to type next, without `kennel`.
fn told_next(told: &str) -> Vec<Vec<&str>> {
    let commands = told.lines().filter_map(|line| line.strip_prefix("  kennel "));
    commands.map(|command| command.split_whitespace().collect()).collect()
}

/// The next version of an image: of what the firmware of old computers would start, which nobody reads here, a byte.
fn next_version(person: &Person, image: &Path) -> PathBuf {
    let folder = person.desk.path("next");
    fs::create_dir(&folder).unwrap();
    let next = folder.join("kennel-0.1.1-x86_64.raw");
    assert!(Command::new("cp").arg("--sparse=auto").args([image, &next]).status().unwrap().success());
    let file = fs::File::options().write(true).open(&next).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0x4b], 0).unwrap();
    next
}

fn published(person: &Person, image: &Path) -> String {
    person.types(&["ami", "publish", image.to_str().unwrap(), "--region", REGION]).well().trim().to_owned()
}

/// What is left on the rack: processes and volumes.
fn left(rack: &Path) -> Vec<String> {
    let names = |folder: &Path| -> Vec<String> {
        let all = fs::read_dir(folder).into_iter().flatten().flatten();
        all.map(|file| file.file_name().into_string().unwrap()).collect()
    };
    let hosts = rack.join("state/kennel/hosts");
    let running = names(&hosts).into_iter().filter(|host| hosts.join(host).join("pid").exists());
    let volumes = names(rack).into_iter().filter(|name| name.starts_with("vol-"));
    running.chain(volumes).collect()
}

/// Launches a host and types what that says; returns its address.
fn launched(person: &Person) -> String {
    let launch = ["launch", "--type", "t3.small", "--name", "edge1", "--region", REGION];
    let more = ["--key", "alice", "--elastic-ip", "--data-size", "2G", "--api-from", "127.0.0.1/32"];
    let launched = person.types(&[&launch[..], &more].concat());
    let told = launched.err.clone();
    let address = launched.well().trim().to_owned();
    for step in
        ["until it runs", "  | init: ", "  | control: ", "tells the certificate", "with this certificate"]
    {
        assert!(told.contains(step), "{step} is not told");
    }
    let next = told_next(&told);
    assert!(next.len() >= 3, "{next:?}");
    for command in &next {
        person.types(command).well();
    }
    address
}

/// That the tenant's page is served at this address.
#[track_caller]
fn blog_lives(person: &Person, address: &str) {
    let page = person.looks_at(address, "blog.example.org");
    assert!(page.0 == 200 && page.1.contains("blog lives here"), "{page:?}");
}

/// That the host is the instance of this image, which got its volume while it ran; returns the volume.
#[track_caller]
fn is_the_next(person: &Person, image: &str) -> String {
    let status = person.types(&["--json", "--host", "edge1", "host", "status"]).well();
    let instance = &serde_json::from_str::<Value>(&status).unwrap()["cloud"]["instance"];
    let volume = {
        let mut account = person.desk.fake.account();
        let compute = &account.region(REGION).compute;
        let [(id, living)] = compute.living()[..] else { panic!("{:?}", compute.living()) };
        assert_eq!((living.image.as_str(), instance["id"].as_str()), (image, Some(id)));
        compute.data_of(id).unwrap()
    };
    assert!(instance["tags"].to_string().contains("kennel:replaces"), "{instance}");
    let console = || person.types(&["host", "console", "edge1", "--region", REGION]).well();
    // AWS shows it late: what there is now is seen at the second look.
    console();
    let console = console();
    let serial = volume.replace('-', "");
    for words in [serial.as_str(), "operator keys that may sign in: 2"] {
        assert!(console.contains(words), "{words} is not on the console: {console}");
    }
    assert!(!console.contains("avc:  denied"), "{console}");
    volume
}

#[test]
#[ignore = "boots the image in QEMU: `make amitest`"]
fn from_an_image_to_a_host_and_the_next() {
    let person = Person::new();
    let rack = person.desk.path("rack");
    let keys = [("alice".to_owned(), key::another())].into();
    person.desk.fake.account().machines = Some(Box::new(Rack::new(rack.clone(), person.kennel.clone(), keys)));
    let image = person.image();
    published(&person, &image);

    let address = launched(&person);
    // As `tenant add` told: to the host that was spoken to last.
    let hello = person.repository.join("examples/node-hello");
    person.types(&["deploy", "blog", hello.to_str().unwrap()]).well();
    blog_lives(&person, &address);

    let next = published(&person, &next_version(&person, &image));
    let replaced = person.types(&["host", "replace", "edge1", "--region", REGION]).well();
    assert_eq!(replaced.trim(), address, "the Elastic IP stays");
    blog_lives(&person, &address);
    let volume = is_the_next(&person, &next);

    let terminate = ["host", "terminate", "edge1", "--region", REGION, "--yes"];
    person.types(&terminate).well();
    assert_eq!(left(&rack), [format!("{volume}.raw")], "the data volume stays, and nothing else");
    person.types(&[&terminate[..], &["--with-data", "--with-address"]].concat()).well();
    assert!(left(&rack).is_empty(), "{:?}", left(&rack));
}
