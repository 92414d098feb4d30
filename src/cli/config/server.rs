//! The checked configuration of a server: its settings are complete and safe.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::api::listener::{Limits, Tls, TlsError, TlsFiles};
use crate::api::trusted_proxies::TrustedProxies;
use crate::app::hashing::Cost;
use crate::app::{self, Identity};
use crate::cli::config::{CountSettings, KafkaSettings, LogFormat, PasswordHashSettings, Settings, TlsSettings};
use crate::delivery::Way;
use crate::delivery::settings::{Secret, SettingsError};
use crate::kafka::config::{self as kafka, KafkaConfig};
use crate::limits::Counts;
use crate::secret_file::{self, SecretFileError};
use crate::store::activity::DEFAULT_RETENTION_MONTHS;
use crate::store::keys::{MasterKeys, MasterKeysError};

/// A consistent configuration; the files that it names were read.
#[derive(Debug)]
pub struct ServerConfig {
    /// The address of the gRPC listener.
    pub grpc_addr: SocketAddr,
    /// The address of the HTTP listener.
    pub http_addr: SocketAddr,
    /// TLS of both listeners; absent if a proxy terminates it, or if both listen only on the loopback.
    pub tls: Option<Arc<Tls>>,
    /// Names that are part of ids and tokens.
    pub identity: Identity,
    /// Proxies that we believe about the caller's address.
    pub proxies: TrustedProxies,
    /// What callers may use of the listeners.
    pub limits: Limits,
    /// The URL of the Postgres database, with its password if it has one.
    pub database_url: Secret,
    /// Most connections to the database.
    pub connections: u32,
    /// The keys that wrap all other keys, from the master keys' file.
    pub master_keys: Arc<MasterKeys>,
    /// Brokers and topics; absent if no brokers are set.
    pub kafka: Option<KafkaConfig>,
    /// The cost of one password hash.
    pub cost: Cost,
    /// Number of threads that hash passwords.
    pub hashing_threads: u32,
    /// The operator's settings for all pools.
    pub app_settings: app::Settings,
    /// How messages are delivered.
    pub delivery: Way,
    /// For how many months activity, such as sign-ins, is kept.
    pub activity_months: u32,
    /// How long a stopping server still accepts connections.
    pub shutdown_pause: Duration,
    /// The format of the log on standard error.
    pub log_format: LogFormat,
    /// Warnings to log at start.
    pub cautions: Vec<Caution>,
}

/// A setting that is allowed, but less safe than it may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caution {
    /// The database's certificate is not verified.
    DatabaseUnverified,
}

impl fmt::Display for Caution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DatabaseUnverified => {
                "database.url has sslmode=require, which verifies nothing: an attacker on the network can pose as the database, and read and change everything; use sslmode=verify-full with sslrootcert"
            }
        })
    }
}

