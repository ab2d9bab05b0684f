//! Where tenants are: the places beside home that the settings name, and where new tenants are put.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use steward_base::{Result, Secret};
use steward_store::{Backend, Layout, Place};
use toml::Value;

use crate::config::{Config, hide_password, invalid};

/// The place where control is.
pub(crate) const HOME: &str = "home";
/// Most PostgreSQL connections of one process to one place.
const CONNECTIONS: usize = 16;

/// A place as the settings name it: a folder, or a PostgreSQL server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceSetting {
    name: String,
    folder: Option<PathBuf>,
    database_url: Option<Secret<String>>,
    database_url_file: Option<PathBuf>,
    #[serde(default)]
    layout: LayoutSetting,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LayoutSetting {
    #[default]
    Dedicated,
    Shared,
}

/// Fails with `config_invalid`.
pub(crate) fn check(config: &Config) -> Result<()> {
    let mut names = BTreeSet::from([HOME]);
    for place in &config.places {
        let name = place.name.as_str();
        let plain =
            (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !plain {
            return Err(invalid(format!("places names {name:?}: a name has 1 to 40 lowercase letters, digits and hyphens.")));
        }
        if !names.insert(name) {
            return Err(invalid(format!("places names {name} twice, or it is home, which is where the other settings say.")));
        }
        let given = usize::from(place.folder.is_some())
            + usize::from(place.database_url.is_some())
            + usize::from(place.database_url_file.is_some());
        if given != 1 {
            return Err(invalid(format!("places: {name} needs one of folder, database_url and database_url_file.")));
        }
        if place.folder.is_some() && place.layout == LayoutSetting::Shared {
            return Err(invalid(format!("places: {name} is a folder, whose tenants have a file each: layout shared is for PostgreSQL.")));
        }
    }
    if !names.contains(config.newcomers.as_str()) {
        return Err(invalid(format!("newcomers is {}, which is neither home nor one of places.", config.newcomers)));
    }
    let none = config.places.is_empty() && config.newcomers == HOME;
    if !config.data_url.is_empty() && !none {
        return Err(invalid("places and newcomers are for the process with the role data.".to_owned()));
    }
    Ok(())
}

/// Home alone, or with the places beside it.
pub(crate) fn with_home(config: &Config, home: Backend) -> Result<Backend> {
    if config.places.is_empty() {
        return Ok(home);
    }
    let mut places = vec![Place { name: HOME.to_owned(), backend: home, layout: Layout::Dedicated }];
    for place in &config.places {
        places.push(Place { name: place.name.clone(), backend: place.backend()?, layout: place.layout.into() });
    }
    Ok(Backend::Places { places, newcomers: config.newcomers.clone() })
}

/// The setting as it may be shown.
pub(crate) fn shown(value: &Value) -> String {
    let mut value = value.clone();
    for place in value.as_array_mut().into_iter().flatten() {
        if let Some(url) = place.get_mut("database_url") {
            *url = Value::String(hide_password(url).trim_matches('"').to_owned());
        }
    }
    value.to_string()
}

impl PlaceSetting {
    fn backend(&self) -> Result<Backend> {
        if let Some(folder) = &self.folder {
            return Ok(Backend::Sqlite { dir: folder.clone() });
        }
        let url = match (&self.database_url, &self.database_url_file) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => Secret::new(read(&self.name, file)?),
            (None, None) => return Err(invalid(format!("places: {} says neither a folder nor a database.", self.name))),
        };
        Ok(Backend::Postgres { url, connections: CONNECTIONS })
    }
}

impl From<LayoutSetting> for Layout {
    fn from(setting: LayoutSetting) -> Self {
        match setting {
            LayoutSetting::Dedicated => Self::Dedicated,
            LayoutSetting::Shared => Self::Shared,
        }
    }
}

fn read(name: &str, file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file);
    text.map(|text| text.trim().to_owned())
        .map_err(|error| invalid(format!("places: the address of {name} cannot be read from {}: {error}.", file.display())))
}
