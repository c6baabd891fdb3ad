//! A whole run of the program, against a real server and without one.

use clap::Parser;
use loadtest::options::Options;
use loadtest::run::run;
use madang::{Server, Settings};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn two_small_rooms_are_well() {
    let data = TempDir::new().unwrap();
    let mut settings = Settings::default();
    settings.http.listen = "127.0.0.1:0".parse().unwrap();
    settings.data_dir = data.path().to_owned();
    settings.media.udp_port = 0;
    settings.media.workers = 1;
    settings.turn.enabled = false;
    let server = Server::start(settings).await.unwrap();

    let arguments = "--rooms 2 --participants 2 --seconds 1 --video-kbps 100 --room 시험";
    let report = run(&options(&server.url(), arguments), |_| {}).await.unwrap();

    assert_eq!(report.problems, Vec::<String>::new());
    for media in [&report.audio, &report.video] {
        assert_eq!((media.streams_received, media.streams_expected), (4, 4));
        assert!(media.received > 0);
    }
    assert_eq!((report.chat.acknowledged, report.chat.received), (4, 8));
    server.shutdown().await;
}

#[tokio::test]
async fn without_a_server_the_address_is_named() {
    // Nothing listens on the discard port.
    let options = options("http://127.0.0.1:9", "--seconds 1");

    let error = format!("{:#}", run(&options, |_| {}).await.unwrap_err());

    assert!(error.contains("127.0.0.1:9") && error.contains("--url"), "{error}");
}

fn options(url: &str, arguments: &str) -> Options {
    let arguments = ["loadtest", "--url", url].into_iter().chain(arguments.split(' '));
    Options::parse_from(arguments)
}
