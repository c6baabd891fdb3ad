//! Builds the TypeScript client with npm, so that one cargo command makes the whole product.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::{fs, time};

/// The oldest Node.js version, major and minor, that the build tools support.
const NODE: (u32, u32) = (20, 19);

/// The inputs of the build. `node_modules` is not listed: it follows from the lock file.
const SOURCES: [&str; 6] =
    ["build.rs", "client", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"];

/// The page, one of the files that the build writes.
const PAGE: &str = "dist/index.html";

fn main() -> ExitCode {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-changed={PAGE}");
    let built = check_node().and_then(|()| install_packages()).and_then(|()| build_client());
    match built {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!(
                "cargo::error=cannot build the web client, which needs Node.js {}.{} or newer with npm: {why}",
                NODE.0, NODE.1
            );
            ExitCode::FAILURE
        }
    }
}

fn check_node() -> Result<(), String> {
    let output = Command::new("node")
        .arg("--version")
        .output()
        .map_err(|error| format!("cannot run `node`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.trim();
    let mut numbers = text.trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < NODE {
        return Err(format!("`node` is version {text}"));
    }
    Ok(())
}

/// Runs `npm ci` when the packages are missing or belong to another lock file.
fn install_packages() -> Result<(), String> {
    let installed = Path::new("node_modules/.installed-package-lock.json");
    let wanted =
        fs::read("package-lock.json").map_err(|error| format!("package-lock.json: {error}"))?;
    if fs::read(installed).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    npm(&["ci", "--no-progress"])?;
    fs::write(installed, wanted).map_err(|error| format!("{}: {error}", installed.display()))
}

fn build_client() -> Result<(), String> {
    npm(&["run", "build"])?;
    // Cargo runs this script again when the page is missing. It compares the file's time with the start of this build,
    // so the page has to look older than that, or the next build would run the script again.
    fs::File::open(PAGE)
        .and_then(|page| page.set_modified(time::UNIX_EPOCH))
        .map_err(|error| format!("{PAGE}: {error}"))
}

fn npm(arguments: &[&str]) -> Result<(), String> {
    let command = format!("npm {}", arguments.join(" "));
    let output = Command::new("npm")
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run `npm`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    // Cargo reports the whole output; its last line is usually the reason.
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    eprintln!("$ {command}\n{printed}");
    let last =
        printed.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no output");
    Err(format!("`{command}` failed ({}): {last}", output.status))
}
