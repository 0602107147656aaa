//! What is under a run goes away or moves: PostgreSQL killed in the middle of it; on a cluster the node with the
//! organization's rows, the node that everybody connects to, and a shard that moves while the run goes on. The run ends
//! with the documents and numbers of one that nobody disturbed. And a cluster that the tables cannot be spread over.
//!
//! The stories are told one after the other, since each disturbs everybody. The servers have to run on this machine. The
//! last line counts: `outages: N stories told`.

#![expect(clippy::expect_used, reason = "a test ends where something that it needs is not there")]

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use billing::Billing;
use billing::invoicing::documents::BillingRun;
use billing::invoicing::run;
use billing_db::{Db, Distributed, MigrateError};
use jobs::{BillingHandler, WorkerSettings, Workers};
use tests::{App, console, month, world};
use tokio::sync::oneshot;
use tokio_postgres::{Client, Config, NoTls};

/// One to a transaction.
const PARTNERS: usize = 60;

/// How long a server stays away.
const AWAY: Duration = Duration::from_secs(2);

fn main() {
    let told = world().runtime.block_on(async {
        if world().database.distributed.is_none() {
            crash("the server", "database", async |_| Server::alone()).await;
            return 1;
        }
        let node = async |app: &App| Server::of(&Place::of(app).await.config()).await;
        crash("the node of the organization", "cluster", node).await;
        crash("the node that everybody connects to", "database", async |_| Server::of(&world().owner).await).await;
        a_node_hangs().await;
        a_shard_moves().await;
        what_is_in_the_way_is_named().await;
        5
    });
    println!("outages: {told} stories told");
}

/// A worker walks the month; `victim` is killed in the middle and comes back. Meanwhile `check` of whether the database can
/// be worked with says so.
async fn crash(who: &str, check: &str, victim: impl AsyncFn(&App) -> Server) {
    let mut app = App::new(pool().await).await;
    let expected = app.undisturbed(PARTNERS).await;
    app.crowd(PARTNERS, 1).await;
    let server = victim(&app).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let billing = Billing { db: pool().await, ..app.billing.clone() };
    // The pause is the only thing that is quicker than in production.
    let settings = WorkerSettings { first_backoff: Duration::from_millis(200), ..WorkerSettings::default() };
    let told = async { stopped.await.unwrap_or(()) };
    let work = Workers::run(billing.db.clone(), Arc::new(BillingHandler::new(billing.clone())), settings, told);
    let begun = app.begin_january().await;
    let work = tokio::spawn(work);
    let before = until(&app, |run| run.partners_done > 3).await;
    assert!(run::under_way(&before), "{who} is killed in the middle: {before:?}");
    server.kill().await;
    tokio::time::sleep(AWAY).await;
    let missing = app.billing.db.ready().await;
    assert!(missing.len() == 1 && missing[0].check == check, "{missing:?}");
    server.start().await;
    // Connections that the old pool kept are broken, and each says so once.
    app.billing.db = pool().await;
    assert_eq!(app.billing.db.ready().await, []);
    let after = until(&app, |run| !run::under_way(run)).await;
    assert_eq!(after.pass, begun.pass, "nobody had to begin it again");
    stop.send(()).expect("the workers run");
    work.await.expect("no panic").expect("they end well");
    assert_eq!(app.told().await, expected, "{who}");
    app.verify().await;
    let asked =
        "SELECT attempts, lease_number FROM job WHERE organization_id = $1::text::uuid AND kind = 'wholesale_run'";
    let organization = app.organization.uuid().to_string();
    let row = connect(&world().owner).await.query_one(asked, &[&organization]).await.expect("the wake-up");
    let (attempts, claims): (i32, i64) = (row.get(0), row.get(1));
    assert!(claims > 1, "the run was hit in the middle");
    assert_eq!(attempts, 1, "no attempt is used up by an absence");
    println!("{who} was killed after {} of {PARTNERS} partners; nothing was lost", before.partners_done);
}

/// A node that hangs is named, and nothing else is found wanting, as often as anybody asks.
async fn a_node_hangs() {
    let app = App::new(pool().await).await;
    let server = Server::of(&Place::of(&app).await.config()).await;
    server.signal("STOP");
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(app.billing.db.ready().await);
    }
    server.signal("CONT");
    for missing in answers {
        assert!(missing.len() == 1 && missing[0].check == "cluster", "{missing:?}");
    }
    let ready = async || app.billing.db.ready().await.is_empty();
    assert!(ready().await || ready().await, "it is well again, after the answer that was waited for");
    println!("a node that hangs is named, and the others are served");
}

