//! The command line: what the operator of an installation does.
//!
//! Every command goes through `billing`, as the operator, and is audited as such. Results go to stdout (a table, or
//! JSON with `--json`), everything else to stderr. Exit codes are part of the contract, see [`Failure::exit_code`].

mod demo;
mod export;
mod failure;
mod import;
mod invoice;
mod key;
mod organization;
mod output;
mod progress;
mod run;
mod serve;
mod session;
mod stripe;
mod verify;

use std::io::IsTerminal;
use std::process::ExitCode;

use billing::database::{Database, Migrations};
use clap::{CommandFactory, Parser, Subcommand};
use serde_json::json;

pub use self::failure::Failure;
use self::output::{Output, Table};
use crate::config::{Config, ConfigError, Flags, Key, LogFormat, Setting, Source};

/// Bills what partners sold in a month: one aggregated invoice each.
#[derive(Debug, Parser)]
#[command(name = "avance", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 refused, or differences found; 2 wrong usage or configuration; 3 a fault."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve GraphQL over HTTP and run the workers
    Serve(serve::ServeArgs),
    /// Run the workers alone
    Worker,
    /// Bring the tables up to date and end
    Migrate,
    /// Seed the example organization, bill its months and serve it
    Demo(demo::DemoArgs),
    /// Make and list organizations
    #[command(subcommand)]
    Organization(organization::OrganizationCommand),
    /// Read a folder of CSV files, all of it or nothing
    Import(import::ImportArgs),
    /// Bill a month
    #[command(subcommand)]
    Run(run::RunCommand),
    /// Show an invoice
    #[command(subcommand)]
    Invoice(invoice::InvoiceCommand),
    /// Write files for other programs
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Compute everything again and compare
    Verify(verify::VerifyArgs),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Look at events of Stripe's, and process them again
    #[command(subcommand)]
    Stripe(stripe::StripeCommand),
    /// Print the GraphQL schema
    Schema,
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print completions for a shell
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the configuration in force and where each value comes from, secrets masked
    Check,
}

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output { json: cli.json };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.failed(&Failure::fault(error)),
    };
    match runtime.block_on(dispatch(cli, output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.failed(&failure),
    }
}

async fn dispatch(cli: Cli, output: Output) -> Result<(), Failure> {
    let flags = &cli.flags;
    match cli.command {
        Command::Serve(args) => serve::serve(&loaded(flags, "info")?, &args, output).await,
        Command::Worker => serve::work(&loaded(flags, "info")?, output).await,
        Command::Migrate => migrate(&loaded(flags, "warn")?, output).await,
        Command::Demo(args) => {
            let config = Config::load_for_demo(flags)?;
            log(&config, "warn");
            demo::demo(&config, &args, output).await
        }
        Command::Organization(command) => organization::run(&loaded(flags, "warn")?, command, output).await,
        Command::Import(args) => import::import(&loaded(flags, "warn")?, &args, output).await,
        Command::Run(command) => run::run(&loaded(flags, "warn")?, command, output).await,
        Command::Invoice(command) => invoice::run(&loaded(flags, "warn")?, command, output).await,
        Command::Export(command) => export::run(&loaded(flags, "warn")?, command, output).await,
        Command::Verify(args) => verify::verify(&loaded(flags, "warn")?, &args, output).await,
        Command::Key(command) => key::run(&loaded(flags, "warn")?, command, output).await,
        Command::Stripe(command) => stripe::run(&loaded(flags, "warn")?, command, output).await,
        Command::Schema => output.text(&crate::graphql::sdl()),
        Command::Config(ConfigCommand::Check) => check_config(&Config::load(flags)?, output),
        Command::Completions { shell } => completions(shell, output),
    }
}

/// The configuration, and the log as it asks for; `usual` is what this command logs when nobody says.
fn loaded(flags: &Flags, usual: &str) -> Result<Config, ConfigError> {
    let config = Config::load(flags)?;
    log(&config, usual);
    Ok(config)
}

fn log(config: &Config, usual: &str) {
    let wanted = if *config.source(Key::Log) == Source::Usual { usual } else { &config.log };
    let log = tracing_subscriber::fmt().with_env_filter(wanted).with_writer(std::io::stderr);
    let log = log.with_ansi(std::io::stderr().is_terminal());
    // Only the first log of a process counts; there is no other.
    let _ = match config.log_format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

async fn migrate(config: &Config, output: Output) -> Result<(), Failure> {
    let migrations = Database::migrate_only(&config.database()).await?;
    let Migrations { applied, distributed } = migrations;
    let mut text = String::new();
    for (what, names) in [("Applied", &applied), ("Spread over the nodes", &distributed)] {
        if !names.is_empty() {
            text.push_str(&format!("{what}:\n  {}\n", names.join("\n  ")));
        }
    }
    if text.is_empty() {
        text.push_str("The tables are up to date.\n");
    }
    output.show(&text, || json!({ "applied": applied, "distributed": distributed }))
}

fn check_config(config: &Config, output: Output) -> Result<(), Failure> {
    let shown = |setting: &Setting| match setting.key {
        // What the commands make of it: absolute.
        Key::Data => Some(config.data.display().to_string()),
        _ => setting.shown(),
    };
    let mut table = Table::new(&["key", "value", "from"]);
    for setting in &config.settings {
        let value = shown(setting).unwrap_or_else(|| "(not set)".to_owned());
        table.row([setting.key.name().to_owned(), value, setting.source.to_string()]);
    }
    output.show(&table.to_string(), || {
        let entry = |setting: &Setting| {
            let value = json!({ "value": shown(setting), "from": setting.source.to_string() });
            (setting.key.name().to_owned(), value)
        };
        serde_json::Value::Object(config.settings.iter().map(entry).collect())
    })
}

fn completions(shell: clap_complete::Shell, output: Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "avance", &mut script);
    output.text(&String::from_utf8_lossy(&script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_replay_is_of_events_or_of_a_reason() {
        let replay = |rest: &[&'static str]| Cli::try_parse_from([&["avance", "stripe", "replay"][..], rest].concat());
        let told = replay(&[]).unwrap_err().to_string();
        assert!(told.contains("--event <ID>") && told.contains("--reason <REASON>"), "{told}");
        for rest in [&["--event", "evt_1"][..], &["--reason", "NOT_OURS"], &["--event", "e", "--reason", "NOT_OURS"]] {
            assert!(replay(rest).is_ok(), "{rest:?}");
        }
    }
}
