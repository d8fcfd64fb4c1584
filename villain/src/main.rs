//! `kennel-villain`: a tenant's program that tries every forbidden act.
//!
//! ```text
//! kennel-villain serve                    # GET /probe/<id>?neighbour=3&pid=…, GET /probes
//! kennel-villain neighbour                # the same, and makes what villains reach for: GET /objects
//! kennel-villain run [--harmless] [name=value…]   # every probe, a JSON line each
//! ```
//!
//! The other commands are its own: `probe` for one attempt, `make` for one object, `outside` for whoever is not on this
//! host, `wait`, `nothing` and `whoami` as children of attempts.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use kennel_villain::{PROBES, Place, Role, answer_outside, attempt, make, run_here, serve};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        // Some probes run whatever program there is: this must do nothing, quickly.
        ["nothing"] => Ok(()),
        ["wait"] => io::stdin().read(&mut [0]).map(|_| ()).map_err(|error| error.to_string()),
        ["outside"] => answer_outside().map_err(|error| error.to_string()),
        ["whoami"] => print(&rustix::process::geteuid().as_raw().to_string()),
        _ => command(&words),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // Standard error may be what is being tried.
            let _ = writeln!(io::stderr(), "villain: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn command(words: &[&str]) -> Result<(), String> {
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok());
    let port = port.ok_or("PORT is not set; a slot sets it")?;
    let mut place = Place::at(port).map_err(|error| error.to_string())?;
    let tell = |place: &mut Place, pairs: &[&str]| {
        pairs.iter().try_for_each(|pair| place.tell(pair)).map_err(|error| error.to_string())
    };
    match words {
        ["serve"] | [] => serve(&place, Role::Villain).map_err(|error| error.to_string()),
        ["neighbour"] => serve(&place, Role::Neighbour).map_err(|error| error.to_string()),
        ["make", what] => make(what, &place).map_err(|error| error.to_string()).and_then(|said| print(&said)),
        ["probe", id, pairs @ ..] => {
            tell(&mut place, pairs)?;
            let probe = PROBES.iter().find(|probe| probe.id == *id).ok_or("there is no such probe")?;
            print(&json(&run_here(probe, &place))?)
        }
        ["run", rest @ ..] => {
            let (harmless, pairs) = match rest {
                ["--harmless", pairs @ ..] => (true, pairs),
                pairs => (false, pairs),
            };
            tell(&mut place, pairs)?;
            let chosen = PROBES.iter().filter(|probe| probe.harmless || !harmless);
            chosen.map(|probe| json(&attempt(probe, &place))).try_for_each(|line| print(&line?))
        }
        _ => Err("usage: kennel-villain serve | neighbour | run [--harmless] [name=value…]".to_owned()),
    }
}

fn json(report: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string(report).map_err(|error| error.to_string())
}

fn print(line: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{line}").map_err(|error| error.to_string())
}
