//! Requests as the proxy saw them: read from the pair of sockets to it, written down for the tenant that each belongs to,
//! told to those who look on, and counted. Which slot is whose is what the proxy was told last; a record that says otherwise,
//! of a tenant that has gone meanwhile, belongs to nobody.

mod live;

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kennel_model::access::{LeftOut, Line, MAX_PACKET_BYTES, Part, Parts, Record, SlotCounts, Visit};
use kennel_model::msg::BadMessage;
use kennel_model::{SlotId, TenantName};
use kennel_sys::{Channel, ChannelError, async_channel};

use crate::control::Control;
use crate::logs::Log;
use crate::metrics::Requests;
use crate::registry::{TenantPhase, TenantRow};
use crate::say;
use live::Live;

/// Packets that are read before what they say is written down.
const PACKETS: usize = 64;
/// Pause after a fault of the sockets, or of the disk.
const PAUSE: Duration = Duration::from_secs(1);

/// What is known of requests.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// Who lives where.
    homes: Mutex<HashMap<SlotId, TenantName>>,
    live: Live,
    /// How many there were.
    pub(crate) requests: Requests,
}

/// What some packets said.
#[derive(Debug, Default)]
struct Batch {
    lines: HashMap<Log, Vec<u8>>,
    told: Vec<live::Shown>,
}

impl Access {
    /// These tenants are there from now on, and no others.
    pub(crate) fn settle(&self, rows: &[TenantRow]) {
        let whole = rows.iter().filter(|row| row.phase == TenantPhase::Ready);
        *self.homes() = whole.map(|row| (row.slot, row.name.clone())).collect();
    }

    fn homes(&self) -> MutexGuard<'_, HashMap<SlotId, TenantName>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a packet apart.
    fn read(&self, packet: &[u8], batch: &mut Batch) -> Result<(), BadMessage> {
        let homes = self.homes();
        for part in Parts::of(packet) {
            match part? {
                Part::Record(record) => {
                    let home = record.tenant.and_then(|(slot, name)| {
                        homes.get_key_value(&slot).filter(|(_, tenant)| tenant.as_str() == name)
                    });
                    batch.add_record(&record, home);
                }
                Part::Slot(counts) => {
                    let home = counts.slot.and_then(|slot| homes.get_key_value(&slot));
                    self.requests.add(home.map(|(_, tenant)| tenant), &counts);
                    batch.add_left_out(&counts, home);
                }
                Part::Host(counts) => self.requests.add_host(&counts),
            }
        }
        Ok(())
    }
}

impl Batch {
    fn add_record(&mut self, record: &Record<'_>, home: Option<(&SlotId, &TenantName)>) {
        let visit = Visit::of(record, home.map(|(_, tenant)| tenant.as_str()));
        self.add(&Line::Visit(Box::new(visit)), home);
    }

    fn add_left_out(&mut self, counts: &SlotCounts, home: Option<(&SlotId, &TenantName)>) {
        if counts.left_out > 0 {
            let tenant = home.map(|(_, tenant)| tenant.as_str().into());
            self.add(&Line::LeftOut(LeftOut { at_ms: now_ms(), tenant, left_out: counts.left_out }), home);
        }
    }

    fn add(&mut self, line: &Line<'_>, home: Option<(&SlotId, &TenantName)>) {
        let lines = self.lines.entry(Log::Access(home.map(|(slot, _)| *slot))).or_default();
        let from = lines.len();
        let written = serde_json::to_writer(&mut *lines, line).map_err(std::io::Error::from);
        match written.and_then(|()| lines.write_all(b"\n")) {
            Ok(()) => {
                let line = Bytes::copy_from_slice(&lines[from..]);
                self.told.push(live::Shown { tenant: home.map(|(_, tenant)| tenant.clone()), line });
            }
            Err(_) => lines.truncate(from),
        }
    }
}

impl Control {
    /// Keeps what comes from the proxy, for ever.
    pub(crate) async fn keep_records(self: Arc<Self>, socket: Channel) {
        let socket = match async_channel::register(socket) {
            Ok(socket) => socket,
            Err(e) => return say!("requests are not recorded: {e}"),
        };
        let mut space = vec![0; MAX_PACKET_BYTES];
        loop {
            let Ok(mut ready) = socket.readable().await else { return };
            let (mut batch, mut bad) = (Batch::default(), None);
            for _ in 0..PACKETS {
                match socket.get_ref().recv_packet(&mut space) {
                    Ok(Some(length)) => bad = self.access.read(&space[..length], &mut batch).err().or(bad),
                    Err(ChannelError::Bad(e)) => bad = Some(e),
                    Err(ChannelError::WouldBlock) => {
                        ready.clear_ready();
                        break;
                    }
                    // Init keeps the other end, so the proxy's end is none; nor is a packet that holds nothing.
                    Ok(None) | Err(_) => {
                        tokio::time::sleep(PAUSE).await;
                        break;
                    }
                }
            }
            self.write_down(batch).await;
            // The proxy sends none; whoever does in its place is not to fill the console.
            if let Some(e) = bad {
                say!("records of requests are not understood: {e}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn write_down(&self, batch: Batch) {
        self.access.live.tell(batch.told);
        if batch.lines.is_empty() {
            return;
        }
        let logs = self.logs.clone();
        let write = move || {
            let failed = |(log, lines): (Log, Vec<u8>)| Some((log, logs.append(log, &lines).err()?));
            batch.lines.into_iter().filter_map(failed).last()
        };
        match tokio::task::spawn_blocking(write).await {
            Ok(None) => {}
            Ok(Some((log, e))) => {
                say!("requests are not written down ({log:?}): {e}");
                tokio::time::sleep(PAUSE).await;
            }
            Err(e) => say!("requests are not written down: {e}"),
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
