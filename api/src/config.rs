//! The configuration: flags, then the environment, then `avance.toml`, then what is usual.
//!
//! All three speak of the same keys. What is no key is an error, wherever it stands: a mistyped `AVANCE_DATABSE_URL`
//! must not end on a private database. Every value remembers where it came from; a secret is only shown masked.

mod masked;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use billing::database::{Database, DatabaseSettings, Distributed};
use billing::{Billing, Clock};
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use self::masked::masked;

/// Before the names of all variables.
const PREFIX: &str = "AVANCE_";

/// The file that is read when none is named.
const FILE: &str = "avance.toml";

/// Variables of the project that are no keys.
const OTHER_VARIABLES: [&str; 4] = ["AVANCE_CONFIG", "AVANCE_GOLDEN_DIR", "AVANCE_POSTGRES_BIN", "AVANCE_STRIPE_DIR"];

/// Beginnings of variables that only the project's own tests and measurements read.
const OTHER_PREFIXES: [&str; 2] = ["AVANCE_TEST_", "AVANCE_BENCH_"];

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Listen,
    Data,
    DatabaseUrl,
    DatabaseConnections,
    DatabaseDistributed,
    Log,
    LogFormat,
    StripeApiBase,
}

impl Key {
    /// In the order in which they are shown.
    pub const ALL: [Key; 8] = [
        Key::Listen,
        Key::Data,
        Key::DatabaseUrl,
        Key::DatabaseConnections,
        Key::DatabaseDistributed,
        Key::Log,
        Key::LogFormat,
        Key::StripeApiBase,
    ];

    /// The key in `avance.toml`; in capitals behind `AVANCE_` it is the variable.
    pub const fn name(self) -> &'static str {
        match self {
            Key::Listen => "listen",
            Key::Data => "data",
            Key::DatabaseUrl => "database_url",
            Key::DatabaseConnections => "database_connections",
            Key::DatabaseDistributed => "database_distributed",
            Key::Log => "log",
            Key::LogFormat => "log_format",
            Key::StripeApiBase => "stripe_api_base",
        }
    }

    fn of(name: &str) -> Option<Key> {
        Key::ALL.into_iter().find(|key| key.name() == name)
    }

    fn usual(self) -> Option<String> {
        match self {
            Key::Listen => Some("127.0.0.1:8080".to_owned()),
            Key::Data => DatabaseSettings::usual_data_folder().map(|folder| folder.display().to_string()),
            Key::DatabaseUrl | Key::DatabaseDistributed => None,
            Key::DatabaseConnections => Some("16".to_owned()),
            Key::Log => Some("info".to_owned()),
            Key::LogFormat => Some("text".to_owned()),
            // Stripe's own.
            Key::StripeApiBase => None,
        }
    }
}

/// The flags that every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct Flags {
    /// Read this file instead of avance.toml in the current folder
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port of the web server
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Folder of the private database and of everything else that Avance keeps
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Use this PostgreSQL instead of a private one
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Connections to PostgreSQL at most
    #[arg(long, global = true, value_name = "NUMBER")]
    pub database_connections: Option<String>,
    /// Spread organizations over the nodes of the cluster behind the URL: citus
    #[arg(long, alias = "distributed", global = true, value_name = "SOFTWARE")]
    pub database_distributed: Option<String>,
    /// What to log: error, warn, info, debug, trace, or a filter such as info,billing=debug
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// How to log: text or json
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Ask this address instead of Stripe's, such as a stand-in for tests
    #[arg(long, global = true, value_name = "URL")]
    pub stripe_api_base: Option<String>,
}

