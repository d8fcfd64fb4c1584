//! The host's clock: set by servers of NTP that the user-data names, by one program that nobody can stand in for. The servers
//! are this computer's own, and the only addresses to which the host sends anything here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Group, Scenario, nothing, people_image, probe_image, tenants};
use crate::checks::{contains, holds, refused, same};
use crate::ntp::{Manner, Ntp};
use crate::vm::{Vm, until};

/// chronyd asks four times in the first eight seconds, and then once in a minute or so.
const SOON: Duration = Duration::from_secs(120);
/// Whom it does not believe it asks less and less often.
const LATER: Duration = Duration::from_secs(420);
/// Where the machine's clock begins: long past.
const LONG_AGO: &str = "2026-01-01T00:00:00";
/// And where it is far ahead.
const MUCH_LATER: &str = "2027-06-01T00:00:00";
/// So much may it be off, in seconds, on a slow machine.
const CLOSE: u64 = 3;

pub(super) fn group() -> Group {
    Group {
        title: "the host's clock, before a server of NTP",
        image: people_image,
        prepare: nothing,
        scenarios: vec![
            Scenario::new("clock: a clock that is months behind is set, and what runs goes on", set),
            Scenario::new(
                "clock: set forward or back by months it wakes nobody and puts nobody to sleep",
                jumps,
            ),
            Scenario::new("clock: a tenant does not ask for the time and does not set it", tenants_do_not)
                .denying(&["{ bind } tenant0000_t udp_socket"]),
            Scenario::new("clock: a server of no use changes nothing, and that is told", of_no_use),
        ],
    }
}

/// The probe, which kills chronyd, is only in an image of its own. It kills others as well, so no answer is to be relied on.
pub(super) fn killed_group() -> Group {
    Group {
        title: "chronyd dies",
        image: probe_image,
        prepare: nothing,
        scenarios: vec![
            // What the probe is denied is what it is for.
            Scenario::new("clock: chronyd is killed and comes back", killed).denying(&["kennel-probe"]),
        ],
    }
}

fn clock(vm: &Vm) -> Result<Value, String> {
    Ok(vm.json(&["host", "status"])?["clock"].clone())
}

fn synchronised(vm: &Vm) -> Result<(), String> {
    let so = || Ok((clock(vm)?["synchronised"] == true).then_some(()));
    // Where its first four questions were not answered, it asks once in a minute, and wants several answers.
    until("the clock to be synchronised", LATER, so)
}

