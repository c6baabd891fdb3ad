//! A database server as an ordinary process, on a free port of loopback, with its data in a temporary folder.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared by test programs, each of which uses some of it; helpers of tests may unwrap, as tests do"
)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tempfile::TempDir;

/// Longer than a server takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

const PASSWORD: &str = "right-password";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Postgres,
    MariaDb,
}

/// A running server. Dropping it ends it.
pub(crate) struct Database {
    kind: Kind,
    dir: TempDir,
    port: u16,
    running: Option<Child>,
    databases: AtomicU32,
}

impl Database {
    /// Starts a server whose only user is `madang`.
    pub(crate) async fn start(kind: Kind) -> Database {
        let dir = tempfile::tempdir().unwrap();
        own(dir.path(), kind);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut database =
            Database { kind, dir, port, running: None, databases: AtomicU32::new(0) };
        database.make_data();
        database.start_again().await;
        database
    }

    /// Starts it after [`Database::stop`] or [`Database::kill`].
    pub(crate) async fn start_again(&mut self) {
        self.running = Some(match self.kind {
            Kind::Postgres => self.postgres(),
            Kind::MariaDb => self.mariadb(),
        });
        let url = self.url(self.first_database());
        let answering = async {
            while let Err(error) = connect(&url).await {
                assert!(self.is_running(), "the server ended: {error}\n{}", self.output());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answering).await.expect("the server starts");
    }

    /// The URL of a new, empty database.
    pub(crate) async fn fresh(&self) -> String {
        let name = format!("madang_{}", self.databases.fetch_add(1, Relaxed));
        let mut connection = connect(&self.url(self.first_database())).await.unwrap();
        let sql = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        self.url(&name)
    }

    /// What to add to a URL, so that TLS is used and the server's certificate checked. PostgreSQL alone has one here.
    pub(crate) fn tls(&self) -> String {
        let certificate = self.dir.path().join("certificate");
        format!("?sslmode=verify-full&sslrootcert={}", certificate.display())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self) {
        // Without waiting for its clients.
        self.end(if self.kind == Kind::Postgres { "-INT" } else { "-TERM" });
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut child) = self.running.take() {
            let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }

    fn url(&self, database: &str) -> String {
        let scheme = match self.kind {
            Kind::Postgres => "postgres",
            Kind::MariaDb => "mysql",
        };
        format!("{scheme}://madang:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    fn first_database(&self) -> &'static str {
        match self.kind {
            Kind::Postgres => "postgres",
            Kind::MariaDb => "mysql",
        }
    }

    fn make_data(&self) {
        let password = self.file("password", PASSWORD);
        let data = self.data();
        let mut make = match self.kind {
            Kind::Postgres => {
                let mut initdb = self.command(&postgres_programs().join("initdb"));
                initdb.args(["-U", "madang", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]);
                initdb.arg("--pwfile").arg(password).arg("-D").arg(data);
                initdb
            }
            Kind::MariaDb => {
                let mut install = self.command(Path::new("mariadb-install-db"));
                install.args(["--no-defaults", "--skip-test-db"]);
                install.arg(format!("--datadir={}", data.display()));
                install
            }
        };
        let made =
            make.status().unwrap_or_else(|error| panic!("{:?} is missing: {error}", self.kind));
        assert!(made.success(), "{}", self.output());
        if self.kind == Kind::Postgres {
            self.make_certificate();
        }
    }

    fn make_certificate(&self) {
        let made = self
            .command(Path::new("openssl"))
            .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=madang"])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "key", "-out", "certificate"])
            .status();
        assert!(made.expect("openssl is installed").success(), "{}", self.output());
    }

    fn postgres(&self) -> Child {
        self.command(&postgres_programs().join("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", "ssl=on"])
            .arg("-c")
            .arg(format!("ssl_cert_file={}", self.dir.path().join("certificate").display()))
            .arg("-c")
            .arg(format!("ssl_key_file={}", self.dir.path().join("key").display()))
            .spawn()
            .unwrap()
    }

    fn mariadb(&self) -> Child {
        let user = self.file(
            "user.sql",
            &format!(
                "CREATE USER IF NOT EXISTS madang@'%' IDENTIFIED BY '{PASSWORD}';\n\
                 GRANT ALL ON *.* TO madang@'%';\n"
            ),
        );
        let dir = self.dir.path().display();
        self.command(Path::new("mariadbd"))
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .arg(format!("--datadir={}", self.data().display()))
            .arg(format!("--port={}", self.port))
            .arg(format!("--socket={dir}/socket"))
            .arg(format!("--pid-file={dir}/pid"))
            .arg(format!("--init-file={}", user.display()))
            .spawn()
            .unwrap()
    }

    /// A program that writes what it has to say into a file, and is not root: servers refuse that.
    fn command(&self, program: &Path) -> Command {
        let output = self.dir.path().join("output");
        let log = fs::OpenOptions::new().create(true).append(true).open(output).unwrap();
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).env("HOME", self.dir.path());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        if let Some((user, group)) = unprivileged(self.kind) {
            command.uid(user).gid(group);
        }
        command
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        own(&path, self.kind);
        path
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn output(&self) -> String {
        fs::read_to_string(self.dir.path().join("output")).unwrap_or_default()
    }

    fn is_running(&self) -> bool {
        let id = self.running.as_ref().map_or(0, Child::id);
        // A zombie has no memory any more.
        fs::read_to_string(format!("/proc/{id}/status"))
            .is_ok_and(|status| status.contains("VmRSS"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn connect(url: &str) -> Result<AnyConnection, sqlx::Error> {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(url).await
}

/// The newest version's folder: Debian puts none of its programs on the path.
fn postgres_programs() -> PathBuf {
    let versions =
        fs::read_dir("/usr/lib/postgresql").expect("the package postgresql is installed");
    let newest = versions.map(|entry| entry.unwrap().path()).max();
    newest.expect("a version of PostgreSQL").join("bin")
}

/// For root: the user that Debian's package made for the server.
fn unprivileged(kind: Kind) -> Option<(u32, u32)> {
    let me = Command::new("id").arg("-u").output().unwrap().stdout;
    if me != b"0\n" {
        return None;
    }
    let name = match kind {
        Kind::Postgres => "postgres",
        Kind::MariaDb => "mysql",
    };
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    let mut fields = user.expect("the server's user").split(':').skip(1);
    let mut id = || fields.next().unwrap().parse().unwrap();
    Some((id(), id()))
}

fn own(path: &Path, kind: Kind) {
    if let Some((user, group)) = unprivileged(kind) {
        chown(path, Some(user), Some(group)).unwrap();
    }
}
