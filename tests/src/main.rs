//! The scenarios in the VM: what `SECURITY.md` and the README claim of a host is tried on a real one, booted from the
//! real image with SELinux enforcing. `kennel-tests [WORD…]` runs those with one of the words in their name; the
//! image must be in `out/`. Prints a line for each scenario and ends with `N passed, N failed`.

mod cable;
mod checks;
mod http;
mod http2;
mod imds;
mod ntp;
mod pebble;
mod qmp;
mod scenarios;
mod vm;

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use scenarios::{Group, Scenario};
use vm::{Places, Vm};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let places = match places() {
        Ok(places) => places,
        Err(error) => {
            eprintln!("error: {error}\nhint: `make vm` builds what is needed");
            return ExitCode::FAILURE;
        }
    };
    let named = |s: &Scenario| words.iter().any(|word| s.name.contains(word.as_str()));
    let wanted = |s: &Scenario| words.is_empty() || named(s);
    // tests/coverage.sh looks at what one image's console says; the others are as ever.
    let covers = std::env::var_os("KENNEL_TEST_CONSOLES").is_some();
    let covered = |group: &Group| !covers || (group.image)(&places) == places.image;
    let [busy, waiting] = [scenarios::busy(), scenarios::waiting()].map(|groups| {
        let mut groups: Vec<Group> = groups.into_iter().filter(covered).collect();
        groups.iter_mut().for_each(|group| group.scenarios.retain(wanted));
        groups.retain(|group| !group.scenarios.is_empty());
        groups
    });
    let tally = run(&busy, &waiting, &places);
    for failure in &tally.failures {
        println!("\n{failure}");
    }
    println!("\n{} passed, {} failed", tally.passed, tally.failures.len());
    if tally.failures.is_empty() && tally.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// So many at a time, however many processors there are: each has a GiB of memory.
const MOST_MACHINES: usize = 4;

#[derive(Default)]
struct Tally {
    lines: String,
    passed: usize,
    failures: Vec<String>,
}

impl Tally {
    fn say(&mut self, line: &str) {
        self.lines += line;
        self.lines.push('\n');
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
    }
}

/// Runs the groups, several side by side: an emulated machine keeps one processor busy, unless it waits, and of those that do
/// there is one more.
fn run(busy: &[Group], waiting: &[Group], places: &Places) -> Tally {
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_MACHINES);
    let tally = Mutex::new(Tally::default());
    let work = |left: &Mutex<std::slice::Iter<'_, Group>>| {
        while let Some(group) = next(left) {
            let mut done = Tally::default();
            run_group(group, places, &mut done);
            // In one piece, as others go on beside it.
            print!("{}", done.lines);
            tally.lock().unwrap_or_else(PoisonError::into_inner).add(done);
        }
    };
    let [busy, waiting] = [busy, waiting].map(|groups| Mutex::new(groups.iter()));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(&busy));
        }
        scope.spawn(|| work(&waiting));
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn next<'g>(left: &Mutex<std::slice::Iter<'g, Group>>) -> Option<&'g Group> {
    left.lock().unwrap_or_else(PoisonError::into_inner).next()
}

/// One VM, and its scenarios one after the other. After a failure the rest of the group still runs: each says what
/// it needs, and makes it.
fn run_group(group: &Group, places: &Places, tally: &mut Tally) {
    tally.say(&format!("\n{}:", group.title));
    let started = Instant::now();
    let vm = Vm::new(places, (group.image)(places)).and_then(|mut vm| (group.prepare)(&mut vm).map(|()| vm));
    let mut vm = match vm {
        Ok(vm) => vm,
        Err(error) => {
            tally.say(&format!("  FAILED to set up: {error}"));
            tally.failures.push(format!("{}: {error}", group.title));
            return;
        }
    };
    tally.say(&format!("  set up in {:.0} s", started.elapsed().as_secs_f64()));
    for scenario in &group.scenarios {
        let began = Instant::now();
        let seen = vm.console().len();
        let result = (scenario.run)(&mut vm).and_then(|()| checks::no_denials(&vm, seen, scenario.denials));
        let seconds = began.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                tally.say(&format!("  ok      {} ({seconds:.1} s)", scenario.name));
                tally.passed += 1;
            }
            Err(error) => {
                tally.say(&format!("  FAILED  {} ({seconds:.1} s)\n          {error}", scenario.name));
                let console = vm.console();
                let tail: Vec<&str> = console.get(seen..).unwrap_or_default().lines().collect();
                let tail = tail[tail.len().saturating_sub(40)..].join("\n  | ");
                tally.failures.push(format!("{}: {error}\n  console meanwhile:\n  | {tail}", scenario.name));
            }
        }
        vm.take_notes().iter().for_each(|note| tally.say(&format!("          {note}")));
    }
}

/// The program and images: beside this program and in `out/`, unless the environment says otherwise.
fn places() -> Result<Places, String> {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let repository = repository.canonicalize().map_err(|e| format!("the repository is gone: {e}"))?;
    let beside = std::env::current_exe().map_err(|e| e.to_string())?.with_file_name("kennel");
    let kennel = std::env::var_os("KENNEL_TEST_PROGRAM").map_or(beside, PathBuf::from);
    if !kennel.exists() {
        return Err(format!("there is no program {}", kennel.display()));
    }
    let image = std::env::var_os("KENNEL_TEST_IMAGE")
        .map_or_else(|| newest_image(&repository.join("out")), |image| Ok(PathBuf::from(image)))?;
    let probe_image = newest_image(&repository.join("out/probe"))?;
    // Only its own scenarios need it, and say so when it is not there.
    let proof = repository.join("out/proof");
    let proof_image = newest_image(&proof).unwrap_or(proof);
    Ok(Places { kennel, repository, image, probe_image, proof_image })
}

fn newest_image(folder: &std::path::Path) -> Result<PathBuf, String> {
    let fault = |e: std::io::Error| format!("cannot look into {}: {e}", folder.display());
    let files = std::fs::read_dir(folder).map_err(fault)?.flatten();
    let images = files.filter(|f| f.path().extension().is_some_and(|e| e == "raw"));
    let newest = images.max_by_key(|f| f.metadata().and_then(|m| m.modified()).ok());
    newest.map(|f| f.path()).ok_or(format!("there is no image in {}", folder.display()))
}
