//! The life of a private cluster: made, found again, shared, killed, refused.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant, SystemTime},
};

use rustix::process::{Pid, Signal};
use tokio_postgres::{Client, NoTls};

use super::*;

/// A folder for one test, which the server's user can pass, and no server left in it at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        let folder = PathBuf::from(format!("/tmp/avance-test-{now}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o711)).unwrap();
        Place(folder)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn layout(&self) -> Layout {
        Layout::of(&self.data()).unwrap()
    }

    async fn start(&self) -> Embedded {
        Embedded::start(&self.data()).await.unwrap()
    }

    /// Whether no process of a server is left.
    fn is_dark(&self) -> bool {
        lock::is_free(&self.layout().server_lock).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let layout = Layout::of(&self.data()).unwrap();
        if let Some(pid) = layout.recorded_process().unwrap().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::QUIT);
        }
        wait_until("the server ends", || lock::is_free(&layout.server_lock).unwrap());
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// How long a test waits for another process.
const LIMIT: Duration = Duration::from_secs(30);

/// Waits in place for something that another process does.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < LIMIT, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn connect(cluster: &Embedded) -> Client {
    let (client, connection) = cluster.config("postgres", SUPERUSER).connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn text(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

fn process_of(cluster: &Embedded) -> i32 {
    cluster.server.layout.recorded_process().unwrap().unwrap()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn a_new_cluster_replaces_an_unfinished_one_and_keeps_its_rows() {
    let place = Place::new();
    let unfinished = place.layout().unfinished;
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("PG_VERSION"), "15").unwrap();

    let cluster = place.start().await;
    assert!(!unfinished.exists());
    let client = connect(&cluster).await;
    for (setting, value) in [
        ("listen_addresses", ""),
        ("fsync", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("lc_messages", "C"),
        ("TimeZone", "UTC"),
        ("shared_buffers", "256MB"),
        ("client_connection_check_interval", "5s"),
    ] {
        assert_eq!(text(&client, &format!("SHOW {setting}")).await, value, "{setting}");
    }
    client.batch_execute("CREATE TABLE kept AS SELECT 'still here' AS word").await.unwrap();
    assert!(fs::read_to_string(cluster.log_file()).unwrap().contains("ready to accept connections"));
    // The client is still connected: a fast shutdown does not wait for it.
    cluster.stop().await.unwrap();
    assert!(place.is_dark());

    let began = Instant::now();
    let cluster = place.start().await;
    assert!(began.elapsed() < Duration::from_secs(2), "a restart took {:?}", began.elapsed());
    let url: Config = cluster.url("postgres", SUPERUSER).parse().unwrap();
    let (client, connection) = url.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(text(&client, "SELECT word FROM kept").await, "still here");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_outlives_its_starter_and_stops_with_its_last_user() {
    let place = Place::new();
    let cluster = place.start().await;
    let process = process_of(&cluster);
    // The server is its own process group, and not root nor of root's groups.
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    if is_root() {
        assert_eq!(groups.trim(), "");
        assert_ne!(fs::metadata(cluster.data_dir()).unwrap().uid(), 0);
    }
    let group = rustix::process::getpgid(Pid::from_raw(process)).unwrap();
    assert_eq!(group.as_raw_nonzero().get(), process);
    assert_eq!(fs::metadata(cluster.socket_dir()).unwrap().mode() & 0o777, 0o700);

    drop(cluster);
    let (first, second) = tokio::join!(place.start(), place.start());
    assert_eq!((process_of(&first), process_of(&second)), (process, process));
    first.stop().await.unwrap();
    assert_eq!(process_of(&second), process);
    connect(&second).await;
    second.stop().await.unwrap();
    assert!(place.is_dark());
}

#[tokio::test]
async fn what_a_dead_server_left_does_not_keep_the_next_one_from_starting() {
    let place = Place::new();
    let cluster = place.start().await;
    let (process_file, socket) = (cluster.data_dir().join("postmaster.pid"), layout::socket(cluster.socket_dir()));
    cluster.stop().await.unwrap();

    // Killed, and nobody reaped it: its id still counts as taken. Then: its id went to somebody else.
    let mut unreaped = Command::new("true").spawn().unwrap();
    let status = format!("/proc/{}/status", unreaped.id());
    wait_until("the process has ended", || fs::read_to_string(&status).is_ok_and(|text| text.contains("Z (zombie)")));
    let mut stranger = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    for pid in [id(&unreaped), id(&stranger)] {
        fs::write(&process_file, format!("{pid}\n")).unwrap();
        fs::write(&socket, "").unwrap();
        fs::write(socket.with_extension("5432.lock"), format!("{pid}\n")).unwrap();
        let cluster = place.start().await;
        assert_ne!(process_of(&cluster), pid);
        cluster.stop().await.unwrap();
    }
    unreaped.wait().unwrap();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

fn id(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

#[tokio::test]
async fn a_killed_server_is_replaced_once_its_last_child_is_gone() {
    let place = Place::new();
    let cluster = place.start().await;
    let (busy, watcher) = (connect(&cluster).await, connect(&cluster).await);
    watcher.batch_execute("CREATE TABLE kept AS SELECT 'committed' AS word").await.unwrap();
    // Counting does not look whether the server still lives, so this child goes on without it.
    tokio::spawn(async move { busy.batch_execute("SELECT count(*) FROM generate_series(1, 4000000)").await });
    let active = "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE '%generate_series%' AND state = 'active' \
                  AND pid <> pg_backend_pid()";
    let began = Instant::now();
    while text(&watcher, active).await != "1" {
        assert!(began.elapsed() < LIMIT, "the count was never seen");
    }

    let killed = process_of(&cluster);
    rustix::process::kill_process(Pid::from_raw(killed).unwrap(), Signal::KILL).unwrap();
    assert!(!place.is_dark());
    let another = place.start().await;
    assert_ne!(process_of(&another), killed);
    assert_eq!(text(&connect(&another).await, "SELECT word FROM kept").await, "committed");

    // The first handle still holds on, and brings the server back when it dies once more.
    let killed = process_of(&another);
    rustix::process::kill_process(Pid::from_raw(killed).unwrap(), Signal::KILL).unwrap();
    wait_until("the children are gone", || place.is_dark());
    cluster.ensure().await.unwrap();
    connect(&another).await;
    another.stop().await.unwrap();
    cluster.stop().await.unwrap();
    assert!(place.is_dark());
}

#[tokio::test]
async fn a_long_path_has_its_socket_elsewhere() {
    let place = Place::new();
    let data = place.data().join("a-folder-with-a-long-name".repeat(4)).join("and a, \"strange\" one");
    fs::create_dir_all(&data).unwrap();
    let cluster = Embedded::start(&data).await.unwrap();
    let sockets = cluster.socket_dir().to_owned();
    assert!(sockets.starts_with("/tmp") && sockets.as_os_str().len() < 60);
    assert_eq!(fs::metadata(&sockets).unwrap().mode() & 0o777, 0o700);
    connect(&cluster).await;
    cluster.stop().await.unwrap();
    assert!(!sockets.exists());
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_left_alone() {
    let place = Place::new();
    let folder = place.layout().cluster;
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("PG_VERSION"), "15\n").unwrap();
    let error = Embedded::start(&place.data()).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::Foreign { .. }), "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);

    fs::write(folder.join("avance-cluster"), "2\n").unwrap();
    let error = Embedded::start(&place.data()).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NewerLayout { found: 2, known: 1, .. }), "{error}");
}

#[tokio::test]
async fn the_reason_why_the_server_fails_is_in_the_error() {
    let place = Place::new();
    place.start().await.stop().await.unwrap();
    let configuration = place.layout().cluster.join("postgresql.conf");
    let settings = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, format!("{settings}\nshared_buffers = 'many'\n")).unwrap();
    let error = Embedded::start(&place.data()).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::Failed { .. }), "{error}");
    assert!(error.to_string().contains("invalid value for parameter \"shared_buffers\": \"many\""), "{error}");
    assert!(place.is_dark());

    fs::write(&configuration, settings).unwrap();
    place.start().await.stop().await.unwrap();
}

