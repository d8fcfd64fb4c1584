//! `kennel limits`: shows a tenant's limits and changes them.

use kennel_model::routes::{Crawlers, Https, Protocol, TrafficLimits};
use kennel_model::{Limits, api};

use super::{Context, tenant_path};
use crate::args::{After, ByteSize, LimitsOf};
use crate::exit::Failure;
use crate::ui::fields;

pub(super) async fn limits(context: &Context, args: &LimitsOf) -> Result<(), Failure> {
    let mut client = context.client()?;
    let path = tenant_path(&args.name);
    let tenant: api::Tenant = client.get(&path).await?;
    let wish = args.limits.apply(tenant.limits);
    if args.limits.is_about_no_files(&wish) {
        return Err(no_files());
    }
    let tenant =
        if wish == tenant.limits { tenant } else { client.put(&format!("{path}/limits"), &wish).await? };
    Ok(context.ui.result(&tenant.limits, words)?)
}

/// What was typed about files would say nothing.
pub(super) fn no_files() -> Failure {
    Failure::usage(
        "no files of it are answered without it",
        "say which, as in --static public, or --static /assets=public/assets",
    )
}

fn words(limits: &Limits) -> String {
    let after = |seconds| After(seconds).to_string();
    let reclaim = match limits {
        Limits { freeze_after_s: None, .. } => "never, as it is not frozen".to_owned(),
        Limits { memory_reserved_bytes: 1.., .. } => "never, as memory is reserved".to_owned(),
        _ => after(limits.reclaim_after_s),
    };
    let reserved = match (limits.memory_reserved_bytes, limits.cpu_reserved_percent) {
        (0, 0) => "nothing".to_owned(),
        (memory, 0) => ByteSize(memory).to_string(),
        (0, cpu) => format!("{cpu} % of a processor"),
        (memory, cpu) => format!("{}, {cpu} % of a processor", ByteSize(memory)),
    };
    let stop = match limits.always_on {
        true => "never, as it is always on".to_owned(),
        false => after(limits.stop_after_s),
    };
    let crawlers = match limits.crawlers {
        Crawlers::Wake => "wake it",
        Crawlers::Wait => "wait until a visitor has woken it",
    };
    let protocol = match limits.protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::H2c => "HTTP/2 without TLS",
    };
    let https = match (limits.https, limits.hsts_s) {
        (Https::Redirect, 0) => "where there is a certificate, all are sent there".to_owned(),
        (Https::Redirect, s) => format!("all are sent there, and browsers told to stay for {}", After(Some(s))),
        (Https::Optional, 0) => "optional".to_owned(),
        (Https::Optional, s) => format!("optional, and browsers told to stay for {}", After(Some(s))),
    };
    let TrafficLimits { requests_max, requests_per_s, client_requests_per_s, send_bytes_per_s } =
        limits.traffic;
    let rates = [
        Some(format!("{requests_max} at a time")),
        requests_per_s.map(|rate| format!("{rate} a second")),
        client_requests_per_s.map(|rate| format!("{rate} a second of one client")),
    ];
    let files = limits.static_files.map_or_else(
        || "none".to_owned(),
        |files| {
            let age = match files.max_age_s {
                0 => String::new(),
                s => format!(", kept by browsers for {}", After(Some(s))),
            };
            let rest = if files.only { "a 404" } else { "the program's" };
            format!("{} from {}, the rest is {rest}{age}", files.path, files.folder)
        },
    );
    fields(&[
        (
            "memory",
            format!("{}, and {} in swap", ByteSize(limits.memory_max_bytes), ByteSize(limits.swap_max_bytes)),
        ),
        ("reserved", reserved),
        ("processes", limits.pids_max.to_string()),
        ("cpu weight", limits.cpu_weight.to_string()),
        ("disk", format!("{}, {} files", ByteSize(limits.disk_max_bytes), limits.disk_max_inodes)),
        ("freeze after", after(limits.freeze_after_s)),
        ("reclaim after", reclaim),
        ("stop after", stop),
        (
            "starts",
            if limits.always_on { "with the host, and whenever it has ended" } else { "when asked for" }.into(),
        ),
        ("crawlers", crawlers.to_owned()),
        (
            "ready when",
            format!(
                "{}, within {} s",
                limits.health.map_or_else(|| "its port accepts".to_owned(), |path| format!("{path} answers")),
                f64::from(limits.start_timeout_ms) / 1e3
            ),
        ),
        ("ends", format!("within {} s, or is killed", f64::from(limits.stop_grace_ms) / 1e3)),
        ("a release", if limits.trial { "is tried before it takes over" } else { "takes over at once" }.into()),
        ("speaks", protocol.to_owned()),
        ("https", https),
        ("requests", rates.into_iter().flatten().collect::<Vec<_>>().join(", ")),
        (
            "bandwidth",
            send_bytes_per_s
                .map_or_else(|| "no bound".to_owned(), |b| format!("{} a second", ByteSize(b.get()))),
        ),
        ("server timing", if limits.server_timing { "told to whoever asks" } else { "not told" }.into()),
        ("files", files),
    ])
}
