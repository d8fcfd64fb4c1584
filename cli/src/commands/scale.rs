//! `kennel scale`: what runs beside a tenant's program, and how often.

use kennel_model::TenantName;
use kennel_model::process::{Process, Scale};

use super::{Context, tenant_path};
use crate::args::ScaleOf;
use crate::exit::Failure;
use crate::ui::{SafeLines, ago, table};

pub(super) async fn scale(context: &Context, args: &ScaleOf) -> Result<(), Failure> {
    let path = format!("{}/processes", tenant_path(&args.name));
    let all: Vec<Process> = match args.processes.as_slice() {
        [] => context.client()?.get(&path).await?,
        counts => {
            let processes = counts.iter().map(|wish| (wish.process.clone(), wish.count)).collect();
            context.client()?.post(&path, &Scale { processes }).await?
        }
    };
    Ok(context.ui.result(&all, |all| words(&args.name, all))?)
}

fn words(name: &TenantName, all: &[Process]) -> String {
    let rows: Vec<[String; 4]> = all.iter().map(row).collect();
    let mut text = table(["PROCESS", "RUNS", "LAST END", "COMMAND"], &rows);
    if all.len() < 2 {
        text += &format!(
            "\nA line in the Procfile of {name} makes another: `worker: node worker.js`, and `kennel scale {name} worker=1`.\n"
        );
    }
    // A command is whatever somebody has typed.
    SafeLines::new(false).push(text.as_bytes()).join("\n") + "\n"
}

fn row(process: &Process) -> [String; 4] {
    let last = process.last.as_ref();
    let last =
        last.map_or_else(|| "-".to_owned(), |end| format!("{}, {}: {}", ago(end.at_s), end.release, end.why));
    let command = match &process.command {
        None => "not in the release that serves".to_owned(),
        Some(words) if words.is_empty() => "files only".to_owned(),
        Some(words) => words.join(" "),
    };
    [process.name.to_string(), format!("{} of {}", process.running, process.wanted), last, command]
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::ReleaseId;
    use kennel_model::process::ProcessEnd;

    #[test]
    fn a_process_is_a_line_that_says_how_it_fares() {
        let web = Process {
            name: "web".parse().unwrap(),
            command: Some(vec!["node".into(), "\u{1b}[2J".into()]),
            wanted: 1,
            running: 0,
            last: None,
        };
        let name = "blog".parse().unwrap();
        let alone = words(&name, std::slice::from_ref(&web));
        assert!(
            alone.contains("web      0 of 1  -") && alone.contains("kennel scale blog worker=1"),
            "{alone}"
        );
        assert!(!alone.contains('\u{1b}'));
        let last = Some(ProcessEnd { at_s: 0, release: ReleaseId(3), why: "exited with code 1".into() });
        let worker = Process { name: "worker".parse().unwrap(), command: None, wanted: 2, running: 1, last };
        let both = words(&name, &[web, worker]);
        let line = both.lines().nth(2).unwrap();
        assert!(line.starts_with("worker   1 of 2"), "{line}");
        assert!(
            line.contains("r3: exited with code 1") && line.ends_with("not in the release that serves"),
            "{line}"
        );
        assert!(!both.contains("worker=1"));
    }
}
