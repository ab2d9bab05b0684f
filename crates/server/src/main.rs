//! `steward`: the whole platform in one binary.
//!
//! Data goes to stdout, talk to stderr. Exit codes: 0 done, 1 failed, 2 usage or settings, 3 not found, 4 the audit trail does not hold, 5 conflict, 7 unreachable.

mod addresses;
mod admin;
mod app;
mod backup;
mod cli;
mod config;
mod console;
mod fabric;
mod logs;
mod master;
mod memory;
mod places;
mod problems;
mod roles;
mod rotate;
mod serve;
mod split;
#[cfg(test)]
mod stored_bodies;
mod tenant;
mod tls;
mod trail;
mod watch;

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use steward_base::{Clock, Error, ErrorKind, Random, Result};
use steward_work::backup::Pruning;

use crate::admin::{Answer, Request};
use crate::app::App;
use crate::cli::{AdminCommand, AgentCommand, AuditCommand, BackupCommand, Cli, Command, ConfigCommand, DataArgs, TenantCommand};
use crate::config::{Config, Layers, SETTINGS};
use crate::split::Runs;

/// Some 15 % less CPU per request than the system's, and half the memory kept after a burst. Without huge pages: they cost 25 MB at rest.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of `audit verify` when something does not hold, and of `rotate-keys` when something had to be left.
const UNSOUND: i32 = 4;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Error::internal(error)),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Serve(args) => {
            let config = config(args.file.config.as_deref(), &args.flags())?;
            match config.runs()? {
                Runs::Data => split::serve_data(config).await,
                Runs::All | Runs::Rest => serve::serve(config).await,
            }
        }
        Command::SetupLink(data) => administer(&data, Request::SetupLink {}).await,
        Command::Admin(command) => admin_command(command).await,
        Command::Audit(AuditCommand::Verify { data, heads, tenant }) => verify(&data, heads, tenant).await,
        Command::Backup(command) => Box::pin(backup_command(command)).await,
        Command::Agent(AgentCommand::Run { server, token, state, log_files, join_lines, interval_seconds, stop_on_stdin_end }) => {
            watch::agent(watch::AgentRun { server, token, state, log_files, join_lines, interval_seconds, stop_on_stdin_end }).await
        }
        Command::Config(command) => config_command(command),
    }
}

async fn admin_command(command: AdminCommand) -> Result<()> {
    match command {
        AdminCommand::Bootstrap { data, tenant, owner, password_stdin: _ } => {
            let mut password = String::new();
            io::stdin().lock().read_line(&mut password).map_err(Error::internal)?;
            let password = password.trim_end_matches(['\r', '\n']).to_owned();
            administer(&data, Request::Bootstrap { tenant, owner, password }).await
        }
        AdminCommand::ApiKey { data, tenant, permissions, name } => administer(&data, Request::ApiKey { tenant, permissions, name }).await,
        AdminCommand::PasswordCode { data, email } => administer(&data, Request::PasswordCode { email }).await,
        AdminCommand::RotateKeys { data, rewrap_only, secrets } => administer(&data, Request::RotateKeys { rewrap_only, secrets }).await,
        AdminCommand::EnrollToken { data, tenant, organization } => administer(&data, Request::EnrollToken { tenant, organization }).await,
        AdminCommand::Tenant(command) => Box::pin(tenant_command(command)).await,
    }
}

async fn tenant_command(command: TenantCommand) -> Result<()> {
    match command {
        TenantCommand::Export { data, tenant, passphrase_file, with_passwords } => {
            let config = config(data.file.config.as_deref(), &data.flags())?;
            let passphrase = tenant::passphrase(&passphrase_file)?;
            match tenant::export(&config, Request::TenantExport { tenant, passphrase, passwords: with_passwords }).await? {
                // The file was all there is to print.
                Answer::Done(_) => Ok(()),
                refused => tell(refused),
            }
        }
        TenantCommand::Move { data, tenant, to } => administer(&data, Request::TenantMove { tenant, place: to }).await,
        TenantCommand::Import { data, passphrase_file, renamed, suspended } => {
            let config = config(data.file.config.as_deref(), &data.flags())?;
            let passphrase = tenant::passphrase(&passphrase_file)?;
            tell(tenant::import(&config, Request::TenantImport { passphrase, renamed, suspended }).await?)
        }
    }
}

async fn backup_command(command: BackupCommand) -> Result<()> {
    let whole = |path: Option<PathBuf>| path.map(std::path::absolute).transpose().map_err(Error::internal);
    let clock = Clock::system();
    match command {
        BackupCommand::Create { data, to, tenant } => administer(&data, Request::BackupCreate { to: whole(to)?, tenant }).await,
        BackupCommand::Verify { data, from, backup } => {
            let config = config(data.file.config.as_deref(), &data.flags())?;
            let objects = backup::objects(&config, from.as_deref(), &clock).await?;
            print(&backup::verify(&objects, backup.as_deref()).await?)
        }
        BackupCommand::Prune { data, from, keep, dry_run } => {
            let config = config(data.file.config.as_deref(), &data.flags())?;
            let objects = backup::objects(&config, from.as_deref(), &clock).await?;
            let pruning = if dry_run { Pruning::Rehearsed } else { Pruning::Real };
            print(&Box::pin(backup::prune(&objects, &keep, pruning)).await?)
        }
        BackupCommand::Restore { data, from, backup, tenant: Some(tenant), renamed, suspended, drill: _ } => {
            administer(&data, Request::BackupRestore { from: whole(from)?, backup, tenant, renamed, suspended }).await
        }
        BackupCommand::Restore { data, from, backup, tenant: None, renamed, suspended, drill } => {
            let config = config(data.file.config.as_deref(), &data.flags())?;
            let objects = backup::objects(&config, from.as_deref(), &clock).await?;
            let wanted = backup::Wanted { backup, tenant: None, renamed, suspended };
            let report = if drill {
                backup::drill(&config, &objects, &wanted).await?
            } else {
                backup::restore_all(&config, &objects, &wanted).await?
            };
            print(&report)
        }
    }
}

