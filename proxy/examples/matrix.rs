//! Sends the smuggling matrix (`tests/matrix`) to proxies that have one program behind them, which this is, and prints what
//! each did as a table for docs/proxy-matrix.md. `matrix <address of the program> <name=address of a proxy>…`

#[path = "../tests/matrix/mod.rs"]
#[allow(unreachable_pub, missing_docs, dead_code, clippy::expect_used)]
mod matrix;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use matrix::{Program, Row, Seen, rows};
use tokio::net::TcpListener;

/// Who has not closed by then does not.
const PATIENCE: Duration = Duration::from_millis(1500);

struct Proxy {
    name: String,
    address: SocketAddr,
    /// Rows that it violates.
    wrong: usize,
    /// Of them, those where something reached the program.
    reached: usize,
    /// Good rows that it passes.
    good: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let listener = TcpListener::bind(args.next().ok_or("usage: matrix <program> <name=proxy>…")?).await?;
    let mut proxies = Vec::new();
    for arg in args {
        let (name, address) = arg.split_once('=').ok_or("name=address")?;
        proxies.push(Proxy { name: name.into(), address: address.parse()?, wrong: 0, reached: 0, good: 0 });
    }
    let program = Program::default();
    tokio::spawn(program.clone().serve(listener));
    let rows = rows();
    let names: Vec<String> = proxies.iter().map(|proxy: &Proxy| proxy.name.clone()).collect();
    let mut group = "";
    let mut table = String::new();
    let mut odd = Vec::new();
    for row in &rows {
        if row.group != group {
            group = &row.group;
            let rule = "|---".repeat(3 + names.len());
            table += &format!("\n## {group}\n\n| request | RFC | may | {} |\n{rule}|\n", names.join(" | "));
        }
        table += &format!("| {} | {} | {} ", row.name, row.rfc, row.permits.join(", "));
        for proxy in &mut proxies {
            let seen = row.run(proxy.address, &program, PATIENCE).await?;
            let cell = proxy.count(row, &seen);
            table += &format!("| {cell} ");
            if cell.starts_with("**") {
                odd.push(format!("- {}, *{}, {}*: {}{}", proxy.name, row.group, row.name, cell, said(&seen)));
            }
        }
        table += "|\n";
    }
    println!("| of {} rows | {} |\n|---{}|", rows.len(), names.join(" | "), "|---".repeat(names.len()));
    let cells =
        |of: fn(&Proxy) -> usize| proxies.iter().map(|p| of(p).to_string()).collect::<Vec<_>>().join(" | ");
    println!("| not as permitted | {} |", cells(|proxy| proxy.wrong));
    println!("| of these, something reached the program that may not | {} |", cells(|proxy| proxy.reached));
    println!("| the request reached the program as it may | {} |", cells(|proxy| proxy.good));
    println!("\n## What was not as permitted\n\n{}\n{table}", odd.join("\n"));
    Ok(())
}

impl Proxy {
    /// What stands in the table.
    fn count(&mut self, row: &Row, seen: &Seen) -> String {
        let statuses: Vec<String> = seen.statuses.iter().map(u16::to_string).collect();
        let open = if seen.closed { "" } else { " open" };
        let text = format!("{} {}{open}", seen.reached, statuses.join(" "));
        let text = text.trim();
        let good = row.permits(seen);
        self.wrong += usize::from(!good);
        self.reached += usize::from(!good && seen.reached != "-");
        self.good += usize::from(good && seen.reached.contains('X'));
        if good { text.to_owned() } else { format!("**{text}**") }
    }
}

fn said(seen: &Seen) -> String {
    let odd: String = seen.odd.chars().take(160).collect();
    if odd.is_empty() { odd } else { format!(" (`{}`)", odd.replace(['`', '|'], "'")) }
}
