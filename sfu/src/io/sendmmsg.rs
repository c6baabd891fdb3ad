//! Sends many datagrams, and runs of datagrams, in one system call: sendmmsg(2) with UDP_SEGMENT (UDP GSO, udp(7)).
#![expect(
    unsafe_code,
    reason = "neither std nor a crate in use sends messages with different segment sizes in one call"
)]

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::SockAddr;

/// The most messages in one call.
pub(super) const MAX_MESSAGES: usize = 64;

/// A datagram; with `segment`, a run of datagrams that the kernel divides.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) to: SocketAddr,
    /// The address of this host to send from; `None` leaves the choice to the kernel.
    pub(super) source: Option<IpAddr>,
    pub(super) bytes: &'a [u8],
    /// The length in bytes of each datagram except the last.
    pub(super) segment: Option<u16>,
}

/// The tables passed to the kernel. They are reused, so that no call allocates.
pub(super) struct Sender {
    addresses: Vec<SockAddr>,
    iovecs: Vec<libc::iovec>,
    controls: Box<[Control; MAX_MESSAGES]>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: the pointers in `iovecs` and `headers` are written and used within one call of `send`. Between calls nothing
// reads them, so the tables may move to another thread.
unsafe impl Send for Sender {}

/// The buffer for the control messages of one message, a 16-bit number and an address, aligned as the kernel requires.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// The IPv6 address is the larger one.
const CONTROL_BYTES: usize = control_space::<u16>() + control_space::<libc::in6_pktinfo>();

/// The size of a control message with a value of this type.
const fn control_space<T>() -> usize {
    // SAFETY: CMSG_SPACE only computes.
    (unsafe { libc::CMSG_SPACE(size_of::<T>() as u32) }) as usize
}

impl Sender {
    pub(super) fn new() -> Sender {
        Sender {
            addresses: Vec::with_capacity(MAX_MESSAGES),
            iovecs: Vec::with_capacity(MAX_MESSAGES),
            controls: Box::new([Control([0; CONTROL_BYTES]); MAX_MESSAGES]),
            headers: Vec::with_capacity(MAX_MESSAGES),
        }
    }

