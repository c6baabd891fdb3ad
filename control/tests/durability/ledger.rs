//! What must be there, and what is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use madang_wire::{ChatMessage, Frame, header};
use tokio::sync::watch;

use crate::client::{Client, ROOM};

/// The destination of the chat.
pub(crate) fn chat() -> String {
    format!("/topic/rooms/{ROOM}/chat")
}

#[derive(Default)]
pub(crate) struct Ledger {
    entries: Mutex<Entries>,
    receipts: watch::Sender<u64>,
}

#[derive(Default)]
struct Entries {
    /// Whose receipt was seen, and that were not checked yet.
    acknowledged: HashSet<String>,
    /// What was delivered, by number, and not checked yet.
    delivered: BTreeMap<u64, String>,
    /// What was read after a restart: the number of each message.
    stored: HashMap<String, u64>,
    /// How many of the stored had no receipt when the server died.
    unacknowledged: u64,
}

impl Ledger {
    pub(crate) fn acknowledged(&self, message: &str) {
        self.lock().acknowledged.insert(message.to_owned());
        self.receipts.send_modify(|receipts| *receipts += 1);
    }

    pub(crate) fn delivered(&self, frame: &Frame) {
        let ChatMessage { seq, text, .. } = serde_json::from_slice(&frame.body).unwrap();
        if let Some(other) = self.lock().delivered.insert(seq, text.clone()) {
            assert_eq!(other, text, "everybody gets the same under number {seq}");
        }
    }

    /// Waits until there were so many more receipts.
    pub(crate) async fn more_receipts(&self, count: u64) {
        let mut receipts = self.receipts.subscribe();
        let enough = *receipts.borrow_and_update() + count;
        receipts.wait_for(|receipts| *receipts >= enough).await.unwrap();
    }

    /// Reads what is there beyond the last check, and compares.
    pub(crate) async fn check(&self, address: &str) {
        let checked = self.stored();
        let mut client = Client::connect(address, "auditor").await.expect("the server is there");
        let joined = client.join().await.expect("the server is there");
        let last = joined["chat_seq"].as_u64().unwrap();
        client.subscribe(&chat(), &[(header::SINCE, &checked.to_string())]).await.unwrap();
        for seq in checked + 1..=last {
            let frame = client.next().await.expect("the server is there");
            let message: ChatMessage = serde_json::from_slice(&frame.body).unwrap();
            assert_eq!(message.seq, seq, "the numbers have no gap");
            self.lock().found(message);
        }
        self.lock().settle();
    }

    pub(crate) fn stored(&self) -> u64 {
        self.lock().stored.len() as u64
    }

    pub(crate) fn summary(&self) -> String {
        let entries = self.lock();
        let (stored, unacknowledged) = (entries.stored.len(), entries.unacknowledged);
        let receipts = *self.receipts.borrow();
        format!(
            "{receipts} receipts, {stored} messages checked, {unacknowledged} of them without receipt at a kill"
        )
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap()
    }
}

impl Entries {
    fn found(&mut self, message: ChatMessage) {
        let ChatMessage { seq, text, .. } = message;
        if let Some(delivered) = self.delivered.remove(&seq) {
            assert_eq!(delivered, text, "number {seq} is what it was when it was delivered");
        }
        if !self.acknowledged.remove(&text) {
            self.unacknowledged += 1;
        }
        if let Some(first) = self.stored.insert(text.clone(), seq) {
            panic!("{text} is there twice: as {first} and as {seq}");
        }
    }

    /// Whatever must be there has been found.
    fn settle(&mut self) {
        // A message that was sent again is acknowledged once more.
        self.acknowledged.retain(|message| !self.stored.contains_key(message));
        assert!(self.acknowledged.is_empty(), "acknowledged and gone: {:?}", self.acknowledged);
        assert!(self.delivered.is_empty(), "delivered and gone: {:?}", self.delivered);
    }
}
