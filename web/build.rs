//! Builds the TypeScript client with npm, so that one cargo command makes the whole product.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::{fs, time};

/// The oldest Node.js that the build tools run on.
const NODE: (u32, u32) = (20, 19);

/// What the build reads, besides `node_modules`, which follows from the lock file.
const SOURCES: [&str; 6] =
    ["build.rs", "client", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"];

/// The page, among what the build makes.
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
                "cargo::error=Madang's web client is built with Node.js {}.{} or newer and its npm; {why}",
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
        .map_err(|error| format!("`node` can't be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.trim();
    let mut numbers = text.trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < NODE {
        return Err(format!("the `node` found is {text}"));
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
    // Cargo builds again when this file is missing. It compares times with the moment the build began, so a file
    // that the build writes has to look old, or every build would be followed by another.
    fs::File::open(PAGE)
        .and_then(|page| page.set_modified(time::UNIX_EPOCH))
        .map_err(|error| format!("{PAGE}: {error}"))
}

fn npm(arguments: &[&str]) -> Result<(), String> {
    let command = format!("npm {}", arguments.join(" "));
    let output = Command::new("npm")
        .args(arguments)
        .output()
        .map_err(|error| format!("`npm` can't be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    // All that the tool said goes to cargo's own report; its last words are the reason most of the time.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    eprintln!("$ {command}\n{said}");
    let last = said
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("it said nothing");
    Err(format!("`{command}` failed ({}): {last}", output.status))
}