impl Flags {
    fn value(&self, key: Key) -> Option<String> {
        match key {
            Key::Listen => self.listen.clone(),
            Key::Data => self.data.as_ref().map(|folder| folder.display().to_string()),
            Key::DatabaseUrl => self.database_url.clone(),
            Key::DatabaseConnections => self.database_connections.clone(),
            Key::DatabaseDistributed => self.database_distributed.clone(),
            Key::Log => self.log.clone(),
            Key::LogFormat => self.log_format.clone(),
            Key::StripeApiBase => self.stripe_api_base.clone(),
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Flag,
    Environment,
    File(PathBuf),
    Usual,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag => f.write_str("flag"),
            Source::Environment => f.write_str("environment"),
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Usual => f.write_str("default"),
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    #[error("the configuration {path} cannot be read: {reason}")]
    Unreadable { path: String, reason: String },
    #[error("the configuration {path} is not TOML: {reason}")]
    NotToml { path: String, reason: String },
    #[error("{place} knows no key {key}; the keys are {}", known())]
    UnknownKey { place: String, key: String },
    #[error("{key} (from the {from}) must be {expected}, not {value:?}")]
    Wrong { key: &'static str, from: String, expected: &'static str, value: String },
    #[error("there is no home folder to keep data in: say where with --data or AVANCE_DATA")]
    NoData,
}

fn known() -> String {
    Key::ALL.map(Key::name).join(", ")
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// A value that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub key: Key,
    /// None: not set, and nothing is usual.
    pub value: Option<String>,
    pub source: Source,
}

impl Setting {
    /// The value as it may be shown.
    pub fn shown(&self) -> Option<String> {
        let value = self.value.as_deref()?;
        Some(if self.key == Key::DatabaseUrl { masked(value) } else { value.to_owned() })
    }
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub listen: String,
    pub data: PathBuf,
    pub database_url: Option<String>,
    pub database_connections: usize,
    pub database_distributed: Option<Distributed>,
    pub log: String,
    pub log_format: LogFormat,
    /// None: Stripe's own address.
    pub stripe_api_base: Option<String>,
    /// The same as texts with their origins, in the order of [`Key::ALL`].
    pub settings: Vec<Setting>,
}

impl Config {
    /// Reads the configuration of this process.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(flags: &Flags) -> Result<Config, ConfigError> {
        let file = Some(PathBuf::from(FILE)).filter(|path| path.exists());
        Config::read(flags, file)
    }

    /// As [`Config::load`], but for a demonstration, which must never end in the place of the real thing: only a file
    /// that is named is read, and the usual data folder is another one.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load_for_demo(flags: &Flags) -> Result<Config, ConfigError> {
        let mut config = Config::read(flags, None)?;
        if *config.source(Key::Data) == Source::Usual {
            config.data = config.data.with_file_name("avance-demo");
        }
        Ok(config)
    }

    fn read(flags: &Flags, file: Option<PathBuf>) -> Result<Config, ConfigError> {
        let variables = Variables::of(std::env::vars_os())?;
        let named = flags.config.clone().or_else(|| variables.config.clone());
        let file = named.or(file);
        let file = file.map(|path| File::read(&path)).transpose()?;
        Config::merge(flags, &variables, file.as_ref())
    }

    fn merge(flags: &Flags, variables: &Variables, file: Option<&File>) -> Result<Config, ConfigError> {
        let settings = Key::ALL.map(|key| {
            let flag = flags.value(key).map(|value| (value, Source::Flag));
            let variable = || Some((variables.value(key)?, Source::Environment));
            let filed = || file.and_then(|file| Some((file.value(key)?, Source::File(file.path.clone()))));
            let found = flag.or_else(variable).or_else(filed);
            let (value, source) = found.map_or_else(|| (key.usual(), Source::Usual), |(v, s)| (Some(v), s));
            Setting { key, value, source }
        });
        Config::of(settings.to_vec())
    }

