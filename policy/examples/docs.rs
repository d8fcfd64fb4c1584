//! Writes the pages that are made of the policy: docs/isolation.md and docs/access.md.

use std::error::Error;
use std::fs;
use std::path::Path;

use kennel_policy::{docs, isolation, proof, render, report};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"));
    let page = folder.join("isolation.md");
    let old = if page.exists() { fs::read_to_string(&page)? } else { String::new() };
    fs::write(&page, docs::isolation_page(&isolation::table()?, &proof::intermediaries()?, &old))?;
    fs::write(folder.join("access.md"), docs::access_page(&report(&render(1, &[])?)?))?;
    Ok(())
}
