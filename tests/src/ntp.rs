//! A server of NTP for tests, on a port of this computer's loopback: honest, or of no use. What a
//! client needs of RFC 5905 and no more.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds from NTP's beginning, 1900, to 1970.
const ERA: u64 = 2_208_988_800;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// With this computer's time.
    Honest,
    /// That it does not know the time itself.
    Unsynchronised,
    /// Not to the question: with another's origin time, as who cannot see the question would.
    Forged,
    /// Not at all.
    Silent,
}

/// A server. It ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct Ntp {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<AtomicUsize>,
}

impl Ntp {
    /// Starts one.
    ///
    /// # Errors
    /// No port.
    pub(crate) fn start(manner: Manner) -> Result<Self, String> {
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(|e| format!("no server of NTP: {e}"))?;
        let address = socket.local_addr().map_err(|e| e.to_string())?;
        let server = Self { address, manner: Arc::new(Mutex::new(manner)), asked: Arc::default() };
        let served = server.clone();
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                served.asked.fetch_add(1, Ordering::Relaxed);
                let manner = *served.manner.lock().unwrap_or_else(PoisonError::into_inner);
                if let (48.., Some(answer)) = (length, answer(&question, manner)) {
                    // A client that has gone is its own affair.
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(server)
    }

    /// Where the guest of a machine finds it: QEMU's gateway is this computer's loopback.
    pub(crate) fn for_guest(&self) -> String {
        format!("10.0.2.2:{}", self.address.port())
    }

    /// From now on.
    pub(crate) fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Leap indicator, version and mode; stratum, poll, precision; delay, dispersion, reference; four times.
fn answer(question: &[u8], manner: Manner) -> Option<Vec<u8>> {
    let (leap, stratum) = match manner {
        Manner::Silent => return None,
        Manner::Unsynchronised => (3, 0),
        Manner::Honest | Manner::Forged => (0, 1),
    };
    let now = time();
    let mut origin = question[40..48].to_vec();
    if manner == Manner::Forged {
        origin.reverse();
    }
    let head = [leap << 6 | 4 << 3 | 4, stratum, question[2], 0xec];
    Some([&head[..], &[0; 8], b"TEST", &now, &origin, &now, &now].concat())
}

/// Seconds since 1900, and their fraction.
fn time() -> [u8; 8] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
    (((now.as_secs() + ERA) << 32) | fraction).to_be_bytes()
}
