//! The command line: data to stdout, talk to stderr, exit codes fixed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use toml::Value;

/// The operations platform in one binary.
#[derive(Debug, Parser)]
#[command(name = "steward", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve: identity, API, telemetry and console in one process.
    Serve(ServeArgs),
    /// Print a fresh one-time link that makes the first owner; valid for an hour.
    SetupLink(DataArgs),
    /// What an administrator does on the machine itself; works while the server runs and while it does not.
    #[command(subcommand)]
    Admin(AdminCommand),
    /// The audit trail.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Copies of everything: make them, read them again, read them back.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// The device agent.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Settings: their values, where each came from and what it means.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) file: ConfigArgs,
    /// Folder of everything Steward keeps.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port to serve on.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where people and agents reach Steward.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Certificate chain (PEM).
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// Private key (PEM).
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Networks whose X-Forwarded-For is believed.
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    trusted_proxies: Option<Vec<String>>,
    /// Roles to run in this process.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    roles: Option<Vec<String>>,
    /// Address and port at which the role `data` serves records to other processes.
    #[arg(long, value_name = "ADDR")]
    data_listen: Option<String>,
    /// Where the process with the role `data` is.
    #[arg(long, value_name = "URL")]
    data_url: Option<String>,
    /// Run an agent for this machine as a child process.
    #[arg(long)]
    watch: bool,
    /// Load a sample company into the first tenant.
    #[arg(long)]
    demo: bool,
}

impl ServeArgs {
    /// The flags that were given, as settings.
    pub(crate) fn flags(&self) -> Vec<(&'static str, Value)> {
        let text = |value: &Option<String>| value.clone().map(Value::String);
        let texts = |value: &Option<Vec<String>>| value.clone().map(|items| Value::Array(items.into_iter().map(Value::String).collect()));
        let given = [
            ("data_dir", self.data.as_ref().map(|path| Value::String(path.display().to_string()))),
            ("listen", self.listen.map(|address| Value::String(address.to_string()))),
            ("public_url", text(&self.public_url)),
            ("tls_cert_file", text(&self.tls_cert)),
            ("tls_key_file", text(&self.tls_key)),
            ("trusted_proxies", texts(&self.trusted_proxies)),
            ("roles", texts(&self.roles)),
            ("data_listen", text(&self.data_listen)),
            ("data_url", text(&self.data_url)),
            ("watch", self.watch.then_some(Value::Boolean(true))),
            ("demo", self.demo.then_some(Value::Boolean(true))),
        ];
        given.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect()
    }
}