/// A problem with the settings.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A required setting is missing.
    #[error("{0} is missing: set {1}, --{0} or the key in the configuration file")]
    Missing(&'static str, &'static str),
    /// The address is malformed.
    #[error("public-url is an address such as https://users.example.com, without `?` and `#`")]
    PublicUrl,
    /// Tokens would name an issuer whose keys an attacker on the network can replace.
    #[error("public-url has no TLS: use https, or set tls-terminated-elsewhere if only callers inside a mesh use it")]
    PublicUrlWithoutTls,
    /// Passwords would cross the network unencrypted.
    #[error(
        "{0} can be reached from elsewhere and has no TLS: set tls.certificate and tls.key, listen on 127.0.0.1, or set tls-terminated-elsewhere if a proxy in front has it"
    )]
    ListenerWithoutTls(SocketAddr),
    /// Only one of the two files is set.
    #[error("tls.certificate and tls.key belong together")]
    HalfOfTls,
    /// Without TLS, no caller can present a certificate.
    #[error("tls.client-ca is of no use without TLS: set tls.certificate and tls.key")]
    ClientCaWithoutTls,
    /// The proxy's own certificate would authenticate every caller behind it.
    #[error(
        "tls.client-ca and tls-terminated-elsewhere exclude each other: certificates would be those of the proxy, not of callers"
    )]
    ClientCaBehindProxy,
    /// The files of TLS can't be used.
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    /// The database's URL is malformed. It may hold a password, so it is not shown.
    #[error("database.url is not a URL of Postgres")]
    DatabaseUrl,
    /// Users' data would cross the network unencrypted.
    #[error(
        "the database is on another machine and may be reached without TLS: add sslmode=verify-full to database.url, or set database.without-tls if the network is safe"
    )]
    DatabaseWithoutTls,
    /// The file of the private key with which this server authenticates to the database.
    #[allow(missing_docs, reason = "the message says it")]
    #[error("database.url: sslkey {path}: {source}")]
    DatabaseKey { path: String, source: SecretFileError },
    /// A number outside of its range.
    #[error("{0} is between {1} and {2}")]
    Range(&'static str, u64, u64),
    /// A single caller could not send the largest bodies that are allowed.
    #[error(
        "connections.share of connections.bodies is less than {0} MiB: one address has no room for two of the largest requests"
    )]
    SmallShare(usize),
    /// The account id is malformed.
    #[error("account-id has 12 digits")]
    AccountId,
    /// The region is malformed.
    #[error("region is made of small letters, digits and dashes, at most 40 of them")]
    Region,
    /// The cost of a hash is too low.
    #[error(
        "password-hash is too weak: memory is at least 7168 KiB, and memory times passes at least 35840 (OWASP's recommendations)"
    )]
    WeakHash,
    /// argon2id does not accept the parameters.
    #[error("password-hash is not possible: {0}")]
    Hash(String),
    /// The settings of Kafka are wrong.
    #[error("kafka: {0}")]
    Kafka(#[from] kafka::ConfigError),
    /// The file of the master keys can't be used.
    #[error(transparent)]
    MasterKeys(#[from] MasterKeysError),
    /// The settings of the mail relay or of the SMS gateway are wrong.
    #[error(transparent)]
    Delivery(#[from] SettingsError),
}

/// All problems, one per line.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

const DEFAULT_GRPC_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 50051);
const DEFAULT_HTTP_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8080);

impl ServerConfig {
    /// Checks settings and reads the files that they name. Reports all problems at once.
    pub fn new(settings: Settings) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut checked = Checked(&mut problems);
        let counts = checked.counts(&settings.limits.counts);
        let app_settings = app_settings(&settings, counts);
        let elsewhere = settings.tls_terminated_elsewhere.unwrap_or(false);
        let grpc_addr = settings.grpc_addr.unwrap_or(DEFAULT_GRPC_ADDR);
        let http_addr = settings.http_addr.unwrap_or(DEFAULT_HTTP_ADDR);
        let tls = checked.take(tls(settings.tls.clone(), elsewhere)).flatten();
        let has_certificate = settings.tls.certificate.is_some();
        for address in [grpc_addr, http_addr] {
            let exposed = !address.ip().is_loopback() && !has_certificate && !elsewhere;
            checked.unless(exposed, || Problem::ListenerWithoutTls(address));
        }
        let identity =
            checked.identity(settings.public_url.as_deref(), settings.account_id, settings.region, elsewhere);
        let database =
            checked.take(database_url(settings.database.url, settings.database.without_tls.unwrap_or(false)));
        let master_keys = checked.take(master_keys(settings.master_keys_file.as_deref()));
        let kafka = checked.take(kafka_config(settings.kafka)).flatten();
        let cost = checked.take(cost(&settings.password_hash));
        let delivery =
            checked.take(Way::network(settings.email.as_ref(), settings.sms.as_ref()).map_err(Problem::from));
        let hashing_threads = checked.hashing_threads(settings.hashing_threads);
        // At least two: a worker may hold one while a command commits.
        let connections = checked.range("database.connections", settings.database.connections, 20, 2..=1_000);
        let activity_months =
            checked.range("activity-months", settings.activity_months, DEFAULT_RETENTION_MONTHS, 1..=1_200);
        let shutdown_pause = checked.shutdown_pause(settings.shutdown_pause);
        let limits = settings.connections.limits(&mut checked);
        let required = (identity, database, master_keys, cost, delivery);
        let (Some(identity), Some((database_url, caution)), Some(master_keys), Some(cost), Some(delivery)) = required
        else {
            return Err(Problems(problems));
        };
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(Self {
            grpc_addr,
            http_addr,
            tls,
            identity,
            proxies: TrustedProxies::new(settings.trusted_proxies.unwrap_or_default()),
            limits,
            database_url,
            connections,
            master_keys,
            cost,
            hashing_threads,
            app_settings: app::Settings {
                sends_passwords: kafka.as_ref().is_some_and(KafkaConfig::is_encrypted),
                ..app_settings
            },
            kafka,
            delivery,
            activity_months,
            shutdown_pause,
            log_format: settings.log_format.unwrap_or_default(),
            cautions: caution.into_iter().collect(),
        })
    }
}

