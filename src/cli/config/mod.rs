//! The configuration of `userpool serve`: flags, `USERPOOL_*` variables and a TOML file, in this order of precedence.
//!
//! A setting is declared once, in [`Settings`]: its field is the flag, the variable and the key of the file.

pub mod command;
mod connections;
mod limits;
mod properties;
mod server;
mod triggers;
mod variables;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use ipnet::IpNet;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::cli::config::properties::PropertiesParser;
use crate::delivery::settings::{EmailSettings, Secret, SmsSettings};
use crate::kafka::config::KafkaConfig;
use crate::secret_file::{self, SecretFileError};

pub use connections::ConnectionSettings;
pub use limits::{CountSettings, LimitSettings, QuotaSettings};
pub use properties::Properties;
pub use server::{Problem, Problems, ServerConfig};
pub use triggers::{AwaitedTrigger, TriggerSettings};
pub use variables::unknown_variables;

/// Where the settings come from.
#[derive(Clone, Debug, Args)]
pub struct ConfigArguments {
    /// A TOML file with settings; its keys are the flags without their dashes, in sections where the flags have a prefix.
    #[arg(long, env = "USERPOOL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// What can be set. Absent is the default.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Where gRPC listens [default: 0.0.0.0:50051].
    #[arg(long, env = "USERPOOL_GRPC_ADDR", value_name = "ADDRESS:PORT")]
    pub grpc_addr: Option<SocketAddr>,
    /// Where HTTP listens [default: 0.0.0.0:8080].
    #[arg(long, env = "USERPOOL_HTTP_ADDR", value_name = "ADDRESS:PORT")]
    pub http_addr: Option<SocketAddr>,
    /// The address under which clients reach the HTTP door: the beginning of every `iss`. Required.
    #[arg(long, env = "USERPOOL_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// A proxy or a mesh in front of both listeners terminates TLS: without certificates, and with a public URL of any
    /// scheme, is then right.
    #[arg(long, env = "USERPOOL_TLS_TERMINATED_ELSEWHERE", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub tls_terminated_elsewhere: Option<bool>,
    /// Proxies whose word about the caller's address counts, as addresses or networks.
    #[arg(long, env = "USERPOOL_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network, value_name = "NETWORK")]
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Option<Vec<IpNet>>,
    /// The account in ARNs: 12 digits [default: 123456789012].
    #[arg(long, env = "USERPOOL_ACCOUNT_ID", value_name = "DIGITS")]
    pub account_id: Option<String>,
    /// The region in ids and ARNs [default: us-east-1].
    #[arg(long, env = "USERPOOL_REGION")]
    pub region: Option<String>,
    /// The file with the master keys: a line each, an id and the base64 of 32 bytes, the first is active. Required.
    #[arg(long, env = "USERPOOL_MASTER_KEYS_FILE", value_name = "FILE")]
    pub master_keys_file: Option<PathBuf>,
    /// How many passwords are hashed at once [default: one per core].
    #[arg(long, env = "USERPOOL_HASHING_THREADS", value_name = "NUMBER")]
    pub hashing_threads: Option<u32>,
    /// How many months facts such as sign-ins are kept [default: 24].
    #[arg(long, env = "USERPOOL_ACTIVITY_MONTHS", value_name = "NUMBER")]
    pub activity_months: Option<u32>,
    /// How many seconds a server that is told to stop still accepts calls, so that load balancers notice [default: 5].
    #[arg(long, env = "USERPOOL_SHUTDOWN_PAUSE", value_name = "SECONDS")]
    pub shutdown_pause: Option<u64>,
    /// Lets groups with members be deleted, as today's Cognito does; otherwise they have to be empty.
    #[arg(long, env = "USERPOOL_DELETE_GROUPS_WITH_MEMBERS", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub delete_groups_with_members: Option<bool>,
    /// Whether all sessions of a user end when they choose another password with a code [default: true].
    #[arg(long, env = "USERPOOL_RECOVERY_ENDS_SESSIONS", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub recovery_ends_sessions: Option<bool>,
    /// The format of logs: `text` or `json` [default: text].
    #[arg(long, env = "USERPOOL_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// The database and its connections, in section `[database]`.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Certificates of both listeners, in section `[tls]`.
    #[command(flatten)]
    pub tls: TlsSettings,
    /// Brokers and topics of events, in section `[kafka]`.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// Triggers, in section `[triggers]`.
    #[command(flatten)]
    pub triggers: TriggerSettings,
    /// Limits and quotas, in section `[limits]`.
    #[command(flatten)]
    pub limits: LimitSettings,
    /// What callers may use of the listeners, in section `[connections]`.
    #[command(flatten)]
    pub connections: ConnectionSettings,
    /// The cost of a password's hash, in section `[password-hash]`.
    #[command(flatten)]
    pub password_hash: PasswordHashSettings,
    /// The mail relay, in section `[email]`. Only a file can set it; there are no flags.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub email: Option<EmailSettings>,
    /// The SMS gateway, in section `[sms]`. Only a file can set it; there are no flags.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub sms: Option<SmsSettings>,
}

