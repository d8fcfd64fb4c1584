//! Replacing a host that is a spot instance: it cannot be shut down and kept, so that it is terminated where another is shut
//! down. Until then the way back is open; from then on there is only the way on, and the data are free or at the new one.

use crate::desk::{Desk, REGION};
use crate::fake::compute::Phase;
use crate::fake::faults::{Fault, When};
use crate::hosting::{NAME, data, each, host, hosted, launch, next_image, stands, things};
use crate::resume::killed_at;

const REPLACE: [&str; 5] = ["host", "replace", NAME, "--region", REGION];
const BACK: [&str; 6] = ["host", "replace", NAME, "--region", REGION, "--back"];

/// A spot host, its data's disk, and the next version of the image.
fn before() -> (Desk, String, String, String) {
    let (desk, old) = hosted(&["--spot", "--elastic-ip"]);
    let disk = data(&desk).0;
    let next = next_image(&desk);
    desk.fake.forget_calls();
    (desk, old, disk, next)
}

#[track_caller]
fn replaced(desk: &Desk, old: &str, disk: &str, next: &str) {
    assert_ne!(stands(desk, true), old);
    let new = host(desk).1;
    assert!(new.spot && new.image == next, "a spot instance again, of the next image: {new:?}");
    assert_eq!(data(desk).0, disk);
}

#[test]
fn it_is_replaced_by_another_one() {
    let (desk, old, disk, next) = before();
    desk.fake.account().settle = 1;
    desk.run(&REPLACE).well();
    replaced(&desk, &old, &disk, &next);
    assert_eq!(desk.fake.count("StopInstances") + desk.fake.count("DetachVolume"), 0);
}

#[test]
fn at_every_single_request_it_may_be_killed_and_goes_on_here_and_elsewhere_or_back() {
    let (whole, ..) = before();
    whole.run(&REPLACE).well();
    let requests: Vec<usize> = (1..=whole.fake.calls().len()).collect();
    assert!(requests.len() > 10, "{requests:?}");
    let ways: Vec<(usize, &str)> =
        requests.iter().flat_map(|it| ["on", "elsewhere", "back"].map(|way| (*it, way))).collect();
    each(&ways, |(number, way)| {
        let (desk, old, disk, next) = before();
        desk.fake.fault("*", When::Nth(number), Fault::Stall);
        killed_at(&desk, &REPLACE);
        match way {
            "elsewhere" => desk.forget(),
            "back" => {
                let outcome = desk.run(&BACK);
                let there = desk.fake.account().settled(REGION).instances[&old].phase == Phase::Running;
                let begun = desk.fake.account().region(REGION).compute.instances.len() > 1;
                // There is a way back as long as the old one is there; where nothing was begun, that may be said instead.
                assert!(
                    if there { !begun || outcome.code == Some(0) } else { outcome.code != Some(0) },
                    "{outcome:?}"
                );
                if there {
                    assert_eq!((stands(&desk, true), data(&desk).0), (old, disk));
                    return;
                }
            }
            _ => {}
        }
        desk.run(&REPLACE).well();
        replaced(&desk, &old, &disk, &next);
    });
}

#[test]
fn each_step_that_is_done_but_not_answered_is_not_done_twice() {
    for action in ["RunInstances", "TerminateInstances", "AttachVolume", "AssociateAddress"] {
        let (desk, old, disk, next) = before();
        desk.fake.fault(action, When::Nth(1), Fault::StallAfter);
        killed_at(&desk, &REPLACE);
        desk.run(&REPLACE).well();
        replaced(&desk, &old, &disk, &next);
    }
}

#[test]
fn a_volume_that_comes_too_late_is_found_by_a_reboot() {
    let (desk, old, disk, next) = before();
    desk.fake.account().dawdles = 400;
    desk.run(&REPLACE).well();
    replaced(&desk, &old, &disk, &next);
    assert_eq!(desk.fake.done("RebootInstances"), 1);
}

#[test]
fn one_that_would_take_its_data_with_it_stays() {
    let (desk, old, disk, _) = before();
    {
        let mut account = desk.fake.account();
        let volume = account.region(REGION).compute.volumes.get_mut(&disk).unwrap();
        volume.attachment.as_mut().unwrap().delete_on_termination = true;
    }
    let error = desk.run(&REPLACE).failed(2);
    assert!(error.contains("DeleteOnTermination") && error.contains("--back"), "{error}");
    desk.run(&BACK).well();
    assert_eq!((stands(&desk, true), data(&desk).0), (old, disk));
}

#[test]
fn where_the_new_one_is_taken_away_too_launch_brings_the_data_back() {
    let (desk, _, disk, _) = before();
    desk.fake.fault("AttachVolume", When::Nth(1), Fault::Stall);
    killed_at(&desk, &REPLACE);
    // Until it has its data, it is no host that could be launched again.
    let error = launch(&desk, &["--spot", "--elastic-ip"]).failed(2);
    assert!(error.contains("host replace"), "{error}");
    let new = host(&desk).0;
    desk.fake.account().region(REGION).compute.instances.get_mut(&new).unwrap().phase = Phase::ShuttingDown;
    assert_eq!(things(&desk).instances, 0);
    let error = desk.run(&REPLACE).failed(2);
    assert!(error.contains("kennel launch"), "{error}");
    launch(&desk, &["--spot", "--elastic-ip"]).well();
    stands(&desk, true);
    assert_eq!(data(&desk).0, disk);
}
