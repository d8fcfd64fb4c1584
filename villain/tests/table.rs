//! The probes against the table of forbidden acts: each row has its probe, each probe its row, and both say the same of
//! what may be tried on a host with tenants.

use kennel_policy::isolation;
use kennel_villain::PROBES;

#[test]
fn probes_and_rows_are_the_same_in_the_same_order() {
    let table = isolation::table().unwrap();
    let rows: Vec<(&str, bool)> = table.rows.iter().map(|row| (row.id.as_str(), row.harmless)).collect();
    let probes: Vec<(&str, bool)> = PROBES.iter().map(|probe| (probe.id, probe.harmless)).collect();
    for pair in rows.iter().zip(&probes) {
        assert_eq!(pair.0, pair.1);
    }
    assert_eq!(rows.len(), probes.len());
}