    /// Sends messages from the front, at most [`MAX_MESSAGES`]; returns how many the kernel accepted, at least one.
    ///
    /// # Errors
    /// The error of the first message, if the kernel refused it.
    pub(super) fn send<'a>(
        &mut self,
        socket: BorrowedFd<'_>,
        messages: impl Iterator<Item = Message<'a>>,
    ) -> io::Result<usize> {
        self.addresses.clear();
        self.iovecs.clear();
        self.headers.clear();
        for (at, message) in messages.take(MAX_MESSAGES).enumerate() {
            self.addresses.push(SockAddr::from(message.to));
            self.iovecs.push(libc::iovec {
                iov_base: message.bytes.as_ptr().cast_mut().cast(),
                iov_len: message.bytes.len(),
            });
            let header = self.header(at, message.segment, message.source);
            self.headers.push(header);
        }
        // SAFETY: the headers point into `addresses`, `iovecs` and `controls`, whose buffers have room for MAX_MESSAGES
        // from the start and so did not move while they were filled. The bytes are borrowed for the lifetime of the
        // messages iterator, which ends after this call. The kernel only reads what the iovecs point to.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as u32,
                0,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Sends the first datagram of a run by itself; `false` if it is not a run, or the kernel refused the datagram.
    pub(super) fn sends_first_of(&mut self, socket: BorrowedFd<'_>, run: Message<'_>) -> bool {
        let first = run.segment.and_then(|segment| run.bytes.get(..segment.into()));
        let first = first.map(|bytes| Message { bytes, segment: None, ..run });
        first.is_some_and(|first| self.send(socket, std::iter::once(first)).is_ok())
    }

    fn header(&mut self, at: usize, segment: Option<u16>, source: Option<IpAddr>) -> libc::mmsghdr {
        // SAFETY: all fields of the C structure are numbers and pointers, for which zero is valid.
        let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
        let name = &self.addresses[at];
        header.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = name.len();
        header.msg_hdr.msg_iov = &mut self.iovecs[at];
        header.msg_hdr.msg_iovlen = 1;
        let control = &mut self.controls[at];
        let mut used = 0;
        if let Some(segment) = segment {
            used = control.put(used, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        }
        // Interface 0 leaves the route to the kernel. An IPv6 socket accepts the IPv4 form together with mapped
        // addresses.
        match source {
            None => {}
            Some(IpAddr::V4(ip)) => {
                let ipi_spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                let ipi_addr = libc::in_addr { s_addr: 0 };
                let from = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr };
                used = control.put(used, libc::IPPROTO_IP, libc::IP_PKTINFO, from);
            }
            Some(IpAddr::V6(ip)) => {
                let ipi6_addr = libc::in6_addr { s6_addr: ip.octets() };
                let from = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
                used = control.put(used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, from);
            }
        }
        if used > 0 {
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = used as _;
        }
        header
    }
}

impl Control {
    /// Writes a control message behind the first `used` bytes; returns the number of bytes used afterwards.
    fn put<T: Copy>(&mut self, used: usize, level: i32, kind: i32, value: T) -> usize {
        let end = used + control_space::<T>();
        let room = &mut self.0[used..end];
        // SAFETY: the room is what CMSG_SPACE requires for a header and this value. It is aligned for a header, since
        // the buffer is and CMSG_SPACE is a multiple of that alignment. The value is written unaligned.
        unsafe {
            let header = room.as_mut_ptr().cast::<libc::cmsghdr>();
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<T>() as u32) as _;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        }
        end
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "real sockets are what is tested here")]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    fn socket(address: &str) -> UdpSocket {
        UdpSocket::bind((address, 0)).unwrap()
    }

    fn receive(socket: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
        let mut buffer = [0; 2000];
        let datagram = |_| {
            let length = socket.recv(&mut buffer).unwrap();
            buffer[..length].to_vec()
        };
        (0..count).map(datagram).collect()
    }

    #[test]
    fn runs_and_single_datagrams_are_sent_in_order() {
        for address in ["127.0.0.1", "::1"] {
            let (from, a, b) = (socket(address), socket(address), socket(address));
            let bytes: Vec<u8> = (0..250).collect();
            let message = |to: &UdpSocket, range: std::ops::Range<usize>, segment| Message {
                to: to.local_addr().unwrap(),
                source: None,
                bytes: &bytes[range],
                segment,
            };
            let messages =
                [message(&a, 0..250, Some(100)), message(&b, 0..10, None), message(&a, 5..6, None)];

            let sent = Sender::new().send(from.as_fd(), messages.into_iter()).unwrap();

            assert_eq!(sent, 3);
            let at_a: Vec<usize> = receive(&a, 4).iter().map(Vec::len).collect();
            assert_eq!(at_a, [100, 100, 50, 1]);
            assert_eq!(receive(&b, 1)[0], &bytes[..10]);
        }
    }

    #[test]
    fn runs_and_single_datagrams_leave_from_the_source_they_name() {
        for (address, to) in [("0.0.0.0", "127.0.0.1"), ("::", "::ffff:127.0.0.1")] {
            let (from, a) = (socket(address), socket("127.0.0.1"));
            let to = SocketAddr::new(to.parse().unwrap(), a.local_addr().unwrap().port());
            let message = |source: Option<[u8; 4]>, segment| {
                let source = source.map(IpAddr::from);
                Message { to, source, bytes: b"abcd", segment }
            };
            let messages = [
                message(Some([127, 0, 0, 2]), Some(3)),
                message(Some([127, 0, 0, 3]), None),
                message(None, Some(3)),
            ];

            Sender::new().send(from.as_fd(), messages.into_iter()).unwrap();

            let sources = [(); 5].map(|()| a.recv_from(&mut [0; 9]).unwrap().1.ip().to_string());
            let [second, third, first] = ["127.0.0.2", "127.0.0.3", "127.0.0.1"];
            assert_eq!(sources, [second, second, third, first, first], "{address}");
        }
    }

    #[test]
    fn messages_before_a_refused_one_are_sent() {
        let (from, a) = (socket("127.0.0.1"), socket("127.0.0.1"));
        let to = a.local_addr().unwrap();
        let too_long = vec![0; 70_000];
        let messages = [
            Message { to, source: None, bytes: b"one", segment: None },
            Message { to, source: None, bytes: &too_long, segment: None },
            Message { to, source: None, bytes: b"two", segment: None },
        ];
        let mut sender = Sender::new();
        assert_eq!(sender.send(from.as_fd(), messages.into_iter()).unwrap(), 1);
        let refused = sender.send(from.as_fd(), messages.into_iter().skip(1)).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EMSGSIZE));
    }

    #[test]
    fn one_call_sends_at_most_a_full_table() {
        let (from, a) = (socket("127.0.0.1"), socket("127.0.0.1"));
        let to = a.local_addr().unwrap();
        let message = Message { to, source: None, bytes: b"x", segment: None };
        let sent = Sender::new().send(from.as_fd(), std::iter::repeat_n(message, 100)).unwrap();
        assert_eq!(sent, MAX_MESSAGES);
    }
}
