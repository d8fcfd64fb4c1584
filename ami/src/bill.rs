//! What a dry run prints: calls that would be made, and their price.

use serde::Serialize;

use crate::aws::table::Call;

/// Calls of one kind.
#[derive(Debug, Serialize)]
pub struct Step {
    /// Which.
    pub call: &'static str,
    /// How many, at least: waiting asks as often as it takes.
    pub times: u64,
    /// What for.
    pub why: String,
    /// Their price in dollars.
    pub dollars: f64,
}

/// Calls, in their order.
#[derive(Debug, Default, Serialize)]
pub struct Bill {
    /// The calls.
    pub calls: Vec<Step>,
    /// Their price in dollars.
    pub dollars: f64,
}

impl Bill {
    /// So many more calls.
    pub fn add(&mut self, call: Call, times: u64, why: &str) {
        let row = call.row();
        let dollars = (row.nanodollars * times) as f64 / 1e9;
        self.dollars += dollars;
        self.calls.push(Step { call: row.name, times, why: why.to_owned(), dollars });
    }

    /// As a table for people.
    pub fn lines(&self) -> String {
        let line = |step: &Step| {
            format!("{:>7} x {:<33} ${:<9.6} {}\n", step.times, step.call, step.dollars, step.why)
        };
        self.calls.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_add_up() {
        let mut bill = Bill::default();
        bill.add(Call::PutSnapshotBlock, 1000, "send");
        bill.add(Call::GetSnapshotBlock, 1000, "read");
        assert!((bill.dollars - 0.009).abs() < 1e-9, "{}", bill.dollars);
        assert!(bill.lines().contains("1000 x ebs:PutSnapshotBlock"), "{}", bill.lines());
    }
}
