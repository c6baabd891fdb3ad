//! Carries out the server's commands and sends its answers.

use std::time::Instant;

use super::splice::Join;
use super::{Datagram, Shell};
use crate::{ClientAddr, Command, PeerConnectionId};

impl<F: Fn(Datagram)> Shell<F> {
    pub(super) fn carry_out_commands(&mut self) {
        while let Some(command) = self.server.poll_command() {
            match command {
                Command::Open(relayed) => {
                    let is_open = self.relays.open(relayed);
                    self.server.handle_opened(Instant::now(), relayed, is_open);
                }
                Command::Listen(relayed) => {
                    let is_open = self.peers.listen(relayed);
                    self.server.handle_opened(Instant::now(), relayed, is_open);
                }
                Command::Close(relayed) => {
                    self.relays.close(relayed);
                    self.peers.close(relayed);
                }
                Command::Connect { id, relayed, peer } => self.peers.call(id, relayed, peer),
                Command::Disconnect(id) => self.peers.disconnect(id),
                Command::Join { id, client } => self.join(id, client),
                Command::CloseClient(client) => self.streams.close(client),
            }
        }
        self.send_answers();
    }

    /// Joins a peer's connection with the data connection that the client has opened for it, after the answers on the
    /// latter.
    fn join(&mut self, id: PeerConnectionId, client: ClientAddr) {
        self.send_answers();
        let binding = self.binding.take_if(|(binding, _)| *binding == client);
        let paces = self.server.paces_of(id);
        if let (Some((_, verdict)), Some(paces), Some(peer)) = (binding, paces, self.peers.take(id))
            && verdict.send(Join { peer, paces, carried: self.carried.clone() }).is_ok()
        {
            self.streams.carries_data(client);
        } else {
            // One of the connections has just ended.
            self.streams.close(client);
            self.server.handle_closed(client);
        }
    }

    pub(super) fn send_answers(&mut self) {
        while let Some(answer) = self.server.poll_transmit() {
            self.send(answer.client, &answer.payload);
        }
    }
}