    fn of(settings: Vec<Setting>) -> Result<Config, ConfigError> {
        let text = |key: Key| settings.iter().find(|setting| setting.key == key).and_then(|found| found.value.clone());
        let wrong = |key: Key, expected| wrong(&settings, key, expected);
        let data = text(Key::Data).filter(|folder| !folder.is_empty()).ok_or(ConfigError::NoData)?;
        let data = std::path::absolute(data).map_err(|_| wrong(Key::Data, "a folder"))?;
        let listen = text(Key::Listen).filter(|listen| is_address(listen));
        let connections = text(Key::DatabaseConnections).and_then(|number| usize::from_str(&number).ok());
        let log = text(Key::Log).filter(|filter| EnvFilter::try_new(filter).is_ok());
        let log_format = match text(Key::LogFormat).as_deref() {
            Some("text") => Some(LogFormat::Text),
            Some("json") => Some(LogFormat::Json),
            _ => None,
        };
        let config = Config {
            listen: listen.ok_or_else(|| wrong(Key::Listen, "a host and a port such as 127.0.0.1:8080"))?,
            data,
            database_url: text(Key::DatabaseUrl),
            database_connections: connections
                .filter(|number| (4..=1000).contains(number))
                .ok_or_else(|| wrong(Key::DatabaseConnections, "a number from 4 to 1000"))?,
            database_distributed: match (text(Key::DatabaseDistributed), text(Key::DatabaseUrl)) {
                (None, _) => None,
                (Some(software), Some(_)) if software.parse::<Distributed>().is_ok() => software.parse().ok(),
                _ => return Err(wrong(Key::DatabaseDistributed, "citus, beside a database_url")),
            },
            log: log.ok_or_else(|| wrong(Key::Log, "a filter such as info or info,billing=debug"))?,
            log_format: log_format.ok_or_else(|| wrong(Key::LogFormat, "text or json"))?,
            stripe_api_base: match text(Key::StripeApiBase) {
                Some(url) if !is_http(&url) => {
                    return Err(wrong(Key::StripeApiBase, "an address that begins with http"));
                }
                url => url,
            },
            settings,
        };
        Ok(config)
    }

    /// Where the value of a key came from.
    pub fn source(&self, key: Key) -> &Source {
        self.settings.iter().find(|setting| setting.key == key).map_or(&Source::Usual, |setting| &setting.source)
    }

    /// The product over a database, as this configuration wants it.
    pub fn billing(&self, database: &Database) -> Billing {
        let mut billing = Billing::new(database.db.clone(), Clock::Database);
        billing.stripe_base.clone_from(&self.stripe_api_base);
        billing
    }

    pub fn database(&self) -> DatabaseSettings {
        DatabaseSettings {
            url: self.database_url.clone(),
            data: self.data.clone(),
            connections: self.database_connections,
            distributed: self.database_distributed,
        }
    }
}