/// The format of the log on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// A line of text per event, for people.
    #[default]
    Text,
    /// A JSON object per event, for collectors.
    Json,
}

/// The database: the section `[database]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DatabaseSettings {
    /// The database, as a URL. Required.
    #[arg(long = "database-url", env = "USERPOOL_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub url: Option<Secret>,
    /// How many connections a replica makes at most [default: 20].
    #[arg(long = "database-connections", env = "USERPOOL_DATABASE_CONNECTIONS", value_name = "NUMBER")]
    pub connections: Option<u32>,
    /// The way to the database is safe without TLS.
    #[arg(long = "database-without-tls", env = "USERPOOL_DATABASE_WITHOUT_TLS", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub without_tls: Option<bool>,
}

/// TLS of both listeners: the section `[tls]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TlsSettings {
    /// The certificate chain as PEM. It is read again when it changes.
    #[arg(long = "tls-certificate", env = "USERPOOL_TLS_CERTIFICATE", value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Its private key as PEM.
    #[arg(long = "tls-key", env = "USERPOOL_TLS_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Authorities of service accounts' certificates as PEM: with them, callers may show one. Read again when it changes.
    #[arg(long = "tls-client-ca", env = "USERPOOL_TLS_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
}

/// Kafka: the section `[kafka]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct KafkaSettings {
    /// Some of the brokers: `host:port`, separated by commas. Without any, events wait in the log.
    #[arg(long = "kafka-brokers", env = "USERPOOL_KAFKA_BROKERS", value_name = "HOST:PORT,…")]
    pub brokers: Option<String>,
    /// Put before the names of topics.
    #[arg(long = "kafka-prefix", env = "USERPOOL_KAFKA_PREFIX")]
    pub prefix: Option<String>,
    /// Whether topics that are missing are created at start [default: true].
    #[arg(long = "kafka-create-topics", env = "USERPOOL_KAFKA_CREATE_TOPICS", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub create_topics: Option<bool>,
    /// Replicas of a topic that is created [default: 3, or as many as there are brokers].
    #[arg(long = "kafka-replication", env = "USERPOOL_KAFKA_REPLICATION", value_name = "NUMBER")]
    pub replication: Option<u16>,
    /// Any setting of librdkafka, as `name=value`; in the variable one a line. For TLS and SASL.
    #[arg(long = "kafka-property", env = "USERPOOL_KAFKA_PROPERTIES", hide_env_values = true, value_parser = PropertiesParser, value_name = "NAME=VALUE")]
    #[serde(with = "properties")]
    pub properties: Option<Vec<Properties>>,
}

/// What a password's hash costs (argon2id): the section `[password-hash]`. A change is carried out user by user, at sign-in.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PasswordHashSettings {
    /// Memory of one hash of argon2id, in KiB [default: 19456].
    #[arg(long = "password-hash-memory", env = "USERPOOL_PASSWORD_HASH_MEMORY", value_name = "KIB")]
    pub memory: Option<u32>,
    /// How often the memory is passed over [default: 2].
    #[arg(long = "password-hash-passes", env = "USERPOOL_PASSWORD_HASH_PASSES", value_name = "NUMBER")]
    pub passes: Option<u32>,
    /// Lanes of argon2id, its degree of parallelism [default: 1].
    #[arg(long = "password-hash-lanes", env = "USERPOOL_PASSWORD_HASH_LANES", value_name = "NUMBER")]
    pub lanes: Option<u32>,
}

