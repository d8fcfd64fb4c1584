//! The IAM policies, which the fake enforces with their resources and their conditions on tags. In all scenarios the sum of
//! them holds; here each part of the program does its work with exactly what `kennel-ami policy` prints for it, and of all
//! that a policy allows nothing is left unused.

use crate::desk::{Desk, KEY, REGION, policy};
use crate::fake::compute::Phase;
use crate::fake::faults::{Fault, When};
use crate::fake::iam::allowed_by;
use crate::hosting::{NAME, NOTHING, data, desk, host, hosted, launch, next_image, stands, things};
use crate::picture::{Picture, Piece};
use crate::resume::killed_at;

/// Has the fake enforce these roles' policies during the work, after which all must have been used.
#[track_caller]
fn exactly(desk: &Desk, roles: &[&str], work: impl FnOnce(&Desk)) {
    let policies: Vec<String> = roles.iter().map(|role| policy(role)).collect();
    desk.fake.forget_calls();
    desk.fake.enforce(&policies);
    work(desk);
    let allowed = policies.iter().flat_map(|policy| allowed_by(policy)).collect();
    assert_eq!(desk.fake.needed(), allowed, "needed on the left, allowed on the right, for {roles:?}");
}

fn published() -> (Desk, Picture, String) {
    let (desk, picture) = (Desk::new(), Picture::of(8));
    let id = desk.published(&desk.image("out", &picture), &[]);
    (desk, picture, id)
}

#[test]
fn publish() {
    let desk = Desk::new();
    let (first, second) = (Picture::of(8), Picture::of(8).with(1, Piece::Data(6)));
    let images = [desk.image("1", &first), desk.image("2", &second)];
    exactly(&desk, &["publish"], |desk| {
        // The first is whole, the second builds on it, the third is there already.
        for image in [&images[0], &images[1], &images[1]] {
            desk.published(image, &[]);
        }
    });
}

#[test]
fn publish_with_everything() {
    let desk = Desk::new();
    let image = desk.image("out", &Picture::of(8));
    exactly(&desk, &["publish", "copy", "share", "ssm"], |desk| {
        let more = ["--copy-to", "us-east-1", "--share", "222233334444", "--ssm", "/kennel/latest"];
        desk.publish(&image, &more).well();
    });
    let image = desk.image("2", &Picture::of(12));
    exactly(&desk, &["publish", "encrypt"], |desk| {
        desk.publish(&image, &["--encrypt", KEY]).well();
    });
}

#[test]
fn read() {
    let (desk, _, id) = published();
    exactly(&desk, &["read"], |desk| {
        desk.run(&["ls", "--region", REGION]).well();
        desk.run(&["show", &id, "--region", REGION]).well();
    });
}

#[test]
fn verify() {
    let (desk, picture, id) = published();
    let image = desk.image("out", &picture);
    exactly(&desk, &["verify"], |desk| {
        desk.run(&["verify", &id, "--image", image.to_str().unwrap(), "--region", REGION]).well();
    });
}

#[test]
fn copy() {
    let (desk, _, id) = published();
    exactly(&desk, &["copy"], |desk| {
        desk.run(&["copy", &id, "--region", REGION, "--to", "us-east-1"]).well();
    });
}

#[test]
fn share() {
    let (desk, _, id) = published();
    exactly(&desk, &["share"], |desk| {
        desk.run(&["share", &id, "--region", REGION, "--with", "222233334444"]).well();
        desk.run(&["share", &id, "--region", REGION, "--with", "222233334444", "--remove"]).well();
    });
}

#[test]
fn retire() {
    let (desk, _, id) = published();
    exactly(&desk, &["retire"], |desk| {
        desk.run(&["deprecate", &id, "--region", REGION, "--in", "2d"]).well();
        desk.run(&["disable", &id, "--region", REGION]).well();
    });
}

#[test]
fn remove() {
    let (desk, _, id) = published();
    let copy = desk.run(&["copy", &id, "--region", REGION, "--to", "us-east-1"]).well();
    exactly(&desk, &["remove"], |desk| {
        desk.run(&["rm", &id, "--region", REGION]).well();
        desk.run(&["rm", copy.trim(), "--region", "us-east-1"]).well();
        desk.run(&["gc", "--region", REGION]).well();
    });
    assert!(
        desk.fake.account().snapshots().is_empty(),
        "the copy's snapshot bears the tag by which it may be removed"
    );
}

/// The host has ended, not by a command.
fn ended(desk: &Desk) {
    let id = host(desk).0;
    let mut account = desk.fake.account();
    account.region(REGION).compute.instances.get_mut(&id).unwrap().phase = Phase::ShuttingDown;
    account.settled(REGION);
}