fn wrong(settings: &[Setting], key: Key, expected: &'static str) -> ConfigError {
    let found = settings.iter().find(|setting| setting.key == key);
    ConfigError::Wrong {
        key: key.name(),
        from: found.map(|setting| setting.source.to_string()).unwrap_or_default(),
        expected,
        value: found.and_then(Setting::shown).unwrap_or_default(),
    }
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn is_http(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|host| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// The variables of the environment that are ours.
#[derive(Debug, Default)]
struct Variables {
    config: Option<PathBuf>,
    values: Vec<(Key, String)>,
}

impl Variables {
    fn of(all: impl Iterator<Item = (OsString, OsString)>) -> Result<Variables, ConfigError> {
        let mut variables = Variables::default();
        for (name, value) in all {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            if value.is_empty() {
                // As good as not set: that is how files of variables leave one out.
                continue;
            }
            if name == "AVANCE_CONFIG" {
                variables.config = Some(PathBuf::from(&value));
            }
            let key = name.strip_prefix(PREFIX).map(str::to_lowercase).and_then(|rest| Key::of(&rest));
            match key {
                Some(key) => variables.values.push((key, value.to_string_lossy().into_owned())),
                None if OTHER_VARIABLES.contains(&name) => {}
                None if OTHER_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => {}
                None => {
                    let place = "the environment".to_owned();
                    return Err(ConfigError::UnknownKey { place, key: name.to_owned() });
                }
            }
        }
        Ok(variables)
    }

    fn value(&self, key: Key) -> Option<String> {
        self.values.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone())
    }
}

/// `avance.toml`.
#[derive(Debug)]
struct File {
    path: PathBuf,
    values: Vec<(Key, String)>,
}

impl File {
    fn read(path: &Path) -> Result<File, ConfigError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: shown.clone(), reason: error.to_string() })?;
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| ConfigError::NotToml { path: shown, reason: error.to_string() })?;
        File::of(path, &table)
    }

    fn of(path: &Path, table: &toml::Table) -> Result<File, ConfigError> {
        let mut values = Vec::new();
        for (name, value) in table {
            let place = path.display().to_string();
            let key = Key::of(name).ok_or(ConfigError::UnknownKey { place: place.clone(), key: name.clone() })?;
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Integer(number) => number.to_string(),
                other => {
                    let value = other.type_str().to_owned();
                    return Err(ConfigError::Wrong { key: key.name(), from: place, expected: "a text", value });
                }
            };
            values.push((key, text));
        }
        Ok(File { path: path.to_owned(), values })
    }

    fn value(&self, key: Key) -> Option<String> {
        self.values.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Result<Variables, ConfigError> {
        Variables::of(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    fn file(text: &str) -> Result<File, ConfigError> {
        File::of(Path::new("avance.toml"), &text.parse().unwrap())
    }

    fn flags(listen: Option<&str>) -> Flags {
        Flags { listen: listen.map(str::to_owned), data: Some("/data".into()), ..Flags::default() }
    }

    #[test]
    fn flags_go_before_the_environment_and_that_before_the_file() {
        let file = file("listen = \"file:1\"\nlog = \"warn\"\ndatabase_connections = 8").unwrap();
        let variables = variables(&[("AVANCE_LISTEN", "env:2"), ("AVANCE_LOG", ""), ("HOME", "/h")]).unwrap();
        let all = Config::merge(&flags(Some("flag:3")), &variables, Some(&file)).unwrap();
        assert_eq!((all.listen.as_str(), all.source(Key::Listen)), ("flag:3", &Source::Flag));
        let two = Config::merge(&flags(None), &variables, Some(&file)).unwrap();
        assert_eq!((two.listen.as_str(), two.source(Key::Listen)), ("env:2", &Source::Environment));
        assert_eq!((two.log.as_str(), two.database_connections), ("warn", 8));
        let none = Config::merge(&flags(None), &Variables::default(), None).unwrap();
        assert_eq!((none.listen.as_str(), none.source(Key::Listen)), ("127.0.0.1:8080", &Source::Usual));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for wrong in [variables(&[("AVANCE_DATABSE_URL", "x")]).map(|_| ()), file("lisen = 1").map(|_| ())] {
            assert!(matches!(wrong, Err(ConfigError::UnknownKey { .. })), "{wrong:?}");
        }
        assert!(variables(&[("AVANCE_POSTGRES_BIN", "/usr/bin"), ("AVANCE_TEST_X", "1")]).is_ok());
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in [
            "listen = \"8080\"",
            "listen = \"host:port\"",
            "database_connections = 0",
            "database_connections = \"many\"",
            "log_format = \"xml\"",
            "log = \"=loud=\"",
            "stripe_api_base = \"localhost:12111\"",
            "stripe_api_base = \"https://\"",
        ] {
            let merged = file(text).and_then(|file| Config::merge(&flags(None), &Variables::default(), Some(&file)));
            assert!(matches!(merged, Err(ConfigError::Wrong { .. })), "{text}: {merged:?}");
        }
        assert!(matches!(file("data = [1]"), Err(ConfigError::Wrong { .. })));
    }

    #[test]
    fn passwords_are_never_shown() {
        for (url, shown) in [
            ("postgres://ada:hunter2@db:5432/books", "postgres://ada:***@db:5432/books"),
            ("postgresql://ada:hun@ter2@db/books", "postgresql://ada:***@db/books"),
            ("postgres://ada@db/books?password=hunter2&x=1", "postgres://ada@db/books?password=***&x=1"),
            ("postgres:///books?host=/run", "postgres:///books?host=/run"),
            ("host=db password=hunter2", "***"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }
}
