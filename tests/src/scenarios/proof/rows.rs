//! All rows against one villain: asks it for each act, looks whether what it saw is what the row expects, and to whom the
//! refusal is to be credited. For the rows about denial of service the neighbour's page is fetched all the while.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kennel_model::proof::{BARE_NEIGHBOUR, Layers};
use kennel_policy::isolation::{self, Mode, Row};
use serde::{Deserialize, Serialize};

use super::{BARE, QUIET, credit, objects, villain};
use crate::http;
use crate::vm::{PAGE_DEADLINE, Vm, until};

/// What one villain saw of one row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The row's id.
    pub id: String,
    /// An errno's name, a signal's, `held`, or `done`.
    pub result: String,
    /// What the villain saw, for people.
    pub detail: String,
    /// Who refused, as far as the kernel's log says.
    pub credit: String,
    /// What is not as the row says; empty when all is.
    pub fault: String,
}

/// What a villain answers.
#[derive(Deserialize)]
struct Answer {
    result: String,
    detail: String,
}

/// The rows about denial of service.
const EXHAUSTING: &str = "denial of service";

/// Tries every row, notes what was seen, and fails when a row is not as expected.
pub(super) fn all(vm: &mut Vm, layers: Layers) -> Result<(), String> {
    let table = isolation::table().map_err(|e| e.to_string())?;
    let query = query(vm, layers)?;
    let mut seen = Vec::new();
    for row in &table.rows {
        let without_limits = row.object == EXHAUSTING && layers.as_root();
        seen.push(if without_limits { not_tried(row) } else { one(vm, layers, row, &query)? });
        note(vm, layers, &seen)?;
    }
    let faults: Vec<String> = seen
        .iter()
        .filter(|seen| !seen.fault.is_empty())
        .map(|seen| format!("{}: {} ({})", seen.id, seen.fault, seen.detail))
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!("{} of {} rows are not as they say:\n  {}", faults.len(), seen.len(), faults.join("\n  ")))
}

/// What the villain is told: whom to reach for, and by which numbers. PIDs are the host's; in a PID namespace of its own
/// they must not lead anywhere.
fn query(vm: &Vm, layers: Layers) -> Result<String, String> {
    let bare = objects(vm, BARE)?;
    let (slot, near) = if layers.as_root() { (BARE_NEIGHBOUR, bare.clone()) } else { (3, objects(vm, QUIET)?) };
    let status = vm.json(&["host", "status"])?;
    let service = status["services"][0]["pid"].as_u64().ok_or("the host has no service with a PID")?;
    Ok(format!(
        "neighbour={slot}&pid={}&service={service}&descriptor={}&key={}",
        bare["pid"], near["descriptor"], bare["key"]
    ))
}

/// Where nothing holds it, it would take the host with it.
fn not_tried(row: &Row) -> Seen {
    let (result, detail) = ("not tried".to_owned(), "no limit holds here".to_owned());
    Seen { id: row.id.clone(), result, detail, credit: String::new(), fault: String::new() }
}

fn one(vm: &Vm, layers: Layers, row: &Row, query: &str) -> Result<Seen, String> {
    let console = vm.console().len();
    let quiet = AtomicBool::new(true);
    let over = AtomicBool::new(row.object != EXHAUSTING);
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| watch(vm.web_port(), &over, &quiet));
        let answer = ask(vm, layers, row, query);
        over.store(true, Ordering::Relaxed);
        answer
    })?;
    let credit = credit::of(vm, console, layers, &answer.result);
    let mut fault = judge(row, layers, &answer.result, &credit);
    if !quiet.load(Ordering::Relaxed) {
        fault = format!("the neighbour's page was away; {fault}");
    }
    Ok(Seen { id: row.id.clone(), result: answer.result, detail: answer.detail, credit, fault })
}

/// Asks the villain. One that is killed whole by the attempt breaks its connection, for which the proxy has a 502: that is
/// an answer, and the next request starts it again. Any other word of the proxy's is about the host, not about the act.
fn ask(vm: &Vm, layers: Layers, row: &Row, query: &str) -> Result<Answer, String> {
    let name = villain(layers);
    let page = vm.page(&name, &format!("/probe/{}?{query}", row.id));
    if let Ok(page) = &page
        && page.status == 200
    {
        return serde_json::from_str(&page.body).map_err(|e| format!("{name} answered {:?}: {e}", page.body));
    }
    let (result, detail) = match page {
        Ok(page) if page.status == 502 => ("SIGKILL", "the whole program ended".to_owned()),
        Ok(page) => ("unknown", format!("the proxy said {}: {}", page.status, page.body.trim())),
        Err(error) => ("unknown", error),
    };
    until("the villain to be started again", Duration::from_secs(60), || {
        Ok(vm.page(&name, "/").is_ok_and(|page| page.status == 200).then_some(()))
    })?;
    Ok(Answer { result: result.to_owned(), detail })
}

/// Fetches the quiet neighbour's page until it is over.
fn watch(port: u16, over: &AtomicBool, quiet: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let page = http::get(port, &format!("{QUIET}.localhost"), "/", PAGE_DEADLINE);
        if !page.is_ok_and(|page| page.status == 200) {
            quiet.store(false, Ordering::Relaxed);
        }
        // A few a second are enough; the emulated processor is what is scarce.
        std::thread::sleep(Duration::from_millis(200).saturating_sub(began.elapsed()));
    }
}

fn judge(row: &Row, layers: Layers, result: &str, credit: &str) -> String {
    if !row.accepts(layers, result) {
        return match row.mode(layers) {
            Mode::Expect(list) => format!("{result} instead of {}", list.join(" or ")),
            Mode::Argued(_) => String::new(),
        };
    }
    let by_selinux = layers == Layers::MacOnly && matches!(row.mode(layers), Mode::Expect(_));
    // What the file system itself refuses, and limits, SELinux has no part in.
    if by_selinux && credit.is_empty() && !["EROFS", "held"].contains(&result) {
        return format!("{result}, but the kernel's log has no denial of SELinux's");
    }
    match &row.record {
        Some(record) if by_selinux && !credit.contains(record.as_str()) => {
            format!("{result}, but SELinux's record is not of {record:?}: {credit}")
        }
        _ => String::new(),
    }
}

/// Where a mode's results lie until all are there.
pub(super) fn file(vm: &Vm, layers: Layers) -> std::path::PathBuf {
    vm.scratch().join(format!("proof-{}.json", layers.word()))
}

fn note(vm: &Vm, layers: Layers, seen: &[Seen]) -> Result<(), String> {
    let text = serde_json::to_vec(seen).map_err(|e| e.to_string())?;
    fs::write(file(vm, layers), text).map_err(|e| e.to_string())
}
