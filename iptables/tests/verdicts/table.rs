//! The packets that the table of forbidden acts says the filter refuses are refused, from the first slot and from the last.

use kennel_model::SlotId;
use kennel_policy::isolation;

use crate::{Host, out};

#[test]
fn what_the_table_says_is_refused_is_refused() {
    let host = Host::of(1000);
    let table = isolation::table().unwrap();
    let packets = table.rows.iter().flat_map(|row| row.packets.iter().map(move |packet| (&row.id, packet)));
    let mut judged = 0;
    for (id, packet) in packets {
        for slot in [0, 999].map(|index| SlotId::new(index).unwrap()) {
            let sent = out(packet.protocol.word(), &packet.to.to_string(), packet.port, slot.uid());
            assert_eq!(host.verdict("OUTPUT", &sent), "REJECT", "{id}, slot {slot}: {packet}");
            judged += 1;
        }
    }
    assert!(judged > 20, "the table has {judged} packets");
}
