//! Finding chat by its words.

use madang::store::{NewChatMessage, Store, Viewer};

use super::{append, at, guest, ids, line, madang, open, seqs};

pub(super) async fn words_are_found_in_whatever_case(url: &str) {
    // Hangul as macOS writes it: each syllable in its parts.
    let in_parts = "\u{1106}\u{1161}\u{1103}\u{1161}\u{11BC}";
    let store = with(
        url,
        &["오늘 저녁 마당에서 Straße", "GRÜSSE aus Seoul", "내일", &format!("{in_parts}이 좋다")],
    )
    .await;

    for (words, found) in [
        ("마당", vec!["m4", "m1"]),
        (in_parts, vec!["m4", "m1"]),
        ("grüsse", vec!["m2"]),
        ("STRASSE", vec![]),
        ("STRAßE 오늘", vec!["m1"]),
        ("  seoul  aus ", vec!["m2"]),
        ("오늘 내일", vec![]),
        ("ｓｅｏｕｌ", vec!["m2"]),
        ("", vec![]),
        (" \n", vec![]),
        ("\0", vec![]),
    ] {
        assert_eq!(search(&store, words, None).await, found, "{words:?}");
    }
    store.close().await;
}

pub(super) async fn what_stands_for_itself_is_no_pattern(url: &str) {
    let store =
        with(url, &["100% sure", "100 percent", "a_b", "axb", "wow!", "C:\\temp", "it's"]).await;

    for (words, found) in [
        ("%", vec!["m1"]),
        ("_", vec!["m3"]),
        ("a_b", vec!["m3"]),
        ("!", vec!["m5"]),
        ("\\", vec!["m6"]),
        ("c:\\t", vec!["m6"]),
        ("'", vec!["m7"]),
    ] {
        assert_eq!(search(&store, words, None).await, found, "{words:?}");
    }
    store.close().await;
}

pub(super) async fn what_a_reader_may_not_see_is_not_found(url: &str) {
    let store = with(url, &["비밀 하나"]).await;
    let private = NewChatMessage { text: "비밀 둘".into(), to: Some("b".into()), ..line("p") };
    append(&store, &madang(), private).await;
    append(&store, &madang(), NewChatMessage { text: "비밀 셋".into(), ..line("d") }).await;

    let before = search(&store, "비밀", None).await;
    store.delete_chat(&madang(), "d", at(9)).await.unwrap();

    assert_eq!(before, ["d", "m1"]);
    assert_eq!(search(&store, "비밀", None).await, ["m1"]);
    assert_eq!(search(&store, "비밀", Some(&guest("b"))).await, ["p", "m1"]);
    store.close().await;
}

pub(super) async fn results_come_in_pages(url: &str) {
    let store = with(url, &["하나", "하나 둘", "둘", "하나"]).await;

    let first = store.search_chat(&madang(), "하나", None, 2, None).await.unwrap();
    let second = store.search_chat(&madang(), "하나", Some(2), 2, None).await.unwrap();

    assert_eq!(seqs(&first), [4, 2]);
    assert_eq!(seqs(&second), [1]);
    store.close().await;
}

async fn with(url: &str, texts: &[&str]) -> Store {
    let store = open(url).await;
    for (n, text) in (1..).zip(texts) {
        let message = NewChatMessage { text: (*text).to_owned(), ..line(&format!("m{n}")) };
        append(&store, &madang(), message).await;
    }
    store
}

async fn search(store: &Store, words: &str, viewer: Option<&Viewer>) -> Vec<String> {
    let found = store.search_chat(&madang(), words, None, 100, viewer).await.unwrap();
    ids(&found).into_iter().map(str::to_owned).collect()
}
