//! `dev.env`: everything that clients on this machine need, as a shell's assignments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::secret_file;

const NAME: &str = "dev.env";

/// The variables that `userpool dev` writes.
#[derive(Clone, Default)]
#[allow(missing_docs, reason = "the names are those of the variables")]
pub struct EnvironmentFile {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub region: String,
    pub grpc_addr: String,
    pub http_addr: String,
    pub kafka_brokers: String,
    pub database_url: String,
    pub master_keys_file: String,
    /// Whether the database is the private one of the data directory.
    pub own_database: bool,
    /// Whether the broker is the one in the process.
    pub own_broker: bool,
}

const OWN_DATABASE: &str = "# The database is private to this data directory.";
const OWN_BROKER: &str = "# The broker runs inside the process.";

impl EnvironmentFile {
    /// The variables of the last run; empty if there is no file.
    pub fn read(data_dir: &Path) -> Self {
        let text = std::fs::read_to_string(data_dir.join(NAME)).unwrap_or_default();
        let values: BTreeMap<_, _> =
            text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('=')).collect();
        let value = |name: &str| values.get(name).map_or_else(String::new, |value| value.trim_matches('\'').to_owned());
        Self {
            access_key_id: value("AWS_ACCESS_KEY_ID"),
            secret_access_key: value("AWS_SECRET_ACCESS_KEY"),
            region: value("AWS_REGION"),
            grpc_addr: value("USERPOOL_GRPC_ADDR"),
            http_addr: value("USERPOOL_HTTP_ADDR"),
            kafka_brokers: value("USERPOOL_KAFKA_BROKERS"),
            database_url: value("USERPOOL_DATABASE_URL"),
            master_keys_file: value("USERPOOL_MASTER_KEYS_FILE"),
            own_database: text.contains(OWN_DATABASE),
            own_broker: text.contains(OWN_BROKER),
        }
    }

    /// Whether a URL is that of the private database. A shell that has read the file sets it, too, and means the same
    /// database.
    pub fn is_own_database(&self, url: &str) -> bool {
        self.own_database && self.database_url == url
    }

    /// The same for the broker in the process.
    pub fn is_own_broker(&self, brokers: &str) -> bool {
        self.own_broker && self.kafka_brokers == brokers
    }

    /// Writes the file, readable by its owner only.
    pub fn write(&self, data_dir: &Path) -> std::io::Result<PathBuf> {
        let path = data_dir.join(NAME);
        let unfinished = data_dir.join(".dev.env");
        let _ = std::fs::remove_file(&unfinished);
        secret_file::create(&unfinished, self.text().as_bytes())?;
        // A reader sees the old file or the new one, never half of it.
        std::fs::rename(&unfinished, &path)?;
        Ok(path)
    }

    fn text(&self) -> String {
        let endpoint = format!("http://{}", self.http_addr);
        let token = format!("{}.{}", self.access_key_id, self.secret_access_key);
        let variables = [
            ("AWS_ACCESS_KEY_ID", &self.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &self.secret_access_key),
            ("AWS_REGION", &self.region),
            ("AWS_DEFAULT_REGION", &self.region),
            ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &endpoint),
            ("USERPOOL_GRPC_ADDR", &self.grpc_addr),
            ("USERPOOL_HTTP_ADDR", &self.http_addr),
            ("USERPOOL_TOKEN", &token),
            ("USERPOOL_KAFKA_BROKERS", &self.kafka_brokers),
            ("USERPOOL_DATABASE_URL", &self.database_url),
            ("USERPOOL_MASTER_KEYS_FILE", &self.master_keys_file),
        ];
        let mut text = String::from("# Written by `userpool dev` at each start. Holds secrets.\n");
        for (own, note) in [(self.own_database, OWN_DATABASE), (self.own_broker, OWN_BROKER)] {
            if own {
                text.push_str(note);
                text.push('\n');
            }
        }
        for (name, value) in variables {
            text.push_str(&format!("export {name}='{value}'\n"));
        }
        text
    }
}
