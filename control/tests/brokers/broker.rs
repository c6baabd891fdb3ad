//! A broker as an ordinary process, on free ports of loopback, with its data in a temporary folder.

#![expect(clippy::disallowed_methods, reason = "free ports are found by binding them")]

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::PATIENCE;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    RabbitMq,
    ActiveMq,
}

pub(crate) struct Broker {
    kind: Kind,
    dir: TempDir,
    /// STOMP, AMQP, Erlang's distribution, its port mapper.
    ports: [u16; 4],
    running: Vec<Child>,
}

impl Broker {
    /// Starts a broker whose only user is `madang` with the password `right-password`.
    pub(crate) async fn start(kind: Kind) -> Broker {
        let mut broker = Broker {
            kind,
            dir: tempfile::tempdir().unwrap(),
            ports: free_ports(),
            running: Vec::new(),
        };
        broker.start_again().await;
        broker
    }

    pub(crate) fn url(&self, password: &str) -> String {
        format!("stomp://madang:{password}@127.0.0.1:{}", self.ports[0])
    }

    pub(crate) async fn start_again(&mut self) {
        self.running = match self.kind {
            Kind::RabbitMq => self.rabbitmq(),
            Kind::ActiveMq => vec![self.activemq()],
        };
        let listening = async {
            while TcpStream::connect(("127.0.0.1", self.ports[0])).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listening).await.expect("the broker starts");
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(&mut self) {
        for mut child in std::mem::take(&mut self.running) {
            terminate(&child);
            tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
        }
    }

    /// The port mapper last, so that it is stopped last. Started here, or else the broker would leave one behind.
    fn rabbitmq(&self) -> Vec<Child> {
        let [stomp, amqp, distribution, mapper] = self.ports;
        let config = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\nstomp.listeners.tcp.1 = 127.0.0.1:{stomp}\n\
             default_user = madang\ndefault_pass = right-password\n"
        );
        let config = self.file("rabbitmq.conf", &config);
        let plugins = self.file("enabled_plugins", "[rabbitmq_stomp].\n");
        let mapper_port = mapper.to_string();
        let epmd = Command::new("epmd")
            .args(["-port", &mapper_port, "-address", "127.0.0.1"])
            .env("HOME", self.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the package rabbitmq-server is installed");
        let server = self
            .command(&format!("{}/rabbitmq-server", rabbitmq_scripts()))
            .env("ERL_EPMD_PORT", mapper_port)
            .env("RABBITMQ_NODENAME", format!("madang-{stomp}@localhost"))
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("RABBITMQ_MNESIA_BASE", self.dir.path().join("mnesia"))
            .env("RABBITMQ_LOG_BASE", self.dir.path().join("log"))
            .env("RABBITMQ_CONFIG_FILE", config)
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_PID_FILE", self.dir.path().join("pid"))
            .spawn()
            .unwrap();
        vec![server, epmd]
    }

    fn activemq(&self) -> Child {
        let data = self.dir.path().join("data");
        let config = include_str!("activemq.xml")
            .replace("{data}", &data.to_string_lossy())
            .replace("{port}", &self.ports[0].to_string());
        let config = self.file("activemq.xml", &config);
        self.command("java")
            .arg("-Xmx256m")
            .arg("-Dactivemq.home=/usr/share/activemq")
            .arg(format!("-Dactivemq.base={}", self.dir.path().display()))
            .arg(format!("-Dactivemq.data={}", data.display()))
            .args(["-jar", "/usr/share/activemq/bin/activemq.jar", "start"])
            .arg(format!("xbean:file:{}", config.display()))
            .spawn()
            .expect("the package activemq is installed")
    }

    fn command(&self, program: &str) -> Command {
        let log = fs::File::create(self.dir.path().join("output")).unwrap();
        let mut command = Command::new(program);
        command.env("HOME", self.dir.path()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        for child in &mut self.running {
            terminate(child);
            let _ = child.wait();
        }
    }
}

fn terminate(child: &Child) {
    let _ = Command::new("kill").arg(child.id().to_string()).status();
}

/// Where the scripts are that do not change the user.
fn rabbitmq_scripts() -> String {
    let versions = fs::read_dir("/usr/lib/rabbitmq/lib").expect("rabbitmq-server is installed");
    let server =
        versions.map(|entry| entry.unwrap().path()).find(|path| path.join("sbin").is_dir());
    server.expect("RabbitMQ's folder").join("sbin").to_string_lossy().into_owned()
}

fn free_ports() -> [u16; 4] {
    let listeners: [TcpListener; 4] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
