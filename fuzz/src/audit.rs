//! What `kennel-audit` makes of the kernel's log, of which tenants choose parts (names of files and threads). The bytes are
//! records as `/dev/kmsg` gives them, with a NUL between them.

use kennel_audit::line::{self, Line};
use kennel_audit::record;
use kennel_audit::tally::Tally;
use kennel_model::denial::{Batch, MAX_BATCH};
use kennel_model::msg::{self, ToControl};

/// Reads the records and counts what they say.
///
/// # Panics
/// When a batch could not be sent or says more than there was, or counting never ends.
pub fn run(data: &[u8]) {
    let mut tally = Tally::default();
    let mut total = 0_u64;
    for piece in data.split(|b| *b == 0) {
        let Some(text) = record::parse(piece).and_then(|record| record.text) else { continue };
        match line::read(text) {
            Line::Denied(denial) => {
                tally.add(denial);
                total += 1;
            }
            Line::Suppressed(count) => {
                tally.lose(count);
                total = total.saturating_add(count);
            }
            Line::Other => {}
        }
    }
    let mut told = 0_u64;
    let mut batches = 0;
    while !tally.is_empty() {
        told = told.saturating_add(judge(tally.take()));
        batches += 1;
        assert!(batches <= data.len(), "it never ends");
    }
    assert_eq!(told, total, "each is told once");
}

/// How many acts a batch tells of.
fn judge(batch: Batch) -> u64 {
    assert!(batch.counted.len() <= MAX_BATCH);
    assert!(msg::encode(&batch).is_ok(), "it could not be sent: {batch:?}");
    assert_eq!(batch.clone().bounded(), batch, "init would only count it");
    assert!(batch.counted.iter().all(|counted| counted.count > 0));
    let sum = batch.counted.iter().map(|counted| counted.count).fold(batch.lost, u64::saturating_add);
    assert!(msg::encode(&ToControl::Denials(batch)).is_ok());
    sum
}

/// A line of each layer, and what is none.
pub fn seeds() -> Vec<Vec<u8>> {
    let file = "audit: type=1400 audit(1763712000.123:45): avc:  denied  { read open } for  pid=7 comm=\"node\" \
        name=\"secret\" dev=\"vdb\" ino=12 scontext=system_u:system_r:tenant0001_t tcontext=system_u:object_r:\
        tenant0002_data_t tclass=file permissive=0";
    let port = "audit: type=1400 audit(1.1:2): avc:  denied  { name_connect } for  pid=8 comm=6E6F6465 dest=8443 \
        scontext=system_u:jit_r:tenant0001_t tcontext=system_u:object_r:api_port_t tclass=tcp_socket permissive=0";
    let killed = "audit: type=1326 audit(1.1:3): auid=4294967295 uid=100001 gid=100001 ses=1 \
        subj=system_u:system_r:tenant0001_t pid=9 comm=\"x\" exe=\"/app/x\" sig=31 arch=c000003e syscall=165 \
        compat=0 ip=0x1 code=0x80000000";
    let packet = "kennel-refused: IN= OUT=lo SRC=127.0.0.1 DST=169.254.169.254 LEN=60 TOS=0x00 TTL=64 ID=1 DF \
        PROTO=TCP SPT=1 DPT=80 WINDOW=1 SYN URGP=0 UID=100001 GID=100001";
    let held_back = "kauditd_printk_skb: 12 callbacks suppressed";
    let record = |(number, text): (usize, &&str)| format!("5,{number},7334321,-;{text}\n SUBSYSTEM=net\n\0");
    let lines = [file, port, killed, packet, held_back, "eth0: up"];
    let mut seeds: Vec<Vec<u8>> = lines.iter().enumerate().map(|line| record(line).into_bytes()).collect();
    seeds.push(seeds.concat());
    seeds
}