/// A folder with an `initdb` and a `postgres` that only says a version.
fn fake(place: &Place, version: &str) -> PathBuf {
    let folder = place.0.join(version);
    fs::create_dir(&folder).unwrap();
    // Written by a shell, for a file that this process holds open for writing cannot be run.
    let script = "for program in postgres initdb; do \
                  printf '#!/bin/sh\\necho \"postgres (PostgreSQL) %s\"\\n' \"$0\" > $program; chmod 755 $program; done";
    let written = Command::new("sh").args(["-c", script, version]).current_dir(&folder).status().unwrap();
    assert!(written.success());
    folder
}

#[tokio::test]
async fn the_programs_are_missing_or_too_old_or_of_another_version() {
    let place = Place::new();
    let cluster = place.layout().cluster;
    let nothing = place.0.clone();
    let search = Search { only: None, folders: vec![nothing.clone()] };
    let error = Embedded::start_with(&place.data(), search).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NotInstalled), "{error}");
    assert!(error.to_string().contains("apt-get install postgresql"), "{error}");

    let search = Search { only: Some(nothing), folders: Vec::new() };
    let error = Embedded::start_with(&place.data(), search).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::BadBinaryFolder { .. }), "{error}");

    let old = fake(&place, "14.2");
    let search = Search { only: None, folders: vec![old.clone()] };
    let error = search.find(&cluster, None).await.unwrap_err();
    assert!(matches!(&error, EmbeddedError::TooOld { found } if found.contains("14.2 in")), "{error}");

    let folders = vec![old, fake(&place, "18beta1"), fake(&place, "16.4")];
    let search = Search { only: None, folders };
    assert_eq!(search.find(&cluster, None).await.unwrap().major, 18);
    assert_eq!(search.find(&cluster, Some(16)).await.unwrap().major, 16);
    let error = search.find(&cluster, Some(17)).await.unwrap_err();
    assert!(matches!(&error, EmbeddedError::WrongMajor { cluster: 17, .. }), "{error}");
    assert!(error.to_string().contains("postgresql-17") && error.to_string().contains("PostgreSQL 16.4 in"), "{error}");
}

#[tokio::test]
async fn a_closed_parent_folder_is_named() {
    // Only root runs the server as somebody else.
    if !is_root() {
        return;
    }
    let place = Place::new();
    let closed = place.0.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let error = Embedded::start(&closed.join("data")).await.unwrap_err();
    assert!(matches!(&error, EmbeddedError::NotTraversable { barrier, .. } if *barrier == closed), "{error}");
    assert!(error.to_string().contains("/var/lib/avance"), "{error}");
}