/// Somebody has stopped the host.
fn switched_off(desk: &Desk, id: &str) {
    let mut account = desk.fake.account();
    account.region(REGION).compute.instances.get_mut(id).unwrap().phase = Phase::Stopping;
    account.settled(REGION);
}

#[test]
fn launch_hosts() {
    let desk = desk();
    exactly(&desk, &["launch"], |desk| {
        launch(desk, &["--elastic-ip", "--key", "alice"]).well();
        // Once more, with the disk of the first, which comes late; and once more, as somebody has switched it off.
        ended(desk);
        desk.fake.account().dawdles = 400;
        launch(desk, &["--elastic-ip"]).well();
        let id = stands(desk, true);
        switched_off(desk, &id);
        launch(desk, &["--elastic-ip"]).well();
        stands(desk, true);
    });
}

#[test]
fn launch_with_a_parameter_and_a_role() {
    let desk = desk();
    let image = desk.fake.account().only_image().0;
    desk.fake.account().region(REGION).parameters.extend([("/kennel/latest".to_owned(), (image, 1))]);
    let policies = ["launch", "launch-ssm", "profile"].map(policy);
    desk.fake.enforce(&policies);
    desk.fake.forget_calls();
    launch(&desk, &["--ami", "/kennel/latest", "--instance-profile", "edge", "--spot"]).well();
    let needed = desk.fake.needed();
    assert!(["iam:PassRole", "ssm:GetParameter"].iter().all(|it| needed.contains(*it)), "{needed:?}");
    for missing in [1, 2] {
        let mut less = policies.to_vec();
        let action = ["", "ssm:GetParameter", "iam:PassRole"][missing];
        less.remove(missing);
        ended(&desk);
        desk.fake.enforce(&less);
        let error = launch(&desk, &["--ami", "/kennel/latest", "--instance-profile", "edge"]).failed(2);
        assert!(error.contains(action), "{error}");
        desk.fake.enforce(&policies);
        launch(&desk, &["--ami", "/kennel/latest", "--instance-profile", "edge"]).well();
    }
}

#[test]
fn look_after_hosts() {
    let (desk, _) = hosted(&[]);
    exactly(&desk, &["hosts"], |desk| {
        desk.run(&["hosts", "--region", REGION]).well();
        desk.run(&["host", "console", NAME, "--region", REGION]).well();
        desk.run(&["host", "reboot", NAME, "--region", REGION]).well();
    });
}

#[test]
fn replace() {
    let (desk, _) = hosted(&["--elastic-ip"]);
    next_image(&desk);
    let replace = ["host", "replace", NAME, "--region", REGION];
    // At a desk that does not know the host's certificate.
    std::fs::remove_dir_all(desk.path("config")).unwrap();
    exactly(&desk, &["replace"], |desk| {
        // Half of the way, all the way back, and then the whole way.
        desk.fake.fault("AttachVolume", When::Nth(1), Fault::Stall);
        killed_at(desk, &replace);
        desk.run(&[&replace[..], &["--back"]].concat()).well();
        desk.fake.account().dawdles = 400;
        desk.run(&replace).well();
        stands(desk, true);
    });
}

#[test]
fn terminate() {
    let (desk, _) = hosted(&["--elastic-ip"]);
    let disk = data(&desk).0;
    desk.fake.account().region(REGION).compute.volumes.get_mut(&disk).unwrap().precious = false;
    exactly(&desk, &["terminate"], |desk| {
        let terminate = ["host", "terminate", NAME, "--region", REGION, "--yes"];
        desk.run(&[&terminate[..], &["--with-data", "--with-address"]].concat()).well();
    });
    assert_eq!(things(&desk), NOTHING);
}

#[test]
fn what_is_not_a_host_of_ours_is_out_of_reach() {
    let (desk, id) = hosted(&[]);
    let disk = data(&desk).0;
    // Whoever uses the credentials otherwise than by the program reaches no further.
    let all = [("ec2:TerminateInstances", &id), ("ec2:StopInstances", &id), ("ec2:DetachVolume", &disk)];
    desk.fake.enforce(&["hosts", "replace", "terminate"].map(policy));
    assert!(all.iter().all(|(action, it)| !desk.fake.refuses(REGION, action, it)));
    {
        let mut account = desk.fake.account();
        let compute = &mut account.region(REGION).compute;
        compute.instances.get_mut(&id).unwrap().tags.remove("kennel:host");
        compute.volumes.get_mut(&disk).unwrap().tags.remove("kennel:host");
    }
    assert!(all.iter().all(|(action, it)| desk.fake.refuses(REGION, action, it)));
}

#[test]
fn without_a_policy_nothing_works() {
    let (desk, picture, _) = published();
    desk.fake.enforce(&[]);
    let error = desk.publish(&desk.image("out", &picture), &[]).failed(2);
    assert!(error.contains("ec2:DescribeImages"), "{error}");
}
