//! `nitrotpm completions` and `nitrotpm man`.

use std::path::Path;

use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::{Exit, Failure};
use crate::input::Shown;
use crate::text::print;

pub(super) fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "nitrotpm", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

pub(super) fn man(dir: &Path) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| {
        Failure::environment("file.write", format!("cannot write manual pages into {}: {error}", Shown(dir)))
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(failed)?;
    Ok(Exit::Done)
}
