//! The floor of a row: the CPU time that the system alone takes on the server's core to send the same datagrams to as
//! many addresses at the same times, without decrypting, rewriting or encrypting. The difference to a row's figure is
//! the server's own cost.
#![expect(clippy::disallowed_methods, reason = "the measurement has its own clock and sockets")]

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use quinn_udp::{Transmit, UdpSocketState};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::light::sockets::Sockets;

/// The receiver's poll timeout.
const PATIENCE: Duration = Duration::from_millis(20);

/// A repeated transmission: a run of datagrams to each of some receivers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sends {
    pub(super) per_second: u32,
    pub(super) receivers: usize,
    /// The number of datagrams in a run.
    pub(super) segments: usize,
    /// The length of each datagram in bytes.
    pub(super) length: usize,
}

/// CPU time per datagram on the sender's core in microseconds, measured for `time`. The receiver runs on another core.
///
/// # Errors
/// When a core does not exist, or a socket can't be opened.
pub(super) fn measure(sends: &[Sends], time: Duration, sender: u32, receiver: u32) -> Result<f64> {
    let count = sends.iter().map(|sends| sends.receivers).max().unwrap_or(0);
    let (mut sockets, _waker) = Sockets::new(Ipv4Addr::LOCALHOST.into())?;
    sockets.open_for(count.saturating_sub(1))?;
    let targets: Vec<SocketAddr> = (0..count).map(|number| sockets.address_of(number)).collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(&mut sockets, receiver, &is_over));
        let sending = scope.spawn(|| send(sends, time, &targets, sender));
        let measured = sending.join();
        is_over.store(true, Ordering::Relaxed);
        let received = receiving.join();
        received.map_err(|_| anyhow!("the receiving thread panicked"))??;
        measured.map_err(|_| anyhow!("the sending thread panicked"))?
    })
}

fn send(sends: &[Sends], time: Duration, targets: &[SocketAddr], core: u32) -> Result<f64> {
    stay_on(core)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("opening a UDP socket")?;
    let state = UdpSocketState::new((&socket).into())?;
    let longest = sends.iter().map(|sends| sends.segments * sends.length).max().unwrap_or(0);
    let bytes = vec![0; longest];
    let (began, cpu_before) = (Instant::now(), thread_cpu_ns()?);
    let mut rounds = vec![0u32; sends.len()];
    let mut datagrams = 0;
    loop {
        let due = |at: usize| Duration::from_secs(1) * rounds[at] / sends[at].per_second;
        let next = (0..sends.len()).min_by_key(|at| due(*at)).context("nothing to send")?;
        let due = due(next);
        if due >= time {
            break;
        }
        thread::sleep(due.saturating_sub(began.elapsed()));
        rounds[next] += 1;
        let Sends { receivers, segments, length, .. } = sends[next];
        for destination in &targets[..receivers] {
            let transmit = Transmit {
                destination: *destination,
                ecn: None,
                contents: &bytes[..segments * length],
                segment_size: (segments > 1).then_some(length),
                src_ip: None,
            };
            match state.try_send((&socket).into(), &transmit) {
                Ok(()) => datagrams += segments,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("sending"),
            }
        }
    }
    let cpu_ns = thread_cpu_ns()? - cpu_before;
    Ok(cpu_ns as f64 / 1000.0 / datagrams.max(1) as f64)
}

fn receive(sockets: &mut Sockets, core: u32, is_over: &AtomicBool) -> Result<()> {
    stay_on(core)?;
    while !is_over.load(Ordering::Relaxed) {
        for socket in sockets.wait(PATIENCE)? {
            while sockets.receive(socket, |_, _, _| {})? {}
        }
    }
    Ok(())
}

fn stay_on(core: u32) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core as usize);
    sched_setaffinity(None, &cores).with_context(|| format!("moving to core {core}"))
}

/// The CPU time of this thread in nanoseconds: the first number in schedstat (proc(5)).
fn thread_cpu_ns() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split(' ').next().context("/proc/thread-self/schedstat is empty")?;
    first.parse().context("/proc/thread-self/schedstat does not start with a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_floor() {
        let sends = [Sends { per_second: 100, receivers: 40, segments: 4, length: 500 }];
        let us = measure(&sends, Duration::from_millis(100), 0, 0).unwrap();
        assert!(us > 0.0, "{us}");
    }

    #[test]
    fn a_core_that_is_not_there_is_named() {
        let sends = [Sends { per_second: 1, receivers: 1, segments: 1, length: 1 }];
        let error = measure(&sends, Duration::ZERO, 1000, 0).unwrap_err();
        assert!(error.to_string().contains("core 1000"), "{error}");
    }
}
