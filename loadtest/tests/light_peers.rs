//! Light peers against a real server: correctness, not speed.

use clap::Parser;
use loadtest::light::report::{LightReport, Media};
use loadtest::light::run::run;
use loadtest::options::Options;
use madang::{Server, Settings};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_receivers_get_all_of_one_publisher() {
    let report = measure("--publishers 1 --receivers 20 --seconds 2").await;

    assert_eq!(report.joining.joined, 21);
    for media in [report.steady.audio, report.steady.video] {
        assert_whole(&media);
        assert!(media.received > 20 * 20, "{media:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_receive_each_other_in_several_rooms() {
    let report =
        measure("--rooms 2 --publishers 3 --receivers 0 --seconds 1 --pacing chromium").await;

    assert_eq!(report.joining.joined, 6);
    assert_whole(&report.steady.audio);
    assert_whole(&report.steady.video);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_in_a_storm_receives_too() {
    let report = measure("--receivers 2 --join-storm 10 --seconds 1 --pacing train").await;

    assert_eq!(report.joining.joined, 13);
    assert!(report.joining.first_media_ms.p50 > 0.0);
    assert_whole(&report.steady.audio);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_packets_are_asked_for_and_come() {
    let arguments = "--receivers 2 --seconds 3 --receiver-loss 10% --receiver-delay 20ms";
    let report = measure(arguments).await;

    for media in [report.steady.audio, report.steady.video] {
        assert!(media.missed > 0, "{media:?}");
        assert!(media.recovered_percent.is_some_and(|percent| percent > 50.0), "{media:?}");
    }
    assert!(report.generator.retransmissions > 0);
}

fn assert_whole(media: &Media) {
    assert!(media.received > 0, "{media:?}");
    assert_eq!((media.duplicated, media.skipped), (0, 0), "{media:?}");
    assert_eq!(media.lost, 0, "{media:?}");
}

async fn measure(arguments: &str) -> LightReport {
    let data = TempDir::new().expect("a temporary directory");
    let mut settings = Settings::default();
    settings.http.listen = "127.0.0.1:0".parse().expect("an address");
    settings.data_dir = data.path().to_owned();
    settings.media.udp_port = 0;
    settings.media.workers = 1;
    settings.turn.enabled = false;
    let server = Server::start(settings).await.expect("a server");
    let url = server.url();
    let all = ["loadtest", "--url", &url, "--light", "--video-kbps", "300"];
    let options = Options::parse_from(all.into_iter().chain(arguments.split(' ')));

    let report = run(&options, |_| {}).await.expect("a report");

    assert_eq!(report.problems, Vec::<String>::new());
    server.shutdown().await;
    report
}
