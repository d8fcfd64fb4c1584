//! What the host and its tenants do, as Prometheus reads it. Counters of tenants begin anew with the host and with the
//! tenant; how they come about stands in `docs/accounting.md`.

mod requests;
#[cfg(test)]
mod tests;
mod text;
mod wakes;

use kennel_model::SlotState;
use kennel_model::acme::Acme;
use kennel_model::api::Host;
use kennel_model::certificate::Certificate;
use kennel_model::counters::{Holds, Spent};
use kennel_model::seeing::{Top, TopTenant};

use crate::control::Control;
use crate::error::Result;
pub(crate) use requests::Requests;
use text::{Kind, Page};
pub(crate) use wakes::Wakes;

/// The media type of the format.
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All states with their words.
const STATES: [(SlotState, &str); 6] = [
    (SlotState::Stopped, "stopped"),
    (SlotState::Running, "running"),
    (SlotState::Frozen, "frozen"),
    (SlotState::Reclaimed, "reclaimed"),
    (SlotState::Stopping, "stopping"),
    (SlotState::Failed, "failed"),
];

impl Control {
    /// The page.
    ///
    /// # Errors
    /// Init's or the registry's.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let (top, host) = (self.top().await?, self.host().await?);
        let mut page = page(&top, &host, &self.wakes, &self.access.requests);
        of_certificates(&mut page, &self.certificates().await?, &self.acme().await?);
        Ok(page.finish())
    }
}

fn page(top: &Top, host: &Host, wakes: &Wakes, requests: &Requests) -> Page {
    let mut page = Page::default();
    of_host(&mut page, host);
    wakes.print(&mut page);
    requests.print(&mut page);
    of_states(&mut page, &top.tenants);
    of_holds(&mut page, &top.tenants);
    of_spent(&mut page, &top.tenants);
    page
}

fn of_certificates(page: &mut Page, certificates: &[Certificate], acme: &Acme) {
    let source = |c: &Certificate| if c.acme.is_some() { "acme" } else { "own" };
    page.family(
        "kennel_certificate_expiry_timestamp_seconds",
        Kind::Gauge,
        "When a site's certificate expires, since 1970; source says who has to renew it: the host by ACME, or its operator.",
        certificates.iter().map(|c| ([("certificate", c.name.as_str()), ("source", source(c))], c.not_after_s)),
    );
    page.family(
        "kennel_acme_failures",
        Kind::Gauge,
        "Orders of a domain's certificate that have failed in a row.",
        acme.names.iter().filter(|n| n.next_s.is_some()).map(|n| ([("domain", n.name.as_str())], n.failures)),
    );
}

fn of_host(page: &mut Page, host: &Host) {
    let mut one = |name: &str, kind, help: &str, value: String| {
        page.family(name, kind, help, [(NONE, value)]);
    };
    one("kennel_uptime_seconds", Kind::Gauge, "Time since the kernel started.", seconds(host.uptime_ms, 3));
    for (name, help, value) in [
        ("kennel_memory_total_bytes", "MemTotal of /proc/meminfo.", host.memory_total_bytes),
        ("kennel_memory_available_bytes", "MemAvailable of /proc/meminfo.", host.memory_available_bytes),
        ("kennel_swap_total_bytes", "SwapTotal of /proc/meminfo.", host.swap.total_bytes),
        ("kennel_swap_used_bytes", "SwapTotal less SwapFree.", host.swap.used_bytes),
        ("kennel_swap_disk_total_bytes", "The part of it on a disk.", host.swap.disk_total_bytes),
        ("kennel_swap_disk_used_bytes", "What of that is taken.", host.swap.disk_used_bytes),
        ("kennel_zram_original_bytes", "What zram holds, before compression.", host.swap.zram_original_bytes),
        ("kennel_zram_memory_bytes", "The memory that zram takes for it.", host.swap.zram_memory_bytes),
        ("kennel_data_total_bytes", "Size of the data volume.", host.data_total_bytes),
        ("kennel_data_available_bytes", "What is free on the data volume.", host.data_available_bytes),
        ("kennel_slots", "Slots of the image.", host.slots.into()),
        ("kennel_slots_used", "Slots that have a tenant.", host.slots_used.into()),
    ] {
        one(name, Kind::Gauge, help, value.to_string());
    }
    let pressure = host.memory_pressure;
    page.family(
        "kennel_memory_pressure_ratio",
        Kind::Gauge,
        "Part of the last 10 s in which programs waited for memory: some or all that had work (PSI).",
        [("some", pressure.some_avg10_bp), ("full", pressure.full_avg10_bp)]
            .map(|(who, bp)| ([("waiting", who)], f64::from(bp) / 10_000.0)),
    );
    let reclaimed = host.memory_reclaimed;
    page.family(
        "kennel_memory_reclaimed_bytes_total",
        Kind::Counter,
        "What the kernel took out of RAM: programs' memory, to swap, and pages of files (pgsteal of /proc/vmstat).",
        [("anon", reclaimed.anon_bytes), ("file", reclaimed.file_bytes)].map(|(kind, n)| ([("kind", kind)], n)),
    );
    page.family(
        "kennel_build_info",
        Kind::Gauge,
        "The image that runs.",
        [([("version", host.version.as_str())], 1)],
    );
    let services = || host.services.iter();
    page.family(
        "kennel_service_up",
        Kind::Gauge,
        "Whether a service of the host runs.",
        services().map(|s| ([("service", s.name.as_str())], u8::from(s.pid.is_some()))),
    );
    page.family(
        "kennel_service_restarts_total",
        Kind::Counter,
        "Times a service was started again.",
        services().map(|s| ([("service", s.name.as_str())], s.restarts)),
    );
}