#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    #[command(flatten)]
    pub(crate) file: ConfigArgs,
    /// Folder of everything Steward keeps.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl DataArgs {
    /// The flags that were given, as settings.
    pub(crate) fn flags(&self) -> Vec<(&'static str, Value)> {
        self.data.iter().map(|path| ("data_dir", Value::String(path.display().to_string()))).collect()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Make a tenant and its owner; the password is read from stdin.
    Bootstrap {
        #[command(flatten)]
        data: DataArgs,
        /// Short name of the tenant.
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// The owner's e-mail address.
        #[arg(long, value_name = "EMAIL")]
        owner: String,
        /// Read the password from the first line of stdin; there is no other way to give it.
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Make an API key and print it; nothing else is printed.
    ApiKey {
        #[command(flatten)]
        data: DataArgs,
        /// Short name of the tenant.
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// What the key may do, as in `devices:read,logs:write`.
        #[arg(long, value_name = "LIST", value_delimiter = ',', required = true)]
        permissions: Vec<String>,
        /// What the key is for.
        #[arg(long, value_name = "NAME", default_value = "Made on the command line")]
        name: String,
    },
    /// Make a code with which a person sets a password once, within a day, and print it; earlier ones end.
    PasswordCode {
        #[command(flatten)]
        data: DataArgs,
        /// The person's e-mail address.
        #[arg(long, value_name = "EMAIL")]
        email: String,
    },
    /// Make a new master key and seal everything under it; what it sealed before still opens. It may be interrupted and run again.
    RotateKeys {
        #[command(flatten)]
        data: DataArgs,
        /// Make no new key: go on with what an earlier run left, or seal under the key that was put first where it comes from.
        #[arg(long)]
        rewrap_only: bool,
        /// Give every tenant a new key for its secrets too, and seal them anew.
        #[arg(long)]
        secrets: bool,
    },
    /// Make an enrolment token for devices and print it.
    EnrollToken {
        #[command(flatten)]
        data: DataArgs,
        /// Short name of the tenant.
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// Organization that the devices will belong to.
        #[arg(long, value_name = "ID")]
        organization: Option<String>,
    },
    /// Take tenants from one installation to another.
    #[command(subcommand)]
    Tenant(TenantCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Write a tenant to stdout as one sealed file: records, history, members, objects. One that breaks off is of no use; then it exits with
    /// another code than 0.
    Export {
        #[command(flatten)]
        data: DataArgs,
        /// Short name of the tenant.
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// File with the passphrase that the tenant's file is sealed under, at least 12 characters.
        #[arg(long, value_name = "FILE")]
        passphrase_file: PathBuf,
        /// Put the members' password hashes in, so that they can sign in elsewhere as they do here.
        #[arg(long)]
        with_passwords: bool,
    },
    /// Move a tenant to another place of this installation, while it is served or while no server runs; home is where control is.
    Move {
        #[command(flatten)]
        data: DataArgs,
        /// Short name of the tenant.
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// Name of the place, as in the setting `places`, or home.
        #[arg(long, value_name = "PLACE")]
        to: String,
    },
    /// Take a tenant in from such a file on stdin and print its id; all of it or nothing.
    Import {
        #[command(flatten)]
        data: DataArgs,
        /// File with the passphrase that the tenant's file was sealed under.
        #[arg(long, value_name = "FILE")]
        passphrase_file: PathBuf,
        /// Short name that the tenant gets; its own unless said.
        #[arg(long = "as", value_name = "SLUG")]
        renamed: Option<String>,
        /// Whether it takes no requests until it is resumed, true or false; as where it was exported unless said.
        #[arg(long, value_name = "BOOL")]
        suspended: Option<bool>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check every event chain against itself and against the heads that were signed; exits with 4 when something does not hold. Works while
    /// the server runs and while it does not, and changes nothing.
    Verify {
        #[command(flatten)]
        data: DataArgs,
        /// Folder with signed heads, such as the second copy; `audit` in the data folder unless said.
        #[arg(long, value_name = "DIR")]
        heads: Option<PathBuf>,
        /// Short name of the one tenant to check.
        #[arg(long, value_name = "SLUG")]
        tenant: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Copy every tenant, or one, with its files, logs and metrics, while the server runs or while it does not. What did not change since the last backup there is
    /// not copied again.
    Create {
        #[command(flatten)]
        data: DataArgs,
        /// Folder for backups; the place of the settings unless said.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        /// Short name of the one tenant to copy.
        #[arg(long, value_name = "SLUG")]
        tenant: Option<String>,
    },
    /// Read a backup again: checksums, that every file and every log line is there, and that every event follows from the one before.
    Verify {
        #[command(flatten)]
        data: DataArgs,
        /// Folder of the backups; the place of the settings unless said.
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        /// Name of the backup; the latest unless said.
        #[arg(long, value_name = "NAME")]
        backup: Option<String>,
    },
    /// Remove the backups that no rule keeps, then everything that no backup needs any more. One that is interrupted is finished by the next.
    Prune {
        #[command(flatten)]
        data: DataArgs,
        /// Folder of the backups; the place of the settings unless said.
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        #[command(flatten)]
        keep: KeepArgs,
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
    /// Read a backup back: everything into an empty data folder, whose master key must be there already, or one tenant where it is not.
    Restore {
        #[command(flatten)]
        data: DataArgs,
        /// Folder of the backups; the place of the settings unless said.
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        /// Name of the backup; the latest unless said.
        #[arg(long, value_name = "NAME")]
        backup: Option<String>,
        /// Short name of the one tenant to read back; works while the server runs and while it does not.
        #[arg(long, value_name = "SLUG", conflicts_with = "drill")]
        tenant: Option<String>,
        /// Short name that the tenant gets.
        #[arg(long = "as", value_name = "SLUG", requires = "tenant")]
        renamed: Option<String>,
        /// Whether that tenant takes no requests until it is resumed, true or false; as in the backup, or here if it is suspended here, unless said.
        #[arg(long, value_name = "BOOL", requires = "tenant")]
        suspended: Option<bool>,
        /// Only try it, in a folder that is removed again, and print how long it takes and how old the backup is.
        #[arg(long)]
        drill: bool,
    },
}

/// Which backups stay. Days, weeks and months are those of UTC.
#[derive(Debug, Args)]
#[group(id = "keep", required = true, multiple = true)]
pub(crate) struct KeepArgs {
    /// Keep the newest N.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep_last: u32,
    /// Keep the newest of each of the last N days that have one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep_daily: u32,
    /// Keep the newest of each of the last N weeks that have one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep_weekly: u32,
    /// Keep the newest of each of the last N months that have one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep_monthly: u32,
    /// Keep the newest of each of the last N years that have one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep_yearly: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Enrol this machine if it is not yet, then report its metrics and logs until told to stop.
    Run {
        /// Server to report to.
        #[arg(long, value_name = "URL")]
        server: String,
        /// Enrolment token; needed once, and again after the device was removed. STEWARD_AGENT_TOKEN keeps it out of the process list.
        #[arg(long, value_name = "TOKEN", env = "STEWARD_AGENT_TOKEN", hide_env_values = true)]
        token: Option<String>,
        /// Folder for the device key, checkpoints and the spool.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Log files to follow, as globs; repeatable.
        #[arg(long = "log-file", value_name = "GLOB")]
        log_files: Vec<String>,
        /// A line that begins with a blank belongs to the one before: stack traces arrive whole.
        #[arg(long)]
        join_lines: bool,
        /// Seconds between metric samples.
        #[arg(long, value_name = "SECONDS", default_value_t = 15)]
        interval_seconds: u64,
        /// Stop when stdin ends: the server runs its own agent so.
        #[arg(long, hide = true)]
        stop_on_stdin_end: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting with its value and source.
    Print(ServeArgs),
    /// Check the settings and say what is wrong.
    Check(ServeArgs),
    /// Explain one setting, or all.
    Explain {
        /// A setting's key.
        key: Option<String>,
    },
}
