use super::*;

#[test]
fn without_sources_the_defaults_hold() {
    let settings = Settings::load(Sources::default()).unwrap();

    assert_eq!(settings, Settings::default());
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.limits.frame_bytes, 2 * 1024 * 1024);
    assert_eq!(settings.resume_grace, Duration::from_secs(20));
    assert_eq!(settings.store_url().expose(), "sqlite://./madang-data/madang.db");
}

#[test]
fn the_documents_are_made_from_the_keys() {
    for (name, format, expected) in
        [("madang.example.toml", "toml", example()), ("configuration.md", "markdown", document())]
    {
        let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
        let found = std::fs::read_to_string(path).unwrap();

        assert_eq!(
            found, expected,
            "docs/{name} is stale; run `cargo run -- keys --format {format} > docs/{name}`"
        );
    }
}

#[test]
fn the_example_gives_the_defaults() {
    let text: String = example()
        .lines()
        .filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')))
        .filter(|line| !line.ends_with('…'))
        .map(|line| format!("{line}\n"))
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("madang.toml");
    std::fs::write(&file, &text).unwrap();

    let settings = Settings::load(Sources { file: Some(file), ..Sources::default() }).unwrap();

    assert!(text.contains("listen = "), "{text}");
    assert_eq!(settings, Settings::default());
}

#[test]
fn values_with_passwords_are_secret_by_their_type() {
    let secret = |name: &str| keys::find(name).unwrap().is_secret;

    for name in [
        "auth.secret",
        "auth.api_keys",
        "broker.relay",
        "store.url",
        "turn.users",
        "webhooks.secret",
    ] {
        assert!(secret(name), "{name}");
    }
    for name in ["auth.required", "http.listen", "turn.allow_peers", "webhooks.urls"] {
        assert!(!secret(name), "{name}");
    }
}

#[test]
fn each_source_overrides_those_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("madang.toml");
    let text = "resume_grace = 1\n[media]\nudp_port = 1\nworkers = 1\n[turn]\nrealm = \"마당\"\n";
    std::fs::write(&file, text).unwrap();

    let settings = Settings::load(Sources {
        file: Some(file),
        environment: environment(&[
            ("MADANG_MEDIA__UDP_PORT", "2"),
            ("MADANG_MEDIA__WORKERS", "2"),
        ]),
        flags: flags(&[("media.workers", "3")]),
    });

    let settings = settings.unwrap();
    assert_eq!(settings.resume_grace, Duration::from_secs(1));
    assert_eq!(settings.turn.realm, "마당");
    assert_eq!(settings.media.udp_port, 2);
    assert_eq!(settings.media.workers, 3);
}

#[test]
fn urls_show_without_their_credentials() {
    let settings = with_flags(&[
        ("webhooks.urls", "https://usr:pwd@x.example/h?token=tkn,https://y.example/h"),
        ("auth.jwks", "https://id.example/keys?key=tkn"),
        ("store.url", "postgres://usr:pwd@db.example/madang?sslpassword=tkn"),
        ("broker.relay", "stomp://usr:pwd@broker.example:61613"),
    ]);
    let settings = settings.unwrap();
    let mistakes = with_flags(&[
        ("webhooks.urls", "ftp://usr:pwd@x.example/h?token=tkn"),
        ("auth.jwks", "https://usr:pwd@id.example/keys?key=tkn"),
    ]);
    let mistakes = mistakes.unwrap_err().to_string();

    assert!(settings.to_toml().contains("https://***@x.example/h?token=***"));
    for place in ["y.example/h", "id.example/keys", "db.example/madang", "broker.example:61613"] {
        assert!(settings.to_toml().contains(place), "{place}: {}", settings.to_toml());
    }
    for text in [settings.to_toml(), mistakes] {
        assert!(!text.contains("pwd") && !text.contains("tkn"), "{text}");
    }
    assert!(!format!("{:?}", settings.webhooks).contains("pwd"));
}

