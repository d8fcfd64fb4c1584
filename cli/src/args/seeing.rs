//! Arguments of the commands that show what tenants do and use: `top`, `usage` and `traffic`.

use clap::ValueEnum;
use kennel_model::TenantName;
use kennel_model::seeing::Month;

/// `kennel top`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel top
  kennel top --sort memory
  kennel top --once | head -20
  kennel --json top

Keys: q ends it; n, c, m, s, w, r, d sort by name, cpu, memory, swap, wakes, requests, denials.
CPU is in milliseconds a second, so 1000 is one processor. Without a terminal, a table is printed
at each look. With --json, one document with the counters since the host started and the rates.")]
pub struct Top {
    /// What to sort by, the largest first
    #[arg(long, value_enum, default_value_t = SortKey::Cpu)]
    pub sort: SortKey,
    /// Print one table and end; it takes a second to see what goes on
    #[arg(long)]
    pub once: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub interval: u32,
}

/// What tenants can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SortKey {
    /// From a to z
    Name,
    /// Processor time
    Cpu,
    /// Memory in RAM
    Memory,
    /// Memory in swap
    Swap,
    /// Wakes and starts since the host started
    Wakes,
    /// Requests a second
    Requests,
    /// Acts that were refused
    Denials,
}

/// `kennel usage`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel usage
  kennel usage blog --month 2026-11
  kennel usage blog --csv > blog.csv

Without a tenant, what each has used in the month; with one, day by day. --csv and --json have
every hour of it, in whole numbers. Hours are kept for two months and days for thirteen, also of
tenants that are gone. What each figure means: docs/accounting.md.")]
pub struct Usage {
    /// The tenant
    pub name: Option<TenantName>,
    /// The month, in UTC, as 2026-11 [default: this one]
    #[arg(long, value_name = "MONTH")]
    pub month: Option<Month>,
    /// Print comma-separated values
    #[arg(long)]
    pub csv: bool,
}

/// `kennel traffic`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel traffic
  kennel traffic blog -n 50
  kennel --json traffic blog | jq 'select(.status >= 500)'

A line for each request when its answer has ended: its status, how long it took, how long of that it
waited for the program to be woken, and the bytes of the answer. With --json, one document a line.")]
pub struct Traffic {
    /// The tenant
    pub name: Option<TenantName>,
    /// Requests to begin with; the host remembers 200 of all tenants together
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub lines: u32,
    /// Show those and end
    #[arg(long)]
    pub once: bool,
}
