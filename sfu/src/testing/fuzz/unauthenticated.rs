//! Fuzzing what anybody may send who knows the address, or may send an offer.

use std::sync::OnceLock;
use std::time::Duration;

use crate::test_now;
use crate::testing::rig;
use crate::transport::dtls::{DtlsEvent, Fingerprint, Identity, Transport};
use crate::transport::path::Path;
use crate::{Codec, MediaKind, OfferError, PeerId, Receivers, RoomId};

/// Datagrams, each behind its length in 16 bits, to a worker with a peer that has sent no check yet. Only one with that
/// peer's password, which the random seed makes known, may leave a path behind.
pub fn stun(datagrams: &[u8]) {
    let now = test_now();
    let mut worker = rig::worker(now, identity());
    let offer = rig::offer(1, false, &[MediaKind::Audio]);
    let offered = worker.offer(now, RoomId(1), PeerId(1), &offer, &Receivers::default());
    assert!(offered.is_ok());
    let path = Path::Udp(([198, 51, 100, 1], 5000).into(), None);
    for datagram in pieces(datagrams) {
        let was_validated = worker.is_validated(path);
        worker.handle_datagram(now, path, &mut datagram.to_vec());
        while worker.poll_event().is_some() {}
        assert!(was_validated || !worker.is_validated(path) || datagram.len() >= MIN_CHECK);
        assert_eq!(worker.stats().connected_peers, 0);
        assert_eq!(worker.stats().peers, 1);
    }
    worker.handle_timeout(now + Duration::from_secs(1));
}

/// Bytes of a Binding request's header, USERNAME and MESSAGE-INTEGRITY.
const MIN_CHECK: usize = 20 + 8 + 24;

/// DTLS datagrams, each behind its length in 16 bits, to the transport of a new peer. The response is bounded, and the
/// sender is never taken for the peer.
pub fn dtls(datagrams: &[u8]) {
    let now = test_now();
    let mut transport = Transport::new(now, identity(), vec![Fingerprint([7; 32])]);
    let (mut sent, mut received) = (0, 0);
    for (at, datagram) in pieces(datagrams).enumerate() {
        received += datagram.len();
        let now = now + Duration::from_millis(20 * at as u64);
        let event = transport.handle_datagram(now, datagram, |record| sent += record.len());
        match event {
            None => {}
            Some(DtlsEvent::Closed(_)) => break,
            Some(DtlsEvent::Keys(_)) => panic!("keys without the peer's certificate"),
        }
        transport.handle_timeout(now, |record| sent += record.len());
    }
    assert!(sent <= 8 * received + 64 * 1024, "{sent} bytes for {received}");
}

/// An offer and, behind a line with a dot, another one of the same peer. Each is answered or refused; the length of an
/// answer is bounded by the offer's, and it keeps the invariants of answers.
pub fn sdp(offers: &[u8]) {
    let Ok(offers) = std::str::from_utf8(offers) else {
        return;
    };
    let now = test_now();
    let mut worker = rig::worker(now, identity());
    let mut receivers = Receivers::default();
    receivers.add(vec![Codec::Vp8]);
    for offer in offers.splitn(2, "\n.\n") {
        match worker.offer(now, RoomId(1), PeerId(1), offer, &receivers) {
            Ok(answer) => {
                let bound = 16 * 1024 + 64 * offer.len();
                assert!(answer.sdp.len() <= bound, "{} for {}", answer.sdp.len(), offer.len());
                crate::sdp::invariants::check(offer, &answer.sdp);
            }
            Err(OfferError::BadSdp(reason)) => assert!(reason.len() < 1024 + offer.len()),
            Err(OfferError::TooLarge { .. } | OfferError::Overloaded) => {}
        }
    }
    worker.close();
    while worker.poll_event().is_some() {}
    assert_eq!(worker.stats().peers, 0);
}

/// Shared by all runs, because making a certificate takes longer than the rest.
pub(super) fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity::generate().expect("a certificate can be made"))
}

/// Divides bytes into pieces, each behind its length in 16 bits; the last one may be truncated.
pub fn pieces(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        bytes = rest;
        Some(piece)
    })
}