#[test]
fn turn_users_show_without_their_passwords() {
    let settings = with_flags(&[("turn.users", "alice:s3cret,하늘:with:colons")]).unwrap();
    let mistakes = with_flags(&[("turn.users", "n0colon")]).unwrap_err().to_string();

    assert_eq!(settings.turn.users[1].password.expose(), "with:colons");
    assert!(settings.to_toml().contains("\"하늘:(hidden)\""), "{}", settings.to_toml());
    for text in [settings.to_toml(), format!("{settings:?}")] {
        assert!(!text.contains("s3cret") && !text.contains("with:colons"), "{text}");
    }
    assert!(!mistakes.contains("n0colon"), "{mistakes}");
}

#[test]
fn every_kind_of_value_can_come_as_text() {
    let settings = with_flags(&[
        ("http.listen", "localhost:0"),
        ("http.allowed_origins", "https://a.example, https://b.example:8443,*"),
        ("data_dir", "/tmp/마당 자료"),
        ("media.public_ip", "203.0.113.7, 2001:db8::7"),
        ("media.tcp_port", "0"),
        ("turn.enabled", "no"),
        ("turn.listen", "[::1]:3479"),
        ("turn.relay_ports", "50000 - 50100"),
        ("limits.frame_bytes", "1_000_000"),
        ("resume_grace", "1500ms"),
        ("app_prefixes", "/app"),
    ])
    .unwrap();

    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:0");
    assert_eq!(settings.http.allowed_origins, ["https://a.example", "https://b.example:8443", "*"]);
    assert_eq!(settings.data_dir, PathBuf::from("/tmp/마당 자료"));
    let public_ips: [IpAddr; 2] = ["203.0.113.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    assert_eq!(settings.media.public_ip, public_ips);
    assert_eq!(settings.media.tcp_port, Some(0));
    assert!(!settings.turn.enabled);
    assert_eq!(settings.turn.listen, "[::1]:3479".parse().ok());
    assert_eq!(settings.turn.relay_ports, 50000..=50100);
    assert_eq!(settings.limits.frame_bytes, 1_000_000);
    assert_eq!(settings.resume_grace, Duration::from_millis(1500));
    assert_eq!(settings.app_prefixes, ["/app"]);
}

#[test]
fn all_mistakes_are_reported_at_once_and_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("madang.toml");
    std::fs::write(&file, "[http]\nlisten_on = 5\n[media]\nudp_port = 70000\n").unwrap();

    let mistakes = Settings::load(Sources {
        file: Some(file),
        environment: environment(&[
            ("MADANG_TURN__REALMS", "a"),
            ("MADANG_TURN__ENABLED", "maybe"),
        ]),
        flags: flags(&[("limits.rooms", "-1"), ("zzz", "1"), ("media.workers", "0")]),
    })
    .unwrap_err()
    .to_string();

    for expected in [
        "the configuration has 7 mistakes:",
        "there is no key `http.listen_on` (",
        "madang.toml); did you mean `http.listen`?",
        "madang.toml) must be a whole number from 0 to 65535, not `70000`",
        "there is no key MADANG_TURN__REALMS (environment); did you mean MADANG_TURN__REALM?",
        "MADANG_TURN__ENABLED (environment) must be true or false, not `maybe`",
        "`limits.rooms` (flag) must be a whole number",
        "there is no key `zzz` (flag); `madang --help` lists all keys",
        "`media.workers` must be from 1 to 256, not 0",
    ] {
        assert!(mistakes.contains(expected), "{expected:?} is missing in\n{mistakes}");
    }
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("broken.toml");
    std::fs::write(&broken, "[http\nlisten = 1\n").unwrap();

    let of = |path: PathBuf| {
        let sources = Sources { file: Some(path), ..Sources::default() };
        Settings::load(sources).unwrap_err().to_string()
    };

    assert!(of(broken).contains("line 1"), "where in the file");
    assert!(of(dir.path().join("absent.toml")).contains("absent.toml"));
}