/// What the use cases need of the settings, these counts included.
fn app_settings(settings: &Settings, counts: Counts) -> app::Settings {
    app::Settings {
        delete_groups_with_members: settings.delete_groups_with_members.unwrap_or(false),
        recovery_ends_sessions: settings.recovery_ends_sessions.unwrap_or(true),
        awaited: settings.triggers.awaited(),
        allowances: settings.limits.allowances(),
        counts,
        ..app::Settings::default()
    }
}

fn master_keys(file: Option<&Path>) -> Result<Arc<MasterKeys>, Problem> {
    let file = file.ok_or(Problem::Missing("master-keys-file", "USERPOOL_MASTER_KEYS_FILE"))?;
    Ok(Arc::new(MasterKeys::read(file)?))
}

/// Collects problems while settings are checked.
pub(super) struct Checked<'a>(&'a mut Vec<Problem>);

impl Checked<'_> {
    fn take<T>(&mut self, checked: Result<T, Problem>) -> Option<T> {
        checked.map_err(|problem| self.0.push(problem)).ok()
    }

    pub(super) fn unless(&mut self, wrong: bool, problem: impl FnOnce() -> Problem) {
        if wrong {
            self.0.push(problem());
        }
    }

    /// The names that are part of ids and tokens.
    fn identity(
        &mut self,
        url: Option<&str>,
        account_id: Option<String>,
        region: Option<String>,
        tls_ends_elsewhere: bool,
    ) -> Option<Identity> {
        let public_url = self.take(public_url(url, tls_ends_elsewhere));
        let account_id = account_id.unwrap_or_else(|| "123456789012".to_owned());
        let is_account = account_id.len() == 12 && account_id.bytes().all(|byte| byte.is_ascii_digit());
        self.unless(!is_account, || Problem::AccountId);
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        self.unless(!is_region(&region), || Problem::Region);
        Some(Identity { public_url: public_url?, account_id, region })
    }

    /// The number of cores, unless set.
    fn hashing_threads(&mut self, asked: Option<u32>) -> u32 {
        let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        self.range("hashing-threads", asked, cores, 1..=1_024)
    }

    fn shutdown_pause(&mut self, asked: Option<u64>) -> Duration {
        let seconds = asked.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
        Duration::from_secs(u64::from(self.range("shutdown-pause", seconds, 5, 0..=300)))
    }

    /// Asserting a limit counts rows, so the limits themselves are bounded.
    fn counts(&mut self, settings: &CountSettings) -> Counts {
        let default = Counts::default();
        Counts {
            groups_per_pool: self.range(
                "limits.groups-per-pool",
                settings.groups_per_pool,
                default.groups_per_pool,
                1..=100_000,
            ),
            clients_per_pool: self.range(
                "limits.clients-per-pool",
                settings.clients_per_pool,
                default.clients_per_pool,
                1..=10_000,
            ),
            custom_attributes_per_pool: self.range(
                "limits.custom-attributes-per-pool",
                settings.custom_attributes_per_pool,
                default.custom_attributes_per_pool,
                0..=50,
            ),
            groups_per_user: self.range(
                "limits.groups-per-user",
                settings.groups_per_user,
                default.groups_per_user,
                0..=1_000,
            ),
            identities_per_user: self.range(
                "limits.identities-per-user",
                settings.identities_per_user,
                default.identities_per_user,
                0..=50,
            ),
            devices_per_user: self.range(
                "limits.devices-per-user",
                settings.devices_per_user,
                default.devices_per_user,
                1..=1_000,
            ),
            passkeys_per_user: self.range(
                "limits.passkeys-per-user",
                settings.passkeys_per_user,
                default.passkeys_per_user,
                0..=50,
            ),
        }
    }

    pub(super) fn range(
        &mut self,
        name: &'static str,
        value: Option<u32>,
        default: u32,
        range: std::ops::RangeInclusive<u32>,
    ) -> u32 {
        let value = value.unwrap_or(default);
        self.unless(!range.contains(&value), || {
            Problem::Range(name, u64::from(*range.start()), u64::from(*range.end()))
        });
        value
    }
}