/// The organization's rows move to another node while its month is walked.
async fn a_shard_moves() {
    let mut app = App::new(pool().await).await;
    let expected = app.undisturbed(PARTNERS).await;
    app.crowd(PARTNERS, 1).await;
    let from = Place::of(&app).await;
    let to = from.other().await;
    let run = app.begin_january().await;
    let mut current = run.clone();
    while current.partners_done < 10 {
        current = run::step(&app.billing, app.organization, run.id, run.pass).await.expect("a step");
    }
    let mut moving = tokio::spawn(from.clone().move_to(to.clone()));
    let during = current.partners_done;
    loop {
        tokio::select! {
            moved = &mut moving => {
                moved.expect("it moves");
                break;
            }
            // Slow enough that there are partners left when the move is over.
            () = tokio::time::sleep(Duration::from_millis(150)), if current.partners_done < 50 => {
                current = run::step(&app.billing, app.organization, run.id, run.pass).await.expect("a step");
            }
        }
    }
    assert!(current.partners_done > during, "the run goes on while the rows move");
    assert!(run::under_way(&current), "the move is over before the run is");
    assert_eq!(Place::of(&app).await.port, to.port, "the rows are elsewhere");
    run::walk(&app.billing, &current, |_| {}).await.expect("the rest");
    assert_eq!(app.told().await, expected);
    app.verify().await;
    println!("the rows moved between partner {during} and partner {}; no figure changed", current.partners_done);
}

/// Tables that cannot be spread are all named, and nothing is spread as long as they are there.
async fn what_is_in_the_way_is_named() {
    let owner = &world().owner;
    let make = "CREATE TABLE stray (id uuid PRIMARY KEY);
                CREATE TABLE stray_job (organization_id uuid, job uuid REFERENCES job, PRIMARY KEY (organization_id, job));
                CREATE TABLE fitting (organization_id uuid PRIMARY KEY)";
    console(owner, make).await;
    let refused = billing_db::migrate(owner, Some(Distributed::Citus)).await;
    let spread = "SELECT count(*) FROM pg_dist_partition
                  WHERE logicalrelid IN ('stray'::regclass, 'stray_job'::regclass, 'fitting'::regclass)";
    let spread: i64 = connect(owner).await.query_one(spread, &[]).await.expect("a count").get(0);
    console(owner, "DROP TABLE stray, stray_job, fitting").await;
    let Err(MigrateError::NotDistributable(said)) = refused else { panic!("{refused:?}") };
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("stray: stray_pkey does not lead with organization_id"), "{said:?}");
    assert!(said[1].starts_with("stray_job: the foreign key stray_job_job_fkey leads to job"), "{said:?}");
    assert_eq!(spread, 0, "nothing is half distributed");
    let again = billing_db::migrate(owner, Some(Distributed::Citus)).await.expect("nothing is in the way any more");
    assert!(again.distributed.is_empty(), "{again:?}");
    println!("tables that cannot be spread are named, and nothing is half distributed");
}

