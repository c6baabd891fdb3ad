//! An engine, and a peer that supports only ICE.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use madang_sfu::io::{Config, Engine, Handle};
use madang_sfu::{PeerId, Receivers, RoomId};
use stun_types::attribute::{Username, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageWrite, MessageWriteExt, MessageWriteVec,
    ShortTermCredentials,
};

const OFFER: &str = include_str!("../../src/sdp/fixtures/chromium_156.sdp");
/// Longer than anything takes; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn config(listen: &str, public_ips: &[&str]) -> Config {
    let public_ips = public_ips.iter().map(|ip| ip.parse().unwrap()).collect();
    Config { public_ips, ..Config::at(listen.parse().unwrap()) }
}

pub(crate) fn start(config: Config) -> (Engine, Handle) {
    let (engine, handle, mut events) = Engine::start(config, Box::new(|_| {})).unwrap();
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    (engine, handle)
}

pub(crate) struct Peer {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) candidates: Vec<Candidate>,
}

pub(crate) struct Candidate {
    pub(crate) transport: String,
    pub(crate) priority: u32,
    pub(crate) address: SocketAddr,
    pub(crate) is_passive: bool,
}

impl Peer {
    pub(crate) async fn join(handle: &Handle) -> Peer {
        Peer::join_as(handle, PeerId(1)).await
    }

    pub(crate) async fn join_as(handle: &Handle, id: PeerId) -> Peer {
        let answer =
            handle.offer(RoomId(1), id, OFFER.to_owned(), Receivers::default()).await.unwrap().sdp;
        let first = |sdp: &str, key: &str| {
            let line = sdp.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.to_owned()
        };
        let remote = first(OFFER, "a=ice-ufrag:");
        let lines = answer.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
        let mut candidates: Vec<Candidate> = Vec::new();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let address = SocketAddr::new(words[4].parse().unwrap(), words[5].parse().unwrap());
            // Each m-line repeats the candidates.
            if candidates
                .iter()
                .all(|known| known.address != address || known.transport != words[2])
            {
                candidates.push(Candidate {
                    transport: words[2].to_owned(),
                    priority: words[3].parse().unwrap(),
                    address,
                    is_passive: line.ends_with("typ host tcptype passive"),
                });
            }
        }
        Peer {
            username: format!("{}:{remote}", first(&answer, "a=ice-ufrag:")),
            password: first(&answer, "a=ice-pwd:"),
            candidates,
        }
    }

    pub(crate) fn check(&self) -> Vec<u8> {
        let mut request = Message::builder_request(BINDING, MessageWriteVec::new());
        request.add_attribute(&Username::new(&self.username).unwrap()).unwrap();
        let credentials = ShortTermCredentials::new(self.password.clone()).into();
        request.add_message_integrity(&credentials, IntegrityAlgorithm::Sha1).unwrap();
        request.add_fingerprint().unwrap();
        request.finish()
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        let mut candidates = self.candidates.iter();
        candidates.find(|candidate| candidate.transport == "tcp").unwrap().address
    }
}

pub(crate) fn mapped_address(response: &[u8]) -> SocketAddr {
    let response = Message::from_bytes(response).unwrap();
    let mapped = response.attribute::<XorMappedAddress>().unwrap();
    mapped.addr(response.transaction_id())
}

pub(crate) fn framed(datagram: &[u8]) -> Vec<u8> {
    let mut frame = (datagram.len() as u16).to_be_bytes().to_vec();
    frame.extend(datagram);
    frame
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut frame).unwrap();
    frame
}

/// Whether the other end closed the connection, normally or with a reset because it had not read everything.
pub(crate) fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 100]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}