/// The reason why settings can't be used.
#[allow(missing_docs, reason = "the messages say it")]
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("the configuration file {path} can't be read: {source}")]
    Unreadable { path: String, source: std::io::Error },
    /// The file holds a secret, and others can read it.
    #[error("the configuration file {path} has {name}: {source}")]
    Exposed { path: String, name: &'static str, source: SecretFileError },
    /// The file is not TOML, or has an unknown key. The line itself may hold a secret and is not shown.
    #[error("{path}, line {line}: {reason}")]
    File { path: String, line: usize, reason: String },
    /// The settings can't be merged. Each source was read before, so no cause of this is known.
    #[error("the settings can't be merged: {0}")]
    Together(String),
    /// The settings were read, but some are wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
}

impl ConfigArguments {
    /// All settings; flags and variables take precedence over the file.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        match &self.config {
            Some(path) => self.settings.clone().over(Settings::read(path)?),
            None => Ok(self.settings.clone()),
        }
    }

    /// The configuration of a server, checked.
    pub fn server(&self) -> Result<ServerConfig, ConfigError> {
        Ok(ServerConfig::new(self.settings()?)?)
    }
}

impl KafkaSettings {
    /// The connection of a command that needs brokers. The section of a server's file fills in what is absent.
    pub fn connection(self, file: Option<&Path>) -> Result<KafkaConfig, ConfigError> {
        let own = Settings { kafka: self, ..Settings::default() };
        let settings = match file {
            Some(path) => own.over(Settings::read(path)?)?,
            None => own,
        };
        Ok(server::brokers(settings.kafka).map_err(|problem| Problems(vec![problem]))?)
    }
}

impl Settings {
    /// Reads a configuration file. A file with secrets must not be readable by others.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let named = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: named(), source })?;
        let settings =
            Self::parse(&text).map_err(|(line, reason)| ConfigError::File { path: named(), line, reason })?;
        match settings.secret() {
            Some(name) => secret_file::look_at(path).map(|()| settings).map_err(|source| ConfigError::Exposed {
                path: named(),
                name,
                source,
            }),
            None => Ok(settings),
        }
    }

    /// The name of a setting that is a secret, if there is one.
    fn secret(&self) -> Option<&'static str> {
        let (email, sms) = (self.email.as_ref(), self.sms.as_ref());
        let mut properties = self.kafka.properties.iter().flatten().flatten();
        [
            ("database.url", self.database.url.as_ref().is_some_and(has_password)),
            ("email.password", email.is_some_and(|email| email.password.is_some())),
            ("sms.authorization", sms.is_some_and(|sms| sms.authorization.is_some())),
            ("sms.headers", sms.is_some_and(|sms| !sms.headers.is_empty())),
            ("kafka.properties", properties.any(|(name, _)| properties::is_secret(name))),
        ]
        .into_iter()
        .find_map(|(name, is_there)| is_there.then_some(name))
    }

    /// Parses the text of a file. An error has the line and the reason.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            (before.matches('\n').count() + 1, error.message().to_owned())
        })
    }

    /// These settings; `others` fill in absent ones.
    fn over(self, mut others: Self) -> Result<Self, ConfigError> {
        // These two have no flags, so only the file can set them.
        let (email, sms) = (others.email.take(), others.sms.take());
        let table =
            |settings| toml::Table::try_from(settings).map_err(|error| ConfigError::Together(error.to_string()));
        let mut merged = table(others)?;
        lay_over(&mut merged, table(self)?);
        let merged: Result<Self, toml::de::Error> = merged.try_into();
        let merged = merged.map_err(|error| ConfigError::Together(error.message().to_owned()))?;
        Ok(Self { email, sms, ..merged })
    }
}

