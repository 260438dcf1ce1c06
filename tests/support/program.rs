//! The program under test.

use std::env;
use std::path::PathBuf;

use crate::Result;

/// The `standfast` that was built with the stories: it is in the directory above theirs.
///
/// # Errors
/// If it was not built; the message says how to do that.
pub fn standfast() -> Result<PathBuf> {
    let own = env::current_exe()?;
    let build =
        own.parent().and_then(|deps| deps.parent()).ok_or("the stories have no directory")?;
    let program = build.join("standfast");
    if program.is_file() {
        return Ok(program);
    }
    let profile = if build.ends_with("release") { " --release" } else { "" };
    Err(format!(
        "{} is not there; build it first: cargo build -p standfast{profile}",
        program.display()
    )
    .into())
}
