//! What the server wants done, and what it answers.

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

    /// Hands a peer over to the connection that the client has made for it, behind the answers to that.
    fn join(&mut self, id: PeerConnectionId, client: ClientAddr) {
        self.send_answers();
        let binding = self.binding.take_if(|(binding, _)| *binding == client);
        let paces = self.server.paces_of(id);
        if let (Some((_, verdict)), Some(paces), Some(peer)) = (binding, paces, self.peers.take(id))
            && verdict.send(Join { peer, paces, carried: self.carried.clone() }).is_ok()
        {
            self.streams.carries_data(client);
        } else {
            // It ended in this moment.
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