#[test]
fn what_cannot_work_together_is_refused() {
    for (flags, expected) in [
        (&[("http.listen", "0.0.0.0:80")][..], "--insecure"),
        (&[("http.listen", "192.168.1.9:80")], "MADANG_INSECURE=true"),
        (&[("stomp.tcp_listen", "0.0.0.0:61613")], "--set auth.required=true"),
        (&[("auth.secret", "secret")], "`auth.secret` is known from public examples"),
        (
            &[("auth.secret", "kQ3v0m9Xc1hZb7Yt")],
            "`auth.secret` has 16 bytes but needs at least 32",
        ),
        (&[("auth.api_keys", "devkey")], "`auth.api_keys` is known from public examples"),
        (&[("auth.jwks", "http://id.example/keys"), ("insecure", "true")], "without TLS"),
        (&[("auth.jwks", "ftp://id.example/keys")], "must be a path, or an https:// URL"),
        (&[("media.udp_port", "65535"), ("media.workers", "2")], "leaves no ports"),
        (&[("http.public_port", "0")], "`http.public_port` must be 1 to 65535"),
        (&[("turn.tls_listen", "127.0.0.1:5349")], "needs `http.tls.cert` and `http.tls.key`"),
        (&[("turn.tls_listen", "5349")], "127.0.0.1:8080"),
        (&[("turn.tls_host", "https://meet.example")], "must be a host's name"),
        (&[("turn.tls_host", "meet.example:443")], "must be a host's name"),
        (&[("media.tcp_port", "65535"), ("media.workers", "2")], "`media.tcp_port` = 65535 leaves"),
        (&[("media.public_ip", "203.0.113.7,::")], "can't reach"),
        (
            &[(
                "media.public_ip",
                "1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5,1.1.1.6,1.1.1.7,1.1.1.8,1.1.1.9",
            )],
            "the most",
        ),
        (&[("turn.realm", "a realm of more than thirty-two bytes")], "at most 32 bytes"),
        (&[("http.allowed_origins", "example.com")], "https://example.com"),
        (&[("http.allowed_origins", "https://example.com/")], "https://example.com"),
        (&[("app_prefixes", "app")], "one segment"),
        (&[("app_prefixes", "/user")], "one segment"),
        (&[("broker_prefixes", "/app,/topic")], "it can be in one of them"),
        (&[("limits.outbox_bytes", "1000")], "must hold a frame"),
        (&[("limits.chat_bytes", "0")], "at least 1"),
        (&[("turn.relay_ports", "0-10")], "range of ports"),
        (&[("turn.relay_ports", "10-1")], "range of ports"),
        (&[("turn.relay_ip", "203.0.113.7,203.0.113.8")], "one of IPv4 and one of IPv6"),
        (&[("turn.relay_ip", "0.0.0.0")], "one of IPv4 and one of IPv6"),
        (
            &[("turn.allow_peers", "192.0.2.1,10.0.0.1/8")],
            "of `10.0.0.1/8` the address has bits set",
        ),
        (&[("turn.deny_peers", "example.org")], "of `example.org` it has no IPv4 or IPv6 address"),
        (&[("turn.deny_peers", "192.0.2.1:0")], "the ports after `:` must be"),
        (&[("turn.users", "alice")], "as name:password"),
        (&[("turn.users", ":password")], "as name:password"),
        (&[("http.listen", "8080")], "127.0.0.1:8080"),
    ] {
        let mistakes = with_flags(flags).unwrap_err().to_string();

        assert!(mistakes.contains(expected), "{flags:?}: {expected:?} is missing in {mistakes}");
    }
}

#[test]
fn others_are_served_when_that_is_meant() {
    let settings = with_flags(&[("http.listen", "0.0.0.0:80"), ("insecure", "true")]);

    assert!(settings.is_ok());
}

#[test]
fn variables_that_are_no_settings_are_left_alone() {
    let environment = environment(&[
        ("MADANG_SERVICE_HOST", "10.0.0.1"),
        ("MADANG_PORT", "tcp://10.0.0.1:8080"),
        ("MADANG_PORT_8080_TCP_PORT", "8080"),
        ("MADANG_CONFIG", "elsewhere.toml"),
        ("HOME", "/root"),
    ]);

    let settings = Settings::load(Sources { environment, ..Sources::default() });

    assert_eq!(settings, Ok(Settings::default()));
}

