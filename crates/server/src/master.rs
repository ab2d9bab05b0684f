//! Where the master key comes from: a file, the environment, or a command that a key store or a security module answers.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use steward_base::{Error, ErrorKind, Random, Result};
use steward_store::MasterKey;
use tokio::process::Command;

use crate::config::Config;

/// How long the command may take: a start waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The master key that the settings name; the file is made at the first start.
pub(crate) async fn load(config: &Config, random: &Random) -> Result<MasterKey> {
    if !config.master_key.expose().is_empty() {
        return MasterKey::parse(config.master_key.expose(), "the setting master_key");
    }
    if !config.master_key_command.is_empty() {
        return MasterKey::parse(&output(&config.master_key_command).await?, "the command of master_key_command");
    }
    MasterKey::load_or_create(&path(config), random)
}

/// The file that holds the key of this process alone; `None` when it comes from elsewhere, where it is rotated too, or when another process of a
/// split installation would not learn of a new one.
pub(crate) fn file(config: &Config) -> Option<PathBuf> {
    let alone = config.data_url.is_empty() && config.data_listen.is_empty();
    (alone && config.master_key.expose().is_empty() && config.master_key_command.is_empty()).then(|| path(config))
}

fn path(config: &Config) -> PathBuf {
    if config.master_key_file.is_empty() { config.data_dir.join("master.key") } else { PathBuf::from(&config.master_key_file) }
}

async fn output(command: &str) -> Result<String> {
    let failed = |why: String| {
        let detail = format!("The command of master_key_command {why}. Run it by hand to see why; it must print the key and exit with 0.");
        Error::new(ErrorKind::Unavailable, "master_key_unreadable", detail)
    };
    let run = Command::new("sh").arg("-c").arg(command).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, run).await.map_err(|_| failed(format!("took longer than {} s", PATIENCE.as_secs())))?;
    let output = output.map_err(|error| failed(format!("could not be run: {error}")))?;
    if !output.status.success() {
        return Err(failed(format!("ended with {}", output.status)));
    }
    String::from_utf8(output.stdout).map_err(|_| failed("printed something that is no text".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Layers;

    fn config(pairs: &[(&str, &str)]) -> Result<Config> {
        let environment: BTreeMap<String, String> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Layers::read(None, &environment, &[])?.config()
    }

    #[tokio::test]
    async fn the_key_comes_from_where_the_settings_say() {
        let folder = tempfile::tempdir().expect("a folder");
        let random = Random::seeded(1);
        let (data, elsewhere) = (folder.path().display().to_string(), folder.path().join("elsewhere.key"));
        let by_file = config(&[("STEWARD_DATA_DIR", &data), ("STEWARD_MASTER_KEY_FILE", &elsewhere.display().to_string())]).expect("reads");
        let made = load(&by_file, &random).await.expect("is made");

        let text = std::fs::read_to_string(&elsewhere).expect("is there");
        let by_environment = config(&[("STEWARD_MASTER_KEY", &text)]).expect("reads");
        assert_eq!(file(&by_file).as_deref(), Some(elsewhere.as_path()));
        assert_eq!(file(&by_environment), None);
        assert_eq!(load(&by_environment, &random).await.expect("parses").id(), made.id());

        let by_command = config(&[("STEWARD_MASTER_KEY_COMMAND", &format!("cat '{}'", elsewhere.display()))]).expect("reads");
        assert_eq!(load(&by_command, &random).await.expect("runs").id(), made.id());

        let failing = config(&[("STEWARD_MASTER_KEY_COMMAND", "echo no; exit 3")]).expect("reads");
        let refused = load(&failing, &random).await.expect_err("the command fails");
        assert_eq!(refused.code(), "master_key_unreadable");
        assert!(refused.detail().contains('3'), "{}", refused.detail());

        let both = config(&[("STEWARD_MASTER_KEY", &text), ("STEWARD_MASTER_KEY_COMMAND", "true")]).expect_err("one source only");
        assert!(both.detail().contains("master_key_command"));
    }
}