/// A pool of its own.
async fn pool() -> Db {
    let mut settings = billing_db::Settings::new(world().owner.clone());
    settings.distributed = world().database.distributed;
    settings.connections = 4;
    for _ in 0..600 {
        match Db::connect(settings.clone()).await {
            Ok(db) => return db,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("the server does not come back");
}

/// Looks at January's run until it is as wanted.
async fn until(app: &App, wanted: impl Fn(&BillingRun) -> bool) -> BillingRun {
    for _ in 0..12_000 {
        let run = billing::invoicing::run_of_month(&app.billing, app.organization, month("2026-01")).await;
        if let Some(run) = run.expect("a look").filter(&wanted) {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the run never comes to be as wanted");
}

async fn connect(to: &Config) -> Client {
    let (client, connection) = to.connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// A server on this machine.
struct Server {
    folder: PathBuf,
    /// Where its programs are; none: it is the private one, which its owner starts.
    programs: Option<PathBuf>,
}

impl Server {
    /// The private one.
    fn alone() -> Server {
        let embedded =
            world().database.embedded.as_ref().expect("without a cluster, the server of these tests is private");
        Server { folder: embedded.data_dir().to_owned(), programs: None }
    }

    async fn of(place: &Config) -> Server {
        let asked = "SELECT current_setting('data_directory'), (SELECT setting FROM pg_config WHERE name = 'BINDIR')";
        let row = connect(place).await.query_one(asked, &[]).await.expect("a login that may see the server's folders");
        let (folder, programs): (String, String) = (row.get(0), row.get(1));
        Server { folder: folder.into(), programs: Some(programs.into()) }
    }

    fn pid(&self) -> String {
        let file = std::fs::read_to_string(self.folder.join("postmaster.pid"));
        let text = file.expect("a server that runs on this machine");
        text.lines().next().expect("a process id").to_owned()
    }

    /// To all its processes.
    fn signal(&self, name: &str) {
        let main = self.pid();
        let is_child = |pid: &String| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // Behind the name, which may contain blanks: state and parent.
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) == Some(main.as_str())
        };
        let all = std::fs::read_dir("/proc").expect("/proc").flatten();
        let children = all.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(is_child);
        let mut kill = Command::new("kill");
        kill.arg(format!("-{name}")).arg(&main).args(children);
        // A child may have ended meanwhile.
        kill.stderr(Stdio::null()).status().expect("kill");
    }

    /// Ends all its processes at once, as a crash does: what was not committed is lost.
    async fn kill(&self) {
        let pid = self.pid();
        assert!(Command::new("kill").args(["-QUIT", &pid]).status().expect("kill").success());
        for _ in 0..1_000 {
            if !Path::new("/proc").join(&pid).exists() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server does not end");
    }

    async fn start(&self) {
        let Some(programs) = &self.programs else {
            let embedded = world().database.embedded.as_ref().expect("the private server");
            return embedded.ensure().await.expect("it starts again");
        };
        let owner = std::fs::metadata(&self.folder).expect("its folder");
        let mut start = Command::new(programs.join("pg_ctl"));
        start.arg("-D").arg(&self.folder).arg("-l").arg(self.folder.join("server.log")).args(["-s", "-w", "start"]);
        if std::fs::metadata("/proc/self").expect("/proc").uid() == 0 {
            start.uid(owner.uid()).gid(owner.gid());
        }
        assert!(start.current_dir("/").status().expect("pg_ctl").success(), "it starts again");
    }
}

/// What is written during a move comes in as a role that row-level security binds, and would be turned away. True when the
/// role was there and is bound no more.
async fn let_in(target: &Client) -> bool {
    let asked = "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'citus_shard_move_subscription_role%'";
    let roles = target.query(asked, &[]).await.expect("roles");
    for role in &roles {
        let role: String = role.get(0);
        target.batch_execute(&format!("ALTER ROLE {role} BYPASSRLS")).await.expect("it may be altered");
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    !roles.is_empty()
}

/// Where on the cluster an organization's rows are.
#[derive(Debug, Clone)]
struct Place {
    shard: i64,
    host: String,
    port: i32,
}

impl Place {
    async fn of(app: &App) -> Place {
        let asked =
            "SELECT p.shardid, n.nodename, n.nodeport FROM pg_dist_placement p JOIN pg_dist_node n USING (groupid)
                     WHERE p.shardid = get_shard_id_for_distribution_column('organization', $1::text::uuid)";
        let organization = app.organization.uuid().to_string();
        let row = connect(&world().owner).await.query_one(asked, &[&organization]).await.expect("a shard");
        Place { shard: row.get(0), host: row.get(1), port: row.get(2) }
    }

    /// The node itself.
    fn config(&self) -> Config {
        let mut config = Config::new();
        let owner = &world().owner;
        config.host(&self.host).port(u16::try_from(self.port).expect("a port"));
        config.user(owner.get_user().expect("a user")).dbname(owner.get_dbname().expect("a database"));
        config
    }

    /// Another node.
    async fn other(&self) -> Place {
        let asked = "SELECT nodename, nodeport FROM pg_dist_node
                     WHERE noderole = 'primary' AND shouldhaveshards AND nodeport <> $1 LIMIT 1";
        let row = connect(&world().owner).await.query_one(asked, &[&self.port]).await.expect("two nodes");
        Place { shard: self.shard, host: row.get(0), port: row.get(1) }
    }

    /// Moves the shard, and those that belong beside it, to another node; writes go on meanwhile.
    async fn move_to(self, there: Place) {
        let target = connect(&there.config()).await;
        let letting_in = tokio::spawn(async move { while !let_in(&target).await {} });
        let sql =
            "SELECT citus_move_shard_placement($1::bigint, $2::text, $3::int, $4::text, $5::int, 'force_logical')";
        let client = connect(&world().owner).await;
        client.batch_execute("SET citus.multi_task_query_log_level = off").await.expect("a setting");
        let moved = client.execute(sql, &[&self.shard, &self.host, &self.port, &there.host, &there.port]).await;
        assert_eq!(moved.expect("a move"), 1);
        letting_in.await.expect("the role was there");
    }
}
