//! How long it takes the proxy to read a table of routes, check it and put it in force, in the place of another as large, and
//! what memory that takes: `swap [routes]`. Of each ten, seven are host names, one is a wildcard, one a path, one a redirect.
//! Prints the JSON's bytes, medians of milliseconds, and KiB.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use kennel_model::redirect::Redirect;
use kennel_model::routes::{MAX_TABLE_BYTES, Route, RouteTable};
use kennel_model::slot::MAX_SLOTS;
use kennel_model::{Limits, ReleaseId, SlotId};
use kennel_proxy::routes::Routes;
use kennel_proxy::snapshot;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

const ROUNDS: u64 = 21;

fn main() -> Result<(), Box<dyn Error>> {
    let count: u32 = std::env::args().nth(1).map_or(Ok(10_000), |count| count.parse())?;
    let mut table =
        RouteTable { routes: (0..count).map(route).collect::<Result<_, _>>()?, ..RouteTable::default() };
    let (routes, before) = (Routes::default(), resident_kib()?);
    let (mut read, mut swapped, mut bytes, mut kib) = (Vec::new(), Vec::new(), 0, 0);
    for generation in 1..=ROUNDS {
        table.generation = generation;
        let json = serde_json::to_vec(&table)?;
        bytes = json.len();
        let fd = sealed(&json)?;
        drop(json);
        let began = Instant::now();
        let new: RouteTable = snapshot::read(vec![fd], MAX_TABLE_BYTES)?;
        read.push(began.elapsed());
        routes.replace(new, Duration::from_secs(120))?;
        swapped.push(began.elapsed());
        if generation == 1 {
            kib = resident_kib()?.saturating_sub(before);
        }
    }
    let ms = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1000.0
    };
    let (read, whole) = (ms(&mut read), ms(&mut swapped));
    println!("routes {count} json-bytes {bytes} read-ms {read:.2} swapped-ms {whole:.2} first-table-kib {kib}");
    Ok(())
}

fn route(n: u32) -> Result<Route, Box<dyn Error>> {
    let domain = match n % 10 {
        7 => format!("*.site-{n}.example"),
        8 => format!("site-{}.example/shop-{n}", n - 8),
        9 => format!("www.site-{n}.example"),
        _ => format!("site-{n}.example"),
    };
    let to = || format!("https://site-{n}.example/").parse();
    let redirect = || Ok::<_, Box<dyn Error>>(Redirect { to: to()?, permanent: true, keep_path: true });
    let slot = SlotId::new((n % u32::from(MAX_SLOTS)) as u16)?;
    let release = Some(ReleaseId(1));
    Ok(Route {
        strip: n % 10 == 8,
        redirect: if n % 10 == 9 { Some(redirect()?) } else { None },
        ..Route::to(domain.parse()?, format!("site-{n}").parse()?, slot, release, &Limits::default())
    })
}

fn sealed(json: &[u8]) -> Result<OwnedFd, Box<dyn Error>> {
    let mut file = File::from(memfd_create("routes", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)?);
    file.write_all(json)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file.into())
}

fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