#[test]
fn what_check_prints_gives_the_same_settings() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("madang.toml");
    let settings = with_flags(&[
        ("http.allowed_origins", "https://a.example"),
        ("data_dir", "/tmp/a \"quoted\" 마당"),
        ("turn.listen", "127.0.0.1:0"),
        ("resume_grace", "1500ms"),
    ])
    .unwrap();

    std::fs::write(&file, settings.to_toml()).unwrap();
    let again = Settings::load(Sources { file: Some(file), ..Sources::default() });

    assert_eq!(again, Ok(settings));
}

#[test]
fn help_names_every_key_and_its_variable() {
    let help = help();

    for expected in [
        "http.listen ",
        "MADANG_HTTP__LISTEN",
        "MADANG_RESUME_GRACE",
        "[default: 20s]",
        "[default: /topic,/queue,/sub]",
    ] {
        assert!(help.contains(expected), "{expected:?} is missing in\n{help}");
    }
}

#[test]
fn odd_letters_in_a_path_do_not_end_it() {
    let settings = with_flags(&[("data_dir", "/tmp/100%?#")]).unwrap();

    assert_eq!(settings.store_url().expose(), "sqlite:///tmp/100%25%3F%23/madang.db");
}

#[test]
fn the_database_is_a_url_whose_password_is_never_shown() {
    let url = "postgres://app:very-secret@db.example/madang?sslmode=require";

    let settings = with_flags(&[("store.url", url)]).unwrap();
    let mistakes = with_flags(&[("store.url", "redis://app:very-secret@db")]).unwrap_err();

    assert_eq!(settings.store_url().expose(), url);
    let shown = settings.to_toml();
    let expected = "url = \"postgres://app:***@db.example/madang?sslmode=require\"";
    assert!(shown.contains(expected), "{shown}");
    let mistakes = mistakes.to_string();
    assert!(mistakes.contains("`store.url` (flag) is no database"), "{mistakes}");
    for text in [shown, format!("{settings:?}"), mistakes] {
        assert!(!text.contains("very-secret"), "{text}");
    }
}

#[test]
fn the_relay_is_a_url_whose_password_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("madang.toml");
    std::fs::write(&file, "[broker]\nrelay = \"stomp://app:very-secret@[::1]:61614/prod\"\n")
        .unwrap();

    let settings = Settings::load(Sources { file: Some(file), ..Sources::default() }).unwrap();

    let relay = settings.broker.relay.clone().unwrap();
    assert_eq!((relay.address().as_str(), relay.vhost.as_str()), ("[::1]:61614", "prod"));
    assert_eq!((relay.login.as_str(), relay.passcode.expose()), ("app", "very-secret"));
    let shown = settings.to_toml();
    assert!(shown.contains("relay = \"stomp://app:…@[::1]:61614/prod\""), "{shown}");
    assert!(!shown.contains("very-secret") && !format!("{settings:?}").contains("very-secret"));
}

#[test]
fn the_relay_can_come_from_every_source_and_is_none_by_default() {
    assert_eq!(Settings::default().broker.relay, None);
    let environment = environment(&[("MADANG_BROKER__RELAY", "stomp://a:b@one")]);
    let from_environment =
        Settings::load(Sources { environment: environment.clone(), ..Sources::default() });
    let flags = flags(&[("broker.relay", "stomp://two:61613")]);
    let from_flag = Settings::load(Sources { environment, flags, ..Sources::default() });

    let address = |settings: Result<Settings, Mistakes>| {
        settings.unwrap().broker.relay.map(|relay| relay.address())
    };
    assert_eq!(address(from_environment).as_deref(), Some("one:61613"));
    assert_eq!(address(from_flag).as_deref(), Some("two:61613"));
}

