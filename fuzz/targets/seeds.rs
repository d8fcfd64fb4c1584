//! Writes the bytes that each target begins with into folders, for libFuzzer: `seeds FOLDER` makes `FOLDER/<target>/seed-N`.

use std::path::PathBuf;
use std::process::ExitCode;

use kennel_fuzz::TARGETS;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds FOLDER");
        return ExitCode::from(64);
    };
    match write(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &std::path::Path) -> std::io::Result<()> {
    for target in TARGETS {
        let place = folder.join(target.name);
        std::fs::create_dir_all(&place)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(place.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
