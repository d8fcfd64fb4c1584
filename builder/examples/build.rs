//! Builds an image without the `kennel` command: `build SPEC GUEST-DIR OUT`. Packages must have been fetched.

use std::path::PathBuf;

use kennel_builder::image::{Build, Cache};
use kennel_builder::steps::PlainLines;
use kennel_builder::{Lock, Spec, Steps, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [spec_path, guests, out] = &arguments[..] else { return Err("usage: build SPEC GUEST-DIR OUT".into()) };
    let spec = Spec::load(spec_path)?;
    let lock = Lock::load_for(&spec, spec_path)?;
    let build = Build { spec: &spec, lock: &lock, store: &Store::open()?, cache: &Cache::open()?, guests, out };
    let built = build.run(&Steps::new(PlainLines::new(std::io::stdout())))?;
    println!("{}", built.image.display());
    Ok(())
}
