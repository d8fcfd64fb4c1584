//! The table of what was seen: printed a row for each act, and written to `out/proof.json`.

use std::fs;

use kennel_model::proof::Layers;
use kennel_policy::isolation::{self, Mode, Row};
use serde_json::{Value, json};

use super::rows::{self, Seen};
use crate::vm::Vm;

/// Prints and writes it.
pub(super) fn publish(vm: &mut Vm) -> Result<(), String> {
    let table = isolation::table().map_err(|e| e.to_string())?;
    let mut columns = Vec::new();
    for layers in Layers::ALL {
        columns.push((layers, column(vm, layers)?));
    }
    println!("\n  {:<28} {:<16} {:<16} {:<16} {:<16}", "act", "both", "UNIX means", "SELinux", "neither");
    let mut documents = Vec::new();
    for row in &table.rows {
        let cells: Vec<Cell<'_>> = columns.iter().map(|(layers, seen)| Cell::of(row, *layers, seen)).collect();
        let words: Vec<String> = cells.iter().map(Cell::word).collect();
        println!("  {:<28} {:<16} {:<16} {:<16} {:<16}", row.id, words[0], words[1], words[2], words[3]);
        documents.push(document(row, &cells));
    }
    let path = vm.places().repository.join("out/proof.json");
    let text = serde_json::to_string_pretty(&json!({ "rows": documents })).map_err(|e| e.to_string())?;
    fs::write(&path, text + "\n").map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn column(vm: &Vm, layers: Layers) -> Result<Vec<Seen>, String> {
    let path = rows::file(vm, layers);
    let text = fs::read(&path).map_err(|_| format!("the rows were not tried with {}", layers.word()))?;
    serde_json::from_slice(&text).map_err(|e| e.to_string())
}

/// One act under one kind of confinement.
struct Cell<'a> {
    layers: Layers,
    seen: Option<&'a Seen>,
    argued: Option<&'a str>,
}

impl<'a> Cell<'a> {
    fn of(row: &'a Row, layers: Layers, column: &'a [Seen]) -> Self {
        let argued = match row.mode(layers) {
            Mode::Argued(why) => Some(why),
            Mode::Expect(_) => None,
        };
        Self { layers, seen: column.iter().find(|seen| seen.id == row.id), argued }
    }

    fn good(&self) -> bool {
        self.seen.is_some_and(|seen| seen.fault.is_empty())
    }

    fn word(&self) -> String {
        let result = self.seen.map_or("not tried", |seen| seen.result.as_str());
        let mark = match (self.good(), self.argued) {
            (true, Some(_)) => "–",
            (true, None) => "✓",
            (false, _) => "✗",
        };
        format!("{mark} {result}")
    }
}

fn document(row: &Row, cells: &[Cell<'_>]) -> Value {
    let mut document = json!({ "id": row.id, "object": row.object, "sentence": row.sentence });
    for cell in cells {
        document[cell.layers.word()] = json!({
            "result": cell.seen.map(|seen| &seen.result),
            "detail": cell.seen.map(|seen| &seen.detail),
            "credit": cell.seen.map(|seen| &seen.credit),
            "as_expected": cell.good(),
            "argued": cell.argued,
        });
    }
    document
}
