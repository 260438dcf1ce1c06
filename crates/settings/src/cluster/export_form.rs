//! Exports as they are kept and sent between nodes: each client rule as it is written.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::allow::format_rule;
use crate::{ExportSettings, Fsid};

#[derive(Serialize, Deserialize)]
struct Form {
    path: PathBuf,
    export_path: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fsid: Option<String>,
    #[serde(default)]
    cross_mounts: bool,
    #[serde(default = "yes")]
    delegations: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mount_point: Option<PathBuf>,
    allow: Vec<String>,
}

fn yes() -> bool {
    true
}

impl From<&ExportSettings> for Form {
    fn from(export: &ExportSettings) -> Self {
        Self {
            path: export.path.clone(),
            export_path: export.export_path.clone(),
            fsid: export.fsid.map(|fsid| fsid.to_string()),
            cross_mounts: export.cross_mounts,
            delegations: export.delegations,
            mount_point: export.mount_point.clone(),
            allow: export.clients.iter().map(format_rule).collect(),
        }
    }
}

impl TryFrom<Form> for ExportSettings {
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        let fsid = form.fsid.map(|text| text.parse::<Fsid>()).transpose();
        let clients = form.allow.iter().map(|rule| {
            rule.parse().map_err(|error| {
                let error: crate::AllowError = error;
                format!("`{rule}`: {error}")
            })
        });
        Ok(Self {
            path: form.path,
            export_path: form.export_path,
            fsid: fsid.map_err(|error| error.to_string())?,
            cross_mounts: form.cross_mounts,
            delegations: form.delegations,
            mount_point: form.mount_point,
            clients: clients.collect::<Result<_, _>>()?,
        })
    }
}

/// For a list of exports.
pub(super) mod list {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Form;
    use crate::ExportSettings;

    pub(crate) fn serialize<S: Serializer>(
        exports: &[ExportSettings],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(exports.iter().map(Form::from))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ExportSettings>, D::Error> {
        let forms = Vec::<Form>::deserialize(deserializer)?;
        forms.into_iter().map(|form| form.try_into().map_err(D::Error::custom)).collect()
    }
}
