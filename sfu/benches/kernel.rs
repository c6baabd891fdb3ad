//! The cost of the packet path: instructions and time per packet, without sockets.
//!
//! Instructions are counted by valgrind (callgrind), because few virtual machines have hardware counters, and because
//! its counts do not depend on the load of the machine. valgrind supports AES-NI and AVX2, but neither AVX-512 nor
//! VAES, and tells programs so: the library then uses its AVX code. On processors with more, real packets take fewer
//! instructions than printed; the column of nanoseconds is measured without valgrind.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use madang_sfu::bench::{Feedback, Forwarding, Opening, Parsing, Piece, Profile, Repair, Sealing};

/// Selects one of the pieces in the process that runs under valgrind.
const PIECE: &str = "KERNEL_BENCH_PIECE";
const COUNTED_ROUNDS: usize = 20;

fn main() -> ExitCode {
    if let Some(at) = std::env::var(PIECE).ok().and_then(|at| at.parse::<usize>().ok()) {
        let (_, make) = &pieces()[at];
        let packets = rounds(make().as_mut(), COUNTED_ROUNDS, &mut Duration::default());
        println!("{packets}");
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    println!("{}", machine());
    let has_valgrind = Command::new("valgrind").arg("--version").output().is_ok();
    if !has_valgrind {
        println!(
            "valgrind is not installed: measuring time only. On Debian, install the package valgrind."
        );
    }
    println!("\n{:<52} {:>12} {:>10}", "per packet", "instructions", "ns");
    for (at, (name, make)) in pieces().iter().enumerate() {
        if words.iter().all(|word| name.contains(word.as_str())) {
            let counted = has_valgrind.then(|| count(at)).flatten();
            let counted = counted.map_or("-".to_owned(), |counted| format!("{counted:.0}"));
            println!("{name:<52} {counted:>12} {:>10.0}", time(make().as_mut()));
        }
    }
    ExitCode::SUCCESS
}

type Make = Box<dyn Fn() -> Box<dyn Piece>>;

fn pieces() -> Vec<(String, Make)> {
    let mut pieces: Vec<(String, Make)> = Vec::new();
    let start = Instant::now();
    for profile in Profile::ALL {
        for receivers in [1, 10, 50, 500] {
            for burst in [1, 8] {
                let name = format!("forward to {receivers}, bursts of {burst}, {profile:?}");
                let make = move || {
                    Box::new(Forwarding::new(start, profile, receivers, burst)) as Box<dyn Piece>
                };
                pieces.push((name, Box::new(make)));
            }
        }
    }
    for profile in Profile::ALL {
        let piece = |name: &str, make: Make| (format!("{name}, {profile:?}"), make);
        pieces.push(piece(
            "answer a NACK from the history",
            Box::new(move || Box::new(Repair::new(start, profile))),
        ));
        pieces.push(piece(
            "take a receiver's feedback",
            Box::new(move || Box::new(Feedback::new(start, profile))),
        ));
        pieces.push(piece("seal 1200 bytes", Box::new(move || Box::new(Sealing::new(profile)))));
        pieces.push(piece("open 1200 bytes", Box::new(move || Box::new(Opening::new(profile)))));
    }
    pieces.push(("parse a header".to_owned(), Box::new(|| Box::new(Parsing::new()))));
    pieces
}

/// Runs this many rounds; returns the number of packets, and adds up the time.
fn rounds(piece: &mut dyn Piece, rounds: usize, took: &mut Duration) -> usize {
    let mut packets = 0;
    for _ in 0..rounds {
        piece.prepare();
        let start = Instant::now();
        packets += kernel_round(piece);
        *took += start.elapsed();
    }
    packets
}

/// The function whose instructions valgrind counts, by name.
#[inline(never)]
fn kernel_round(piece: &mut dyn Piece) -> usize {
    std::hint::black_box(piece.run())
}

/// Nanoseconds per packet: the best of several measurements, which is the least disturbed by other processes.
fn time(piece: &mut dyn Piece) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let mut took = Duration::default();
        let (mut packets, mut stretches) = (0, 0);
        while took < Duration::from_millis(5) && stretches < 200 {
            packets += rounds(piece, 5, &mut took);
            stretches += 1;
        }
        best = best.min(took.as_nanos() as f64 / packets.max(1) as f64);
    }
    best
}

/// Instructions per packet, counted by running this program again under valgrind.
fn count(at: usize) -> Option<f64> {
    let file = std::env::temp_dir().join(format!("kernel-bench-{}", std::process::id()));
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*kernel_round*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().ok()?)
        .env(PIECE, at.to_string())
        .output()
        .ok()?;
    let packets: f64 = String::from_utf8_lossy(&run.stdout).trim().parse().ok()?;
    let counted = totals(&file);
    // The file may not exist.
    let _ = std::fs::remove_file(&file);
    Some(counted? / packets)
}

/// The line "totals: 123" in callgrind's output.
fn totals(file: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

/// The hardware and software that the figures depend on.
fn machine() -> String {
    let said = |program: &str, argument: &str| {
        let said = Command::new(program).arg(argument).output().ok();
        said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default()
    };
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{}, {cores} cores; {}; aws-lc-rs {}, aws-lc-sys {}; {}",
        cpu.map_or("unknown processor", |(_, name)| name),
        said("rustc", "--version"),
        version("aws-lc-rs"),
        version("aws-lc-sys"),
        said("valgrind", "--version"),
    )
}

/// The version of a package in the workspace.
fn version(package: &str) -> &'static str {
    const LOCK: &str = include_str!("../../Cargo.lock");
    let entry =
        LOCK.split("[[package]]").find(|entry| entry.contains(&format!("\"{package}\"\nversion")));
    entry.and_then(|entry| entry.split('"').nth(3)).unwrap_or("unknown")
}
