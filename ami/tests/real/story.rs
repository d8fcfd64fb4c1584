//! The story itself: publish, launch, a tenant, its page; the next version of the image, replace, the same page; the end.

use crate::desk::REGION;
use crate::key;
use crate::person::Person;
use crate::rack::Rack;
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

#[test]
#[ignore = "boots the image in QEMU: `make amitest`"]
fn from_an_image_to_a_host_and_the_next() {
    let person = Person::new();
    let rack = person.desk.path("rack");
    let keys = [("alice".to_owned(), key::another())].into();
    person.desk.fake.account().machines = Some(Box::new(Rack::new(rack.clone(), person.kennel.clone(), keys)));
    let image = person.image();
    let first = published(&person, &image);

    let launch = ["launch", "--type", "t3.small", "--name", "edge1", "--region", REGION];
    let more = ["--key", "alice", "--elastic-ip", "--data-size", "2G", "--api-from", "127.0.0.1/32"];
    let launched = person.types(&[&launch[..], &more].concat());
    let told = launched.err.clone();
    let address = launched.well().trim().to_owned();
    for step in [
        "until it runs",
        "  | init: ",
        "  | control: ",
        "tells the certificate SHA256:",
        "answers with this certificate",
    ] {
        assert!(told.contains(step), "{step} is not told");
    }
    let next = told_next(&told);
    assert!(next.len() >= 3, "{next:?}");
    for command in &next {
        person.types(command).well();
    }
    let hello = person.repository.join("examples/node-hello");
    person.types(&["--host", "edge1", "deploy", "blog", hello.to_str().unwrap()]).well();
    let page = person.looks_at(&address, "blog.example.org");
    let lives = |page: &(u16, String)| page.0 == 200 && page.1.contains("blog lives here");
    assert!(lives(&page), "{page:?}");

    let second = published(&person, &next_version(&person, &image));
    assert_ne!(second, first);
    let replaced = person.types(&["host", "replace", "edge1", "--region", REGION]);
    assert!(replaced.err.contains(&second), "{}", replaced.err);
    assert_eq!(replaced.well().trim(), address, "the Elastic IP stays");
    let page = person.looks_at(&address, "blog.example.org");
    assert!(lives(&page), "{page:?}");
    let status: serde_json::Value =
        serde_json::from_str(&person.types(&["--json", "--host", "edge1", "host", "status"]).well()).unwrap();
    let (id, volume) = {
        let mut account = person.desk.fake.account();
        let compute = &account.region(REGION).compute;
        let [(id, instance)] = compute.living()[..] else { panic!("{:?}", compute.living()) };
        assert_eq!((&instance.image, instance.boot.count), (&second, 1), "it took the volume without a reboot");
        (id.to_owned(), compute.data_of(id).unwrap())
    };
    assert_eq!(status["cloud"]["instance"]["id"].as_str(), Some(id.as_str()), "{status}");
    assert!(status["cloud"]["instance"]["tags"].to_string().contains("kennel:replaces"), "{status}");
    let console = person.types(&["host", "console", "edge1", "--region", REGION]).well();
    assert!(
        console.contains("waiting 300 s for one") && console.contains(&volume.replace('-', "")),
        "{console}"
    );
    assert!(
        console.contains("operator keys that may sign in: 2"),
        "of the user-data and the key pair: {console}"
    );
    assert!(!console.contains("avc:  denied"), "{console}");

    let terminate = ["host", "terminate", "edge1", "--region", REGION, "--yes"];
    person.types(&terminate).well();
    assert_eq!(left(&rack), [format!("{volume}.raw")], "the data volume stays, and nothing else");
    person.types(&[&terminate[..], &["--with-data", "--with-address"]].concat()).well();
    assert!(left(&rack).is_empty(), "{:?}", left(&rack));
}