/// A number of what a program holds.
type OfHolds = fn(&Holds) -> u64;
/// A number of what a slot has spent.
type OfSpent = fn(&Spent) -> u64;

/// Of samples that need none.
const NONE: [(&str, &str); 0] = [];

fn of_states(page: &mut Page, tenants: &[TopTenant]) {
    page.family(
        "kennel_tenants",
        Kind::Gauge,
        "Tenants by what their programs do.",
        STATES.map(|(state, word)| ([("state", word)], tenants.iter().filter(|t| t.state == state).count())),
    );
    let word = |state| STATES.iter().find(|(s, _)| *s == state).map_or("", |(_, word)| *word);
    page.family(
        "kennel_tenant_state",
        Kind::Gauge,
        "1 for what a tenant's program does; the other states are left out.",
        tenants.iter().map(|t| ([("tenant", t.tenant.as_str()), ("state", word(t.state))], 1)),
    );
}

fn of_holds(page: &mut Page, tenants: &[TopTenant]) {
    let whole: [(&str, &str, OfHolds); 3] = [
        ("kennel_tenant_memory_resident_bytes", "Memory in RAM: memory.current of the cgroup.", |h| h.resident),
        ("kennel_tenant_memory_swap_bytes", "Memory in swap, before compression: memory.swap.current.", |h| {
            h.swap
        }),
        ("kennel_tenant_processes", "Processes and threads: pids.current.", |h| h.pids.into()),
    ];
    for (name, help, get) in whole {
        let samples = tenants.iter().map(|t| ([("tenant", t.tenant.as_str())], get(&t.holds)));
        page.family(name, Kind::Gauge, help, samples);
    }
    let kinds: [(&str, OfHolds); 4] = [
        ("anon", |h| h.anon),
        ("file", |h| h.file),
        ("kernel", |h| h.kernel),
        ("page_tables", |h| h.page_tables),
    ];
    page.family(
        "kennel_tenant_memory_bytes",
        Kind::Gauge,
        "Parts of the memory in RAM, by memory.stat; page_tables are a part of kernel.",
        tenants.iter().flat_map(|t| {
            kinds.map(|(kind, get)| ([("tenant", t.tenant.as_str()), ("kind", kind)], get(&t.holds)))
        }),
    );
}

fn of_spent(page: &mut Page, tenants: &[TopTenant]) {
    let mut counter = |name: &str, help: &str, get: &dyn Fn(&TopTenant) -> String| {
        let samples = tenants.iter().map(|t| ([("tenant", t.tenant.as_str())], get(t)));
        page.family(name, Kind::Counter, help, samples);
    };
    counter("kennel_tenant_cpu_seconds_total", "Processor time: usage_usec of cpu.stat.", &|t| {
        seconds(t.spent.cpu_us, 6)
    });
    counter("kennel_tenant_queued_seconds_total", "Time that requests waited for a wake.", &|t| {
        seconds(t.spent.traffic.queued_ms, 3)
    });
    let plain: [(&str, &str, OfSpent); 4] = [
        ("kennel_tenant_requests_total", "Requests passed to the program.", |s| s.traffic.requests),
        ("kennel_tenant_received_bytes_total", "Bytes from visitors.", |s| s.traffic.bytes_in),
        ("kennel_tenant_sent_bytes_total", "Bytes to visitors.", |s| s.traffic.bytes_out),
        ("kennel_tenant_oom_kills_total", "Kills for want of memory: oom_kill of memory.events.", |s| {
            s.oom_kills
        }),
    ];
    for (name, help, get) in plain {
        counter(name, help, &|t| get(&t.spent).to_string());
    }
    // Of the program that runs: it begins anew with each start, as counters may.
    counter("kennel_tenant_reclaimed_bytes_total", "Taken to make room: pgsteal of memory.stat.", &|t| {
        t.holds.reclaimed.to_string()
    });
    counter("kennel_tenant_denials_total", "Acts that were refused to the tenant.", &|t| t.denials.to_string());
    let wakes: [(&str, OfSpent); 3] = [
        ("frozen", |s| s.woken_frozen),
        ("reclaimed", |s| s.woken_reclaimed),
        ("stopped", |s| s.woken_stopped),
    ];
    by(page, tenants, "kennel_tenant_wakes_total", "Wakes, by where they found the program.", "from", &wakes);
    let memory: [(&str, OfSpent); 4] = [
        ("running", |s| kennel_model::seeing::byte_s(s.running_kib_ms)),
        ("frozen", |s| kennel_model::seeing::byte_s(s.frozen_kib_ms)),
        ("reclaimed", |s| kennel_model::seeing::byte_s(s.reclaimed_kib_ms)),
        ("swap", |s| kennel_model::seeing::byte_s(s.swap_kib_ms)),
    ];
    let help = "Memory in RAM times seconds, by rung; swap is what was in swap on any.";
    by(page, tenants, "kennel_tenant_memory_byte_seconds_total", help, "rung", &memory);
}

/// A counter with one more label.
fn by(
    page: &mut Page,
    tenants: &[TopTenant],
    name: &str,
    help: &str,
    label: &'static str,
    values: &[(&'static str, OfSpent)],
) {
    let samples = tenants.iter().flat_map(|t| {
        values.iter().map(|(value, get)| ([("tenant", t.tenant.as_str()), (label, *value)], get(&t.spent)))
    });
    page.family(name, Kind::Counter, help, samples);
}

/// A count of 10^-`digits` seconds as seconds, exactly.
fn seconds(count: u64, digits: u32) -> String {
    let unit = 10u64.pow(digits);
    format!("{}.{:0width$}", count / unit, count % unit, width = digits as usize)
}