fn lay_over(below: &mut toml::Table, above: toml::Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Whether a URL has a password, before the host or as a parameter. A malformed one counts as having one.
fn has_password(url: &Secret) -> bool {
    Url::parse(&url.0)
        .map_or(true, |url| url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password"))
}

/// A network, or an address as a network of one.
fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse().map(|address: std::net::IpAddr| IpNet::from(address));
    text.parse().or_else(|_| address()).map_err(|_| format!("`{text}` is neither an address nor a network"))
}

fn networks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<IpNet>>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(deserializer)?;
    let read = |texts: Vec<String>| texts.iter().map(|text| network(text)).collect::<Result<_, _>>();
    texts.map(read).transpose().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_with_secrets_must_not_be_readable_by_others() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("userpool.toml");
        let email = "[email]\nhost = 'mail.example'\nsecurity = 'tls'\nfrom = 'a@b.example'\n";
        for (text, secret) in [
            ("region = 'eu-west-1'".to_owned(), None),
            ("database.url = 'postgres://users@db.example/users?sslmode=verify-full'".to_owned(), None),
            ("[kafka.properties]\n'sasl.username' = 'me'\n'ssl.key.location' = '/key'".to_owned(), None),
            (email.to_owned(), None),
            ("database.url = 'postgres://users:hunter2@db.example/users'".to_owned(), Some("database.url")),
            ("database.url = 'postgres://db.example/users?password=hunter2'".to_owned(), Some("database.url")),
            ("[kafka.properties]\n'sasl.password' = 'hunter2'".to_owned(), Some("kafka.properties")),
            (format!("{email}username = 'me'\npassword = 'hunter2'"), Some("email.password")),
        ] {
            std::fs::write(&path, &text).unwrap();
            for (mode, is_exposed) in [(0o644, true), (0o600, false), (0o440, false)] {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
                match (Settings::read(&path), secret.filter(|_| is_exposed)) {
                    (Ok(_), None) => {}
                    (Err(ConfigError::Exposed { name, .. }), Some(expected)) => assert_eq!(name, expected),
                    (read, _) => panic!("{text} {mode:o}: {:?}", read.map(drop)),
                }
            }
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        config: ConfigArguments,
    }

    fn line(arguments: &[&str]) -> Settings {
        Line::try_parse_from([&["userpool"], arguments].concat()).unwrap().config.settings
    }

    /// The file's key of every flag: the flag itself, or a section and the rest.
    fn keys(table: &toml::Table, prefix: &str) -> Vec<String> {
        let nested = |(key, value): (&String, &toml::Value)| match value {
            toml::Value::Table(table) if key != "properties" => keys(table, &format!("{prefix}{key}-")),
            _ => vec![format!("{prefix}{key}")],
        };
        table.iter().flat_map(nested).collect()
    }

    const EVERYTHING: &str = r#"
        grpc-addr = "127.0.0.1:1"
        http-addr = "127.0.0.1:2"
        public-url = "https://users.example"
        tls-terminated-elsewhere = true
        trusted-proxies = ["10.0.0.0/8", "::1"]
        account-id = "000000000000"
        region = "eu-west-1"
        master-keys-file = "/keys"
        hashing-threads = 2
        activity-months = 3
        shutdown-pause = 0
        delete-groups-with-members = true
        recovery-ends-sessions = false
        log-format = "json"
        [database]
        url = "postgres://somebody:hunter2@127.0.0.1/users"
        connections = 7
        without-tls = true
        [tls]
        certificate = "/tls.crt"
        key = "/tls.key"
        client-ca = "/callers.crt"
        [kafka]
        brokers = "one:1"
        prefix = "p."
        create-topics = false
        replication = 1
        [kafka.properties]
        "sasl.password" = "hunter2"
        [password-hash]
        memory = 20000
        passes = 3
        lanes = 2
        [connections]
        most = 100
        calls = 200
        streams = 10
        handshakes = 20
        bodies = 16
        share = 50
        without-share = ["10.0.0.1"]
        longest-handshake = 1
        longest-headers = 2
        longest-body = 3
        longest-answer = 4
        longest-idle = 5
        ping = 6
        [limits]
        groups-per-pool = 1
        clients-per-pool = 2
        custom-attributes-per-pool = 3
        groups-per-user = 4
        identities-per-user = 5
        devices-per-user = 6
        passkeys-per-user = 6
        codes-to-address = 1
        codes-by-caller = 2
        sms-by-caller = 3
        codes-by-client = 4
        guesses-by-caller = 5
        password-changes = 6
        replicas = 7
        [limits.quotas]
        user-authentication = 8
        user-creation = 9
        user-federation = 10
        user-account-recovery = 11
        user-read = 12
        user-update = 13
        user-token = 14
        user-resource-read = 15
        user-resource-update = 16
        user-list = 17
        user-pool-read = 18
        user-pool-update = 19
        user-pool-resource-read = 20
        user-pool-resource-update = 21
        user-pool-client-read = 22
        user-pool-client-update = 23
        client-authentication = 24
        [triggers]
        await = ["post-confirmation"]
        [email]
        host = "smtp.example"
        from = "users@example.com"
    "#;

    #[test]
    fn every_setting_is_a_key_a_flag_and_a_variable_of_one_name() {
        let everything = Settings::parse(EVERYTHING).unwrap();
        let mut keys = keys(&toml::Table::try_from(everything).unwrap(), "");
        keys.push("config".to_owned());
        let command = Line::command();
        let flags = command.get_arguments().filter(|argument| argument.get_id() != "help");
        for argument in flags {
            let flag = argument.get_long().unwrap();
            let variable = argument.get_env().unwrap().to_str().unwrap();
            let key = if flag == "kafka-property" { "kafka-properties" } else { flag };
            assert_eq!(variable, format!("USERPOOL_{}", key.to_uppercase().replace('-', "_")), "--{flag}");
            let position = keys.iter().position(|other| other == key);
            keys.remove(position.unwrap_or_else(|| panic!("no key for --{flag}, or EVERYTHING lacks it")));
        }
        assert_eq!(keys, Vec::<String>::new(), "keys without a flag");
    }

    #[test]
    fn flags_take_precedence_over_the_file() {
        let flags = line(&["--region", "eu-north-1", "--kafka-prefix=q.", "--tls-terminated-elsewhere"]);
        let merged = flags.over(Settings::parse(EVERYTHING).unwrap()).unwrap();
        assert_eq!((merged.region.as_deref(), merged.kafka.prefix.as_deref()), (Some("eu-north-1"), Some("q.")));
        assert_eq!(merged.kafka.brokers.as_deref(), Some("one:1"));
        assert_eq!(merged.email.unwrap().host, "smtp.example");
        assert_eq!(merged.kafka.properties.unwrap().concat().len(), 1);
        assert_eq!(merged.trusted_proxies.unwrap().len(), 2);
    }

    #[test]
    fn properties_of_the_command_line_are_pairs() {
        let settings = line(&["--kafka-property", "a=b=c", "--kafka-property", "d="]);
        let expected = [("a", "b=c"), ("d", "")].map(|(name, value)| vec![(name.to_owned(), Secret(value.to_owned()))]);
        assert_eq!(settings.kafka.properties.unwrap(), expected);
        assert!(Line::try_parse_from(["userpool", "--kafka-property", "a"]).is_err());
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_no_value_of_the_file_is_shown() {
        let (line, reason) = Settings::parse("region = 'x'\n\n[database]\nulr = 'postgres://hunter2'\n").unwrap_err();
        assert_eq!(line, 4);
        assert!(reason.starts_with("unknown field `ulr`") && !reason.contains("hunter2"), "{reason}");
        let (line, reason) = Settings::parse("trusted-proxies = ['10.0.0.0/40']").unwrap_err();
        let (_, unknown) = Settings::parse("[limits]\ngroups = 5\n").unwrap_err();
        assert!(unknown.starts_with("unknown field `groups`"), "{unknown}");
        assert_eq!((line, reason.as_str()), (1, "`10.0.0.0/40` is neither an address nor a network"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", Settings::parse(EVERYTHING).unwrap());
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = Settings::parse(&text);
        }
    }
}