fn tls(settings: TlsSettings, elsewhere: bool) -> Result<Option<Arc<Tls>>, Problem> {
    let TlsSettings { certificate, key, client_ca } = settings;
    if client_ca.is_some() && elsewhere {
        return Err(Problem::ClientCaBehindProxy);
    }
    match (certificate, key) {
        (None, None) if client_ca.is_some() => Err(Problem::ClientCaWithoutTls),
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(Tls::read(TlsFiles { certificate, key, client_ca })?)),
        _ => Err(Problem::HalfOfTls),
    }
}

fn public_url(url: Option<&str>, tls_elsewhere: bool) -> Result<String, Problem> {
    let url = url.ok_or(Problem::Missing("public-url", "USERPOOL_PUBLIC_URL"))?;
    let parsed: Uri = url.parse().map_err(|_| Problem::PublicUrl)?;
    let host = parsed.host().ok_or(Problem::PublicUrl)?;
    let user_info = parsed.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if parsed.query().is_some() || url.contains('#') || user_info {
        return Err(Problem::PublicUrl);
    }
    match parsed.scheme_str() {
        Some("https") => {}
        Some("http") if tls_elsewhere || is_loopback(host) => {}
        Some("http") => return Err(Problem::PublicUrlWithoutTls),
        _ => return Err(Problem::PublicUrl),
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn is_loopback(host: &str) -> bool {
    let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

fn is_region(region: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&region.len()) && region.bytes().all(allowed)
}

/// The URL, and a caution about it if there is one.
fn database_url(url: Option<Secret>, without_tls: bool) -> Result<(Secret, Option<Caution>), Problem> {
    let url = url.ok_or(Problem::Missing("database-url", "USERPOOL_DATABASE_URL"))?;
    // The URL parser accepts any scheme.
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.0.starts_with(scheme)) {
        return Err(Problem::DatabaseUrl);
    }
    let options: PgConnectOptions = url.0.parse().map_err(|_| Problem::DatabaseUrl)?;
    let tls = matches!(options.get_ssl_mode(), PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    let host = options.get_host();
    let local = host.starts_with('/') || options.get_socket().is_some() || is_loopback(host);
    if !(tls || local || without_tls) {
        return Err(Problem::DatabaseWithoutTls);
    }
    if let Some(path) = client_key(&url) {
        secret_file::look_at(path.as_ref()).map_err(|source| Problem::DatabaseKey { path, source })?;
    }
    let verifies_nothing = !local && !without_tls && matches!(options.get_ssl_mode(), PgSslMode::Require);
    Ok((url, verifies_nothing.then_some(Caution::DatabaseUnverified)))
}

/// The path of a URL's `sslkey`, by either of the names that the driver reads.
fn client_key(url: &Secret) -> Option<String> {
    let url = Url::parse(&url.0).ok()?;
    let mut pairs = url.query_pairs();
    pairs.find_map(|(name, path)| matches!(&*name, "sslkey" | "ssl-key").then(|| path.into_owned()))
}

/// The connection of a command that does nothing without brokers.
pub(super) fn brokers(settings: KafkaSettings) -> Result<KafkaConfig, Problem> {
    kafka_config(settings)?.ok_or(Problem::Missing("kafka.brokers", "USERPOOL_KAFKA_BROKERS"))
}

fn kafka_config(settings: KafkaSettings) -> Result<Option<KafkaConfig>, Problem> {
    let Some(brokers) = settings.brokers else { return Ok(None) };
    let default = KafkaConfig::new(brokers);
    let properties = settings.properties.into_iter().flatten().flatten();
    let properties = properties.map(|(name, value)| (name, value.0)).collect();
    let config = KafkaConfig {
        prefix: settings.prefix.unwrap_or_default(),
        properties,
        create_topics: settings.create_topics.unwrap_or(default.create_topics),
        replication: settings.replication,
        ..default
    };
    config.check()?;
    Ok(Some(config))
}

/// OWASP's recommendations for argon2id trade memory against passes; the lowest of them is the minimum.
fn cost(settings: &PasswordHashSettings) -> Result<Cost, Problem> {
    const LEAST_MEMORY: u32 = 7_168;
    const LEAST_WORK: u64 = 35_840;
    let default = Cost::default();
    let cost = Cost {
        memory: settings.memory.unwrap_or(default.memory),
        passes: settings.passes.unwrap_or(default.passes),
        lanes: settings.lanes.unwrap_or(default.lanes),
    };
    if cost.memory < LEAST_MEMORY || u64::from(cost.memory) * u64::from(cost.passes) < LEAST_WORK {
        return Err(Problem::WeakHash);
    }
    cost.check().map_err(|error| Problem::Hash(error.to_string()))?;
    Ok(cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str, keys: &std::path::Path) -> Settings {
        let mut settings: Settings = toml::from_str(text).unwrap();
        settings.master_keys_file = Some(keys.to_owned());
        settings
    }

    /// The problems of a configuration that is right except for these settings.
    fn problems(top: &str, database_url: &str, sections: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("keys");
        let line = MasterKeys::generate_line("one", &crate::environment::Random::default());
        secret_file::create(&keys, line.as_bytes()).unwrap();
        let text = format!("{top}\ndatabase.url = '{database_url}'\n{sections}");
        match ServerConfig::new(settings(&text, &keys)) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
        }
    }

    const LOCAL: &str = "grpc-addr = '127.0.0.1:0'\nhttp-addr = '[::1]:0'\npublic-url = 'https://users.example/'";
    const DATABASE: &str = "postgres://127.0.0.1/users";

    fn only(problems: &[String], beginning: &str) {
        assert!(problems.len() == 1 && problems[0].starts_with(beginning), "{beginning}: {problems:?}");
    }

    #[test]
    fn minimal_settings_are_enough() {
        assert_eq!(problems(LOCAL, DATABASE, ""), Vec::<String>::new());
    }

    #[test]
    fn all_missing_settings_are_named_at_once() {
        let Err(Problems(problems)) = ServerConfig::new(Settings::default()) else { panic!("nothing is missing") };
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        for name in ["public-url", "database-url", "master-keys-file", "0.0.0.0:50051", "0.0.0.0:8080"] {
            assert!(texts.iter().any(|text| text.starts_with(name)), "{name}: {texts:?}");
        }
    }

    #[test]
    fn one_address_has_room_for_the_largest_request() {
        let with = |bodies: u32, share: u32| {
            problems(LOCAL, DATABASE, &format!("connections = {{ bodies = {bodies}, share = {share} }}"))
        };
        for (bodies, share) in [(8, 25), (64, 4), (8, 100), (65_536, 1)] {
            assert_eq!(with(bodies, share), Vec::<String>::new(), "{share} % of {bodies}");
        }
        for (bodies, share) in [(8, 24), (64, 3), (64, 1)] {
            only(&with(bodies, share), "connections.share of connections.bodies is less than 2 MiB");
        }
    }

    #[test]
    fn listeners_that_others_reach_need_tls() {
        let exposed = LOCAL.replace("[::1]:0", "10.0.0.1:80");
        only(&problems(&exposed, DATABASE, ""), "10.0.0.1:80 can be reached from elsewhere");
        let behind = format!("{exposed}\ntls-terminated-elsewhere = true");
        assert_eq!(problems(&behind, DATABASE, ""), Vec::<String>::new());
        only(&problems(&exposed, DATABASE, "[tls]\ncertificate = '/nowhere'\nkey = '/nowhere'"), "tls: /nowhere");
        only(&problems(LOCAL, DATABASE, "[tls]\nkey = '/nowhere'"), "tls.certificate and tls.key belong together");
    }

    #[test]
    fn client_certificates_need_tls_without_a_proxy() {
        let with = |top: &str, more: &str| {
            problems(&format!("{LOCAL}\n{top}"), DATABASE, &format!("[tls]\nclient-ca = '/nowhere'\n{more}"))
        };
        let both = "certificate = '/nowhere'\nkey = '/nowhere'";
        only(&with("", ""), "tls.client-ca is of no use without TLS");
        only(&with("", "key = '/nowhere'"), "tls.certificate and tls.key belong together");
        for tls in ["", both] {
            only(&with("tls-terminated-elsewhere = true", tls), "tls.client-ca and tls-terminated-elsewhere exclude");
        }
        only(&with("", both), "tls: /nowhere");
    }

    #[test]
    fn the_public_url_needs_https_except_on_this_machine() {
        let with = |url: &str| problems(&LOCAL.replace("https://users.example/", url), DATABASE, "");
        for url in ["https://users.example:8443/a/b", "http://localhost:8080", "http://[::1]:1", "http://127.0.0.1"] {
            assert_eq!(with(url), Vec::<String>::new(), "{url}");
        }
        only(&with("http://users.example"), "public-url has no TLS");
        for url in ["users.example", "", "https://", "ftp://a", "https://a?b", "https://a/#b", "https://me@a"] {
            only(&with(url), "public-url is an address");
        }
    }

    #[test]
    fn a_remote_database_needs_tls() {
        let with = |url: &str, sections: &str| problems(LOCAL, url, sections);
        only(&with("postgres://db.example/users", ""), "the database is on another machine");
        only(&with("postgres://db.example/users?sslmode=prefer", ""), "the database is on another machine");
        only(&with("mysql:hunter2", ""), "database.url is not a URL of Postgres");
        let safe = ["postgres://db.example/users?sslmode=verify-full", "postgres:///users?host=/run/postgresql"];
        for url in safe.into_iter().chain(["postgres://localhost/users"]) {
            assert_eq!(with(url, ""), Vec::<String>::new(), "{url}");
        }
        assert_eq!(with("postgres://db.example/users", "database.without-tls = true"), Vec::<String>::new());
    }

    #[test]
    fn an_unverified_database_is_warned_of() {
        let told = |mode: &str, without_tls: bool, host: &str| {
            let url = Secret(format!("postgres://{host}/users?sslmode={mode}"));
            database_url(Some(url), without_tls).map(|(_, caution)| caution).map_err(|problem| problem.to_string())
        };
        assert_eq!(told("require", false, "db.example"), Ok(Some(Caution::DatabaseUnverified)));
        for (mode, without_tls, host) in [
            ("verify-full", false, "db.example"),
            ("verify-ca", false, "db.example"),
            ("require", false, "127.0.0.1"),
            ("require", true, "db.example"),
            ("disable", true, "db.example"),
        ] {
            assert_eq!(told(mode, without_tls, host), Ok(None), "{mode} {host}");
        }
        let caution = Caution::DatabaseUnverified.to_string();
        assert!(caution.contains("verify-full") && caution.contains("verifies nothing"), "{caution}");
        assert!(!told("prefer", false, "db.example").unwrap_err().contains("require"));
    }

    #[test]
    fn keys_that_others_can_read_are_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("keys");
        secret_file::create(&keys, MasterKeys::generate_line("one", &Default::default()).as_bytes()).unwrap();
        let told = |url: &str| {
            let text = format!("{LOCAL}\ndatabase.url = '{url}'");
            match ServerConfig::new(settings(&text, &keys)) {
                Ok(_) => Vec::new(),
                Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
            }
        };
        let key_of_client = directory.path().join("client key");
        secret_file::create(&key_of_client, b"").unwrap();
        let url = format!("{DATABASE}?sslkey={}", key_of_client.display().to_string().replace(' ', "%20"));
        for (mode, refused) in [(0o600, false), (0o440, false), (0o644, true), (0o666, true), (0o660, true)] {
            std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(mode)).unwrap();
            std::fs::set_permissions(&key_of_client, std::fs::Permissions::from_mode(mode)).unwrap();
            let told = told(&url);
            assert_eq!(told.len(), if refused { 2 } else { 0 }, "{mode:o}: {told:?}");
            let mode = format!("mode {mode:04o}");
            assert!(told.iter().all(|told| told.contains(&mode)), "{told:?}");
        }
    }

    #[test]
    fn a_hash_costs_at_least_the_recommendations() {
        let with = |hash: &str| problems(LOCAL, DATABASE, &format!("[password-hash]\n{hash}"));
        only(&with("passes = 1"), "password-hash is too weak");
        only(&with("memory = 7167\npasses = 100"), "password-hash is too weak");
        only(&with("lanes = 0"), "password-hash is not possible");
        assert_eq!(with("memory = 7168\npasses = 5"), Vec::<String>::new());
        assert_eq!(with("memory = 47104\npasses = 1"), Vec::<String>::new());
    }

    #[test]
    fn all_other_settings_have_bounds() {
        for (line, beginning) in [
            ("hashing-threads = 0", "hashing-threads is between 1 and"),
            ("activity-months = 0", "activity-months is between 1 and"),
            ("limits.groups-per-pool = 0", "limits.groups-per-pool is between 1 and 100000"),
            ("limits.clients-per-pool = 10001", "limits.clients-per-pool is between 1 and 10000"),
            ("limits.custom-attributes-per-pool = 51", "limits.custom-attributes-per-pool is between 0 and 50"),
            ("limits.groups-per-user = 1001", "limits.groups-per-user is between 0 and 1000"),
            ("limits.identities-per-user = 51", "limits.identities-per-user is between 0 and 50"),
            ("limits.passkeys-per-user = 51", "limits.passkeys-per-user is between 0 and 50"),
            ("shutdown-pause = 301", "shutdown-pause is between 0 and 300"),
            ("account-id = '12345678901x'", "account-id has 12 digits"),
            ("region = 'EU'", "region is made of"),
            ("connections.most = 0", "connections.most is between 1 and"),
            ("connections.share = 101", "connections.share is between 1 and 100"),
            ("connections.bodies = 7", "connections.bodies is between 8 and"),
            ("connections.ping = 0", "connections.ping is between 1 and"),
            ("database.connections = 1", "database.connections is between 2 and"),
            ("kafka.brokers = ' '", "kafka: no Kafka brokers are named"),
        ] {
            only(&problems(&format!("{LOCAL}\n{line}"), DATABASE, ""), beginning);
        }
        let reserved = "[kafka]\nbrokers = 'one:1'\n[kafka.properties]\nacks = '1'";
        only(&problems(LOCAL, DATABASE, reserved), "kafka: the Kafka property acks");
    }
}
