//! Somebody who writes as fast as the server stores.

use std::collections::VecDeque;

use madang_wire::{Command, header};

use crate::client::Client;
use crate::ledger::Ledger;

/// Messages on the way at a time.
const WINDOW: usize = 20;

/// Keeps on through all restarts.
pub(crate) struct Sender {
    user: String,
    /// How many different messages it sent. A message is its text and its id: the user and a number.
    sent: u64,
    /// Those without a receipt, the oldest first. At most `WINDOW`.
    unacknowledged: VecDeque<String>,
}

impl Sender {
    pub(crate) fn new(number: usize) -> Sender {
        Sender { user: format!("user-{number}"), sent: 0, unacknowledged: VecDeque::new() }
    }

    /// Sends again what got no receipt, then more and more, until the server is gone.
    pub(crate) async fn write(&mut self, address: &str, ledger: &Ledger) {
        let Some(mut client) = self.join(address).await else { return };
        loop {
            while self.unacknowledged.len() < WINDOW {
                self.sent += 1;
                let message = format!("{}-{}", self.user, self.sent);
                self.unacknowledged.push_back(message.clone());
                if send(&mut client, &message).await.is_none() {
                    return;
                }
            }
            if self.receive(&mut client, ledger).await.is_none() {
                return;
            }
        }
    }

    /// Sends again what got no receipt, and waits for those.
    pub(crate) async fn send_the_rest(&mut self, address: &str, ledger: &Ledger) {
        let mut client = self.join(address).await.expect("the server is there");
        while !self.unacknowledged.is_empty() {
            self.receive(&mut client, ledger).await.expect("the server is there");
        }
    }

    pub(crate) fn unacknowledged(&self) -> usize {
        self.unacknowledged.len()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    async fn join(&self, address: &str) -> Option<Client> {
        let mut client = Client::connect(address, &self.user).await?;
        client.join().await?;
        client.subscribe(&crate::ledger::chat(), &[]).await?;
        for message in &self.unacknowledged {
            send(&mut client, message).await?;
        }
        Some(client)
    }

    async fn receive(&mut self, client: &mut Client, ledger: &Ledger) -> Option<()> {
        let frame = client.next().await?;
        match frame.command {
            Command::Receipt => {
                let message = frame.header(header::RECEIPT_ID).unwrap();
                self.unacknowledged.retain(|unacknowledged| unacknowledged != message);
                ledger.acknowledged(message);
            }
            Command::Message if frame.header(header::SEQ).is_some() => ledger.delivered(&frame),
            _ => panic!("{frame:?}"),
        }
        Some(())
    }
}

async fn send(client: &mut Client, message: &str) -> Option<()> {
    let headers = [(header::RECEIPT, message), (header::MESSAGE_ID, message)];
    client.request("chat", &headers, &format!("{{\"text\":\"{message}\"}}")).await
}