#[test]
fn a_wrong_relay_is_told_without_repeating_its_password() {
    for (url, expected) in [
        ("amqp://app:very-secret@host", "it does not begin with stomp://"),
        ("app:very-secret@host", "it does not begin with stomp://"),
        ("stomp://app:very-secret@", "it has no host"),
        ("stomp://app:very-secret@host:0", "its port is invalid"),
        ("stomp://app:very-secret@host:99999", "its port is invalid"),
    ] {
        let mistakes = with_flags(&[("broker.relay", url)]).unwrap_err().to_string();

        assert!(mistakes.contains("`broker.relay` (flag) must be as stomp://user:"), "{mistakes}");
        assert!(mistakes.contains(expected), "{url}: {mistakes}");
        assert!(!mistakes.contains("very-secret"), "{mistakes}");
    }
}

#[test]
fn the_limits_of_stomp_have_defaults_and_can_be_set() {
    let defaults = Settings::default().limits;
    assert_eq!((defaults.headers, defaults.header_bytes), (128, 16 * 1024));
    assert_eq!((defaults.messages_per_second, defaults.offers_per_second), (50, 2));
    assert_eq!((defaults.connections, defaults.connections_per_address), (10_000, 1_000));
    assert_eq!((defaults.subscriptions, defaults.outbox_messages), (200, 4_096));
    assert_eq!(defaults.connect_timeout, Duration::from_secs(10));
    assert_eq!(defaults.request_timeout, Duration::from_secs(20));

    let limits = with_flags(&[
        ("limits.frame_bytes", "0"),
        ("limits.headers", "0"),
        ("limits.header_bytes", "4_096"),
        ("limits.connect_timeout", "500ms"),
        ("limits.request_timeout", "1m"),
        ("limits.messages_per_second", "0"),
        ("limits.offers_per_second", "9"),
        ("limits.connections", "0"),
        ("limits.connections_per_address", "7"),
        ("limits.subscriptions", "1"),
        ("limits.outbox_messages", "1"),
        ("limits.outbox_bytes", "1"),
    ])
    .unwrap()
    .limits;

    assert_eq!((limits.frame_bytes, limits.headers, limits.header_bytes), (0, 0, 4_096));
    assert_eq!(limits.connect_timeout, Duration::from_millis(500));
    assert_eq!(limits.request_timeout, Duration::from_secs(60));
    assert_eq!(limits.offers_per_second, 9);
    assert_eq!((limits.connections, limits.connections_per_address), (0, 7));
    assert_eq!((limits.subscriptions, limits.outbox_messages, limits.outbox_bytes), (1, 1, 1));
}

#[test]
fn limits_that_would_let_nobody_in_are_refused() {
    for (key, value, expected) in [
        ("limits.subscriptions", "0", "`limits.subscriptions` must be at least 1"),
        ("limits.outbox_messages", "0", "`limits.outbox_messages` must be at least 1"),
        ("limits.outbox_bytes", "0", "`limits.outbox_bytes` must be at least 1"),
        ("limits.connect_timeout", "0s", "`limits.connect_timeout` must be longer than 0s"),
        ("limits.request_timeout", "0", "`limits.request_timeout` must be longer than 0s"),
        ("limits.connect_timeout", "soon", "must be a time, as 20s"),
        ("limits.headers", "-1", "must be a whole number"),
        ("limits.header_bytes", "lots", "must be a whole number"),
        ("stomp.tcp_listen", "61613", "must be an address with a port"),
        ("stomp.tcp_listen", "0.0.0.0:61613", "`stomp.tcp_listen` is 0.0.0.0:61613"),
    ] {
        let mistakes = with_flags(&[(key, value)]).unwrap_err().to_string();

        assert!(mistakes.contains(expected), "{key} = {value}: {mistakes}");
    }
}

fn with_flags(pairs: &[(&str, &str)]) -> Result<Settings, Mistakes> {
    Settings::load(Sources { flags: flags(pairs), ..Sources::default() })
}

fn flags(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn environment(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    flags(pairs).into_iter().collect()
}