/// What a program of a tenant's takes for the time, in seconds since 1970.
fn time_of(vm: &Vm, tenant: &str) -> Result<u64, String> {
    let page = vm.page_json(tenant, "/probe/time")?;
    page["detail"].as_u64().map(|ms| ms / 1000).ok_or(format!("no time: {page}"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn is_right(vm: &Vm) -> Result<(), String> {
    let (before, there, after) = (now(), time_of(vm, "villain")?, now());
    let close = before.saturating_sub(CLOSE)..=after + CLOSE;
    holds(&format!("{there} is the time, which was {before}"), close.contains(&there))
}

fn set(vm: &mut Vm) -> Result<(), String> {
    let server = Ntp::start(Manner::Silent)?;
    vm.set_clock_by(std::slice::from_ref(&server), LONG_AGO);
    vm.boot()?;
    vm.tenant("villain", "tests/villain")?;
    holds("the clock is behind at first", time_of(vm, "villain")? + 86_400 < now())?;
    let pid = vm.page_json("villain", "/probe/pid")?["detail"].clone();
    until("the server to be asked", SOON, || Ok((server.asked() > 0).then_some(())))?;
    same("synchronised", clock(vm)?["synchronised"].as_bool(), Some(false))?;
    contains("the status", &vm.ok(&["host", "status"])?, "not synchronised")?;
    server.behave(Manner::Honest);
    synchronised(vm)?;
    is_right(vm)?;
    vm.says(0, "the clock was stepped by +")?;
    // Init looks now and then.
    let told = || Ok(vm.console().contains("the clock is synchronised, within ").then_some(()));
    until("the console to say so", LATER, told)?;
    contains("the status", &vm.ok(&["host", "status"])?, "synchronised with 10.0.2.2:")?;
    // The step ended nothing: the same program answers, who was signed in still is, and the machine's clock goes on.
    same("the program", vm.page_json("villain", "/probe/pid")?["detail"].clone(), pid)?;
    vm.ok(&["logs", "villain"]).map(drop)
}

fn jumps(vm: &mut Vm) -> Result<(), String> {
    if !vm.runs() {
        vm.boot()?;
    }
    tenants::ensure(vm, "villain", "tests/villain")?;
    // Who is always on is there before chronyd has asked often: later it asks once in a minute.
    let day = ["--always-on", "--freeze-after", "1d", "--reclaim-after", "2d"];
    let seconds = ["--freeze-after", "2s", "--reclaim-after", "never", "--stop-after", "never"];
    for (name, limits) in [("wakeful", &day[..]), ("asleep", &day), ("new", &seconds)] {
        vm.tenant(name, "examples/node-hello")?;
        vm.ok(&[&["limits", name], limits].concat())?;
    }
    for (clock, stepped) in
        [(LONG_AGO, "the clock was stepped by +"), (MUCH_LATER, "the clock was stepped by -")]
    {
        vm.stop()?;
        let server = Ntp::start(Manner::Silent)?;
        vm.set_clock_by(std::slice::from_ref(&server), clock);
        let seen = vm.console().len();
        vm.boot()?;
        jump(vm, &server)?;
        vm.says(seen, stepped)?;
    }
    ["wakeful", "asleep", "new"].iter().try_for_each(|name| vm.ok(&["tenant", "rm", name, "--yes"]).map(drop))
}

/// One that is awake and one that is frozen stay so for a day, however far the clock goes; and time of the other kind goes on.
fn jump(vm: &Vm, server: &Ntp) -> Result<(), String> {
    for name in ["wakeful", "asleep"] {
        let runs = || Ok((vm.show(name)?["state"] == "running").then_some(()));
        until(&format!("{name} to run"), SOON, runs)?;
    }
    vm.ok(&["tenant", "sleep", "asleep"])?;
    let timeline = |name| vm.json(&["tenant", "timeline", name]);
    let before = [timeline("wakeful")?, timeline("asleep")?];
    server.behave(Manner::Honest);
    until("the clock to be synchronised", LATER, || Ok((clock(vm)?["synchronised"] == true).then_some(())))?;
    is_right(vm)?;
    same("the status", vm.page("new", "/")?.status, 200)?;
    until("the next one to be frozen", SOON, || Ok((vm.show("new")?["state"] == "frozen").then_some(())))?;
    same("what the two have done", [timeline("wakeful")?, timeline("asleep")?], before)?;
    for (name, state) in [("wakeful", "running"), ("asleep", "frozen")] {
        same(&format!("the state of {name}"), vm.show(name)?["state"].as_str(), Some(state))?;
    }
    same("the status", vm.page("asleep", "/")?.status, 200)
}

fn tenants_do_not(vm: &mut Vm) -> Result<(), String> {
    let address = vm.time_server()?.for_guest();
    let (host, port) = address.split_once(':').ok_or("an address without a port")?;
    for (host, port) in [(host, port), ("10.0.2.2", "123"), ("169.254.169.123", "123")] {
        let answer = vm.page_json("villain", &format!("/probe/datagram?host={host}&port={port}"))?;
        refused("datagram", &answer, &["EPERM", "EACCES", "ECONNREFUSED"])?;
    }
    // That it cannot set the clock is a row of the table of forbidden acts (`kernel-clock`).
    is_right(vm)
}

fn killed(vm: &mut Vm) -> Result<(), String> {
    let server = Ntp::start(Manner::Honest)?;
    vm.set_clock_by(std::slice::from_ref(&server), LONG_AGO);
    vm.boot()?;
    // The probe does it, once, as soon as it finds it.
    let killed = || Ok(vm.console().contains("probe: killed chronyd").then_some(()));
    until("chronyd to be killed", SOON, killed)?;
    let asked = server.asked();
    let again = || Ok((vm.console().matches("] chronyd started").count() == 2).then_some(()));
    until("chronyd to run again", SOON, again)?;
    until("the server to be asked again", SOON, || Ok((server.asked() > asked).then_some(())))?;
    let synchronised = || Ok(clock(vm).ok().filter(|clock| clock["synchronised"] == true).map(drop));
    until("the clock to be synchronised", SOON, synchronised)
}

fn of_no_use(vm: &mut Vm) -> Result<(), String> {
    vm.stop()?;
    // chronyd asks each address once, and only one leads out of the machine to here: so one after the other. That one
    // which is silent changes nothing was seen above.
    let server = Ntp::start(Manner::Forged)?;
    vm.set_clock_by(std::slice::from_ref(&server), LONG_AGO);
    let seen = vm.console().len();
    vm.boot()?;
    until("the server to be asked four times", SOON, || Ok((server.asked() >= 4).then_some(())))?;
    let changed_nothing = |vm: &Vm| -> Result<(), String> {
        holds("the clock is as it was", time_of(vm, "villain")? + 86_400 < now())?;
        same("synchronised", clock(vm)?["synchronised"].as_bool(), Some(false))?;
        let said = vm.console();
        holds("nothing was stepped", !said.get(seen..).unwrap_or_default().contains("the clock was stepped"))
    };
    changed_nothing(vm)?;
    server.behave(Manner::Unsynchronised);
    let asked = server.asked();
    until("the server to be asked again", LATER, || Ok((server.asked() > asked).then_some(())))?;
    let warned = || Ok(vm.ok(&["host", "status"])?.contains("the clock is not synchronised").then_some(()));
    until("the status to warn", Duration::from_secs(240), warned)?;
    changed_nothing(vm)
}
