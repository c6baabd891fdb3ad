//! The store's stories on SQLite, which needs no server.

#[path = "store/stories/mod.rs"]
mod stories;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[tokio::test]
async fn stories_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let files = AtomicU32::new(0);
    let fresh = async || {
        let file = dir.path().join(format!("마당 {}#%.db", files.fetch_add(1, Relaxed)));
        madang::store::StoreUrl::of_file(&file).expose().to_owned()
    };

    stories::tell_all(fresh).await;
}
