//! Arguments of `scale`.

use std::str::FromStr;

use clap::Args;
use kennel_model::process::{RELEASE, WEB};
use kennel_model::{ProcessName, TenantName};

/// `kennel scale`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  kennel scale blog                   what there is, and what runs
  kennel scale blog worker=2 clock=1
  kennel scale blog worker=0

The names are those of the lines in the Procfile of the release that serves. Each runs beside the
tenant's program as with `kennel exec`, whether that is awake or asleep, prints into the tenant's
log, and is begun again when it ends. With another release it is ended (SIGTERM, and SIGKILL after
--stop-grace), and begun in that one. Four may run at a time. `web`, the tenant's program, runs
once; `release` runs once in each release, before that is tried.")]
pub struct ScaleOf {
    /// The tenant
    pub name: TenantName,
    /// Process and how many of it
    #[arg(value_name = "PROCESS=N")]
    pub processes: Vec<Count>,
}

/// `worker=2`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Which.
    pub process: ProcessName,
    /// How often.
    pub count: u16,
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let how = || format!("{text:?} is not PROCESS=N, such as worker=1");
        let (process, count) = text.split_once('=').ok_or_else(how)?;
        let process: ProcessName = process.parse().map_err(|e: kennel_model::InvalidId| e.to_string())?;
        match process.as_str() {
            WEB => Err("web, the tenant's program, runs once".to_owned()),
            RELEASE => Err("release runs once in each release, before that is tried".to_owned()),
            _ => Ok(Self { process, count: count.parse().map_err(|_| how())? }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_a_name_and_a_number() {
        let read = |text: &str| text.parse::<Count>();
        assert_eq!(read("worker=2"), Ok(Count { process: "worker".parse().unwrap(), count: 2 }));
        for (bad, why) in [
            ("worker", "is not PROCESS=N"),
            ("worker=", "is not PROCESS=N"),
            ("worker=-1", "is not PROCESS=N"),
            ("wor ker=1", "process"),
            ("web=2", "runs once"),
            ("release=1", "before that is tried"),
        ] {
            assert!(read(bad).unwrap_err().contains(why), "{bad}: {:?}", read(bad));
        }
    }
}
