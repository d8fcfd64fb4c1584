//! Arguments of `cron`.

use clap::Subcommand;
use kennel_model::TenantName;

use super::After;

/// `kennel cron`
#[derive(Debug, Subcommand)]
pub enum CronCommand {
    /// Run a command by the clock, beside the tenant's program
    #[command(after_help = "\
Example:
  kennel cron add blog '*/5 * * * *' -- node jobs/clean.js
  kennel cron add blog '0 9 * * 1-5' --zone Europe/Berlin -- node jobs/report.js
  kennel cron add blog @daily --timeout 2h -- node jobs/backup.js

Minute, hour, day of the month, month, day of the week, as in crontab(5); or @hourly, @daily, @weekly, @monthly,
@yearly. The command runs as with `kennel exec`, and prints into the tenant's log. Where its last run is not over, or
nobody was there to begin it, that run is left out, and `kennel cron ls` says so.")]
    Add {
        /// The tenant
        name: TenantName,
        /// When
        schedule: String,
        /// By whose clock: a name of the IANA time zone database
        #[arg(long, value_name = "ZONE", default_value = "UTC")]
        zone: String,
        /// How long it may take
        #[arg(long, value_name = "TIME", default_value = "10m")]
        timeout: After,
        /// Begin it also while its last run is not over
        #[arg(long)]
        overlap: bool,
        /// The command and its arguments
        #[arg(required = true, last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// List a tenant's jobs: when they are due, and what became of them last
    #[command(after_help = "Example:\n  kennel cron ls blog")]
    Ls {
        /// The tenant
        name: TenantName,
    },
    /// Run a job now, whatever the clock says
    #[command(after_help = "Example:\n  kennel cron run blog 2")]
    Run {
        /// The tenant
        name: TenantName,
        /// The job's number, as `ls` shows it
        number: u32,
    },
    /// Remove a job; a run of it goes on
    #[command(after_help = "Example:\n  kennel cron rm blog 2")]
    Rm {
        /// The tenant
        name: TenantName,
        /// The job's number, as `ls` shows it
        number: u32,
    },
}