/// Asks the running server, or looks at its data when none runs: then nothing but the records is opened.
async fn verify(data: &DataArgs, heads: Option<PathBuf>, tenant: Option<String>) -> Result<()> {
    let config = config(data.file.config.as_deref(), &data.flags())?;
    let heads = heads.map(std::path::absolute).transpose().map_err(Error::internal)?;
    let request = Request::AuditVerify { tenant: tenant.clone(), heads: heads.clone() };
    if let Some(answer) = admin::ask(&config.data_dir, &request).await? {
        return tell(answer);
    }
    let (clock, random) = (Clock::system(), Random::system());
    let master = master::load(&config, &random).await?;
    let store = app::open_store(&config, &master, &clock, &random).await?;
    let folder = heads.unwrap_or_else(|| trail::folder(&config.data_dir));
    let report = trail::verify::verify(&store, &folder, tenant.as_deref()).await;
    store.close().await;
    tell(report?.into())
}

/// Asks the running server, or opens its data when none runs, and prints the answer.
async fn administer(data: &DataArgs, request: Request) -> Result<()> {
    let config = config(data.file.config.as_deref(), &data.flags())?;
    let answer = match admin::ask(&config.data_dir, &request).await? {
        Some(answer) => answer,
        None => {
            let app = App::open(&config, &serve::public_url(&config, config.listen)).await?;
            let answer = app.administrate(request).await;
            app.close().await?;
            answer?
        }
    };
    tell(answer)
}

fn tell(answer: Answer) -> Result<()> {
    match answer {
        Answer::Done(value) => print(&value),
        Answer::Unsound(report) => {
            print(&report)?;
            std::process::exit(UNSOUND)
        }
        Answer::Follows {} => Err(Error::internal("a file came where none was asked for")),
        Answer::Refused { code, detail } => {
            eprintln!("error: {detail} ({code})");
            std::process::exit(i32::from(exit_code(&code)))
        }
    }
}

fn config_command(command: ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Print(args) => {
            let layers = layers(args.file.config.as_deref(), &args.flags())?;
            layers.config()?;
            let rows = layers.rows();
            let width = rows.iter().map(|(setting, value, _)| setting.key.len() + value.len()).max().unwrap_or(0) + 3;
            let line = |(setting, value, source): (&config::Setting, String, &str)| {
                format!("{:width$} # {source}", format!("{} = {value}", setting.key))
            };
            print(&rows.into_iter().map(line).collect::<Vec<_>>().join("\n"))
        }
        ConfigCommand::Check(args) => {
            config(args.file.config.as_deref(), &args.flags())?;
            eprintln!("The settings are valid.");
            Ok(())
        }
        ConfigCommand::Explain { key } => explain(key.as_deref()),
    }
}

fn explain(key: Option<&str>) -> Result<()> {
    let chosen: Vec<_> = SETTINGS.iter().filter(|setting| key.is_none_or(|key| key == setting.key)).collect();
    if chosen.is_empty() {
        let detail = "There is no such setting. `steward config explain` lists them all.";
        return Err(Error::new(ErrorKind::NotFound, "unknown_setting", detail));
    }
    let text = |setting: &&config::Setting| {
        let variable = setting.key.to_uppercase();
        format!("{} = {}\n    {}\n    Environment: STEWARD_{variable}", setting.key, setting.default, setting.doc)
    };
    print(&chosen.iter().map(text).collect::<Vec<_>>().join("\n\n"))
}

fn config(file: Option<&Path>, flags: &[(&'static str, toml::Value)]) -> Result<Config> {
    layers(file, flags)?.config()
}

#[expect(clippy::disallowed_methods, reason = "the server's start is where the environment is read, once")]
fn layers(file: Option<&Path>, flags: &[(&'static str, toml::Value)]) -> Result<Layers> {
    let environment: BTreeMap<String, String> =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    Layers::read(file, &environment, flags)
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    // A reader that left early, such as `head`, is no failure.
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::internal(error)),
        _ => Ok(()),
    }
}

fn fail(error: &Error) -> ExitCode {
    eprintln!("error: {} ({})", error.detail(), error.code());
    for field in error.fields() {
        eprintln!("  {}: {}", field.pointer, field.detail);
    }
    let causes = error.causes();
    if !causes.is_empty() {
        eprintln!("  because: {causes}");
    }
    ExitCode::from(match error.kind() {
        ErrorKind::NotFound => 3,
        ErrorKind::Conflict | ErrorKind::PreconditionFailed => 5,
        ErrorKind::Unavailable => 7,
        _ => exit_code(error.code()),
    })
}

fn exit_code(code: &str) -> u8 {
    match code {
        "config_invalid" => 2,
        "not_found" => 3,
        "already_set_up" | "slug_taken" | "already_exists" | "tenant_exists" | "backup_busy" => 5,
        _ => 1,
    }
}
