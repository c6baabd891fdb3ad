//! Clients that mean no good, or are broken: each is refused in clear words, and the others don't notice.
#![expect(clippy::disallowed_methods, reason = "these tests use real sockets and real time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod broken_websockets;
mod foreign_pages;
mod half_open;
mod memory;
mod oversized;
mod program;
mod raw;
mod slow;

#[path = "../stomp_client/mod.rs"]
mod stomp_client;

use stomp_client::Client;

/// Somebody who has a session while others misbehave.
struct Bystander(Client);

impl Bystander {
    async fn connect(server: &madang::Server) -> Bystander {
        let mut client = Client::connect(server).await;
        client.subscribe("mine", "/topic/bystander", &[]).await;
        Bystander(client)
    }

    /// The session is as it was.
    async fn goes_on(&mut self) {
        self.0.send("/topic/bystander", &[], "\"안녕\"").await;
        assert_eq!(self.0.message("mine").await, "안녕");
    }
}
