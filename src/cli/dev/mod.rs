//! `userpool dev`: everything on this machine, without any setup.

pub mod environment_file;
pub mod postgres;
pub mod seed;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::api::listener::Limits;
use crate::api::trusted_proxies::TrustedProxies;
use crate::app::hashing::{Cost, Hasher};
use crate::app::{App, Identity, Settings};
use crate::cli::config::{LimitSettings, LogFormat, TriggerSettings};
use crate::cli::database::operator_origin;
use crate::cli::dev::environment_file::EnvironmentFile;
use crate::cli::dev::postgres::PrivatePostgres;
use crate::cli::dev::seed::Seed;
use crate::cli::server::{self, Listeners, Services};
use crate::cli::shutdown::{self, Shutdown};
use crate::cli::telemetry::Telemetry;
use crate::delivery::Way;
use crate::domain::ids::AccessKeyId;
use crate::domain::trigger::Trigger;
use crate::environment::Random;
use crate::kafka::config::KafkaConfig;
use crate::kafka::embedded::EmbeddedBroker;
use crate::kafka::relay::Relay;
use crate::kafka::topics;
use crate::limits::Allowances;
use crate::secret_file;
use crate::store::activity::DEFAULT_RETENTION_MONTHS;
use crate::store::keys::MasterKeys;
use crate::store::service_accounts::{Role, ServiceAccount};
use crate::store::system::Migrated;
use crate::store::{self, Store};
use crate::triggers::bridge::{self, Bridge, Endpoints, Membership};
use crate::triggers::{IN_FLIGHT, Triggers};

const CONNECTIONS: u32 = 20;

/// Where data is stored, and where the server listens.
#[derive(Debug, Args)]
pub struct DevArguments {
    /// The directory for data and credentials.
    #[arg(long, default_value = ".userpool")]
    data_dir: PathBuf,
    /// Address and port of the gRPC listener.
    #[arg(long, default_value = "127.0.0.1:50051")]
    grpc_addr: SocketAddr,
    /// Address and port of the HTTP listener.
    #[arg(long, default_value = "127.0.0.1:8080")]
    http_addr: SocketAddr,
    /// Allows other addresses than the loopback, without TLS: a proxy or mesh in front terminates it.
    #[arg(long)]
    tls_terminated_elsewhere: bool,
    /// A database to use instead of a private one.
    #[arg(long, env = "USERPOOL_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Kafka brokers to use instead of the one in the process.
    #[arg(long, env = "USERPOOL_KAFKA_BROKERS")]
    kafka_brokers: Option<String>,
    /// A prefix for the names of topics.
    #[arg(long, env = "USERPOOL_KAFKA_PREFIX", default_value = "")]
    kafka_prefix: String,
    /// Master keys to use instead of those in the data directory.
    #[arg(long, env = "USERPOOL_MASTER_KEYS_FILE")]
    master_keys_file: Option<PathBuf>,
    /// The beginning of every `iss`, instead of the HTTP address.
    #[arg(long, env = "USERPOOL_PUBLIC_URL")]
    public_url: Option<String>,
    /// The account in ARNs.
    #[arg(long, env = "USERPOOL_ACCOUNT_ID", default_value = "123456789012")]
    account_id: String,
    /// The region in ids and ARNs.
    #[arg(long, env = "USERPOOL_REGION", default_value = "us-east-1")]
    region: String,
    /// A file with pools, app clients, groups and users that are created unless they exist.
    #[arg(long, env = "USERPOOL_SEED", value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Allows groups with members to be deleted.
    #[arg(long, env = "USERPOOL_DELETE_GROUPS_WITH_MEMBERS")]
    delete_groups_with_members: bool,
    /// Limits calls as `serve` does: by the network of the caller as well, and by quotas.
    #[arg(long, env = "USERPOOL_PRODUCTION_LIMITS")]
    production_limits: bool,
    /// Triggers that callers wait for.
    #[command(flatten)]
    triggers: TriggerSettings,
    /// How often something may happen, and quotas with --production-limits.
    #[command(flatten)]
    limits: LimitSettings,
}

impl DevArguments {
    /// The allowances that are set, with the defaults of development or of production for the rest.
    fn allowances(&self) -> Allowances {
        self.limits.allowances_over(if self.production_limits {
            Allowances::default()
        } else {
            Allowances::development()
        })
    }

    /// There is no TLS here: only the loopback is safe, unless a proxy in front terminates it.
    fn refuse_exposure(&self) -> anyhow::Result<()> {
        let exposed = [self.grpc_addr, self.http_addr].into_iter().find(|address| !address.ip().is_loopback());
        if let Some(address) = exposed.filter(|_| !self.tls_terminated_elsewhere) {
            anyhow::bail!(
                "{address} can be reached from elsewhere and has no TLS: listen on 127.0.0.1, or say --tls-terminated-elsewhere if a proxy in front has it"
            );
        }
        Ok(())
    }
}

/// Starts everything, and runs until Ctrl-C.
pub async fn run(arguments: DevArguments) -> anyhow::Result<()> {
    let telemetry = Telemetry::start(LogFormat::Text)?;
    let ran = start(arguments, &telemetry).await;
    telemetry.stop().await;
    ran
}

async fn start(arguments: DevArguments, telemetry: &Telemetry) -> anyhow::Result<()> {
    let stop = shutdown::at_signal()?;
    arguments.refuse_exposure()?;
    let seed = arguments.seed.as_deref().map(Seed::read).transpose()?;
    let listeners = Listeners::bind(arguments.grpc_addr, arguments.http_addr).await?;
    std::fs::create_dir_all(&arguments.data_dir)
        .with_context(|| format!("the data directory {} can't be made", arguments.data_dir.display()))?;
    let previous = EnvironmentFile::read(&arguments.data_dir);
    let external_database = arguments.database_url.clone().filter(|url| !previous.is_own_database(url));
    let postgres = match &external_database {
        Some(_) => None,
        None => Some(PrivatePostgres::start(&arguments.data_dir).await?),
    };
    let url = external_database.clone().or_else(|| postgres.as_ref().map(PrivatePostgres::url)).unwrap_or_default();
    let database = DatabaseInUse { url, is_own: postgres.is_some() };
    let served = serve(&arguments, telemetry, listeners, &previous, database, seed, stop).await;
    if let Some(postgres) = postgres {
        postgres.stop().await?;
    }
    served
}

/// The database of this run.
struct DatabaseInUse {
    url: String,
    /// Whether this process has started it.
    is_own: bool,
}

async fn serve(
    arguments: &DevArguments,
    telemetry: &Telemetry,
    listeners: Listeners,
    previous: &EnvironmentFile,
    database: DatabaseInUse,
    seed: Option<Seed>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let random = Random::default();
    let keys_file = match arguments.master_keys_file.clone() {
        Some(file) => file,
        None => own_master_keys(&arguments.data_dir, &random)?,
    };
    let store = open_store(&database.url, &keys_file).await?;
    let (broker, kafka) = kafka(arguments, previous)?;
    let (account, secret) = service_account(&store, previous).await?;
    let file = EnvironmentFile {
        access_key_id: account.access_key_id.to_string(),
        secret_access_key: secret,
        region: arguments.region.clone(),
        grpc_addr: listeners.grpc_addr()?.to_string(),
        http_addr: listeners.http_addr()?.to_string(),
        kafka_brokers: kafka.brokers.clone(),
        database_url: database.url,
        master_keys_file: std::path::absolute(&keys_file)?.display().to_string(),
        own_database: database.is_own,
        own_broker: broker.is_some(),
    };
    let written = file.write(&arguments.data_dir)?;
    kafka.check()?;
    let triggers = Triggers::new(kafka.clone(), IN_FLIGHT);
    let bridge = Bridge::new(bridge_settings(kafka.clone())).context("the trigger bridge can't be made")?;
    let app = app(arguments, store.clone(), &file.http_addr, triggers);
    let relay = Relay::new(store, kafka, random.uuid().to_string());
    if broker.is_some() {
        // The broker in the process starts empty, so it is filled from the start of the logs.
        relay.rewind().await?;
    }
    if let Some(seed) = seed {
        tokio::select! {
            applied = seed.apply(&app, account) => applied?,
            () = stop.cancelled() => return Ok(()),
        }
    }
    tell_ready(&file, &written)?;
    let services = Services {
        app,
        metrics: telemetry.prometheus(),
        delivery: Way::Mailbox,
        proxies: TrustedProxies::default(),
        relay: Some(relay),
        bridge: Some(bridge),
        tls: None,
        limits: Limits::default(),
        activity_months: DEFAULT_RETENTION_MONTHS,
    };
    // No balancer watches a development server, so it stops without a pause.
    let served = server::serve(listeners, services, Shutdown::new(stop, Duration::ZERO)).await;
    drop(broker);
    served
}

/// The database with the current schema, ready to be written to.
async fn open_store(database_url: &str, keys_file: &Path) -> anyhow::Result<Store> {
    let database = store::connect(database_url, CONNECTIONS, store::ConnectionRole::Api)
        .await
        .context("the database can't be reached")?;
    let store = Store::new(database, Arc::new(MasterKeys::read(keys_file)?));
    // One release at a time develops on a database.
    if store.migrate().await? == Migrated::Ours {
        store.finish_upgrade().await?;
    }
    store.check_fitness().await?;
    store.make_partitions(crate::environment::Clock.now()).await?;
    Ok(store)
}

/// Where events are sent: to the brokers in the arguments, or to one in this process.
fn kafka(
    arguments: &DevArguments,
    previous: &EnvironmentFile,
) -> anyhow::Result<(Option<EmbeddedBroker>, KafkaConfig)> {
    let external = arguments.kafka_brokers.clone().filter(|brokers| !previous.is_own_broker(brokers));
    let broker = if external.is_none() { Some(embedded_broker(&arguments.kafka_prefix)?) } else { None };
    let own = broker.as_ref().map(|broker| broker.bootstrap().to_owned());
    let brokers = external.or(own).unwrap_or_default();
    Ok((broker, KafkaConfig { prefix: arguments.kafka_prefix.clone(), ..KafkaConfig::new(brokers) }))
}

/// A bridge to the endpoints on this machine that pools name for their triggers.
fn bridge_settings(kafka: KafkaConfig) -> bridge::Settings {
    bridge::Settings {
        kafka,
        triggers: Trigger::ALL.to_vec(),
        membership: Membership::Alone,
        endpoints: Endpoints::Loopback,
        authorities: Vec::new(),
        in_flight: bridge::IN_FLIGHT,
    }
}

fn app(arguments: &DevArguments, store: Store, http_addr: &str, triggers: Triggers) -> Arc<App> {
    let public_url = arguments.public_url.clone().unwrap_or_else(|| format!("http://{http_addr}"));
    let identity = Identity {
        public_url: public_url.trim_end_matches('/').to_owned(),
        account_id: arguments.account_id.clone(),
        region: arguments.region.clone(),
    };
    let settings = Settings {
        delete_groups_with_members: arguments.delete_groups_with_members,
        allowances: arguments.allowances(),
        awaited: arguments.triggers.awaited(),
        in_development: true,
        // A development server has no users of its own.
        sends_passwords: true,
        ..Settings::default()
    };
    let slots = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    App::with_settings(store, identity, Hasher::new(Cost::default(), slots), settings, triggers)
}

/// Prints the line that says that the server is ready; scripts wait for it.
fn tell_ready(file: &EnvironmentFile, written: &Path) -> anyhow::Result<()> {
    println!(
        "userpool dev is ready: gRPC on {}, HTTP on http://{}, Kafka on {}, messages on http://{}/dev/messages, variables in {}",
        file.grpc_addr,
        file.http_addr,
        file.kafka_brokers,
        file.http_addr,
        written.display()
    );
    std::io::stdout().flush()?;
    Ok(())
}

/// A broker in this process.
fn embedded_broker(prefix: &str) -> anyhow::Result<EmbeddedBroker> {
    let config = KafkaConfig { prefix: prefix.to_owned(), ..KafkaConfig::new("") };
    let topics = topics::all(&config);
    let broker = EmbeddedBroker::start(&topics).context("the Kafka broker for development can't be started")?;
    Ok(broker)
}

/// The service account of the last run, or a new one.
async fn service_account(store: &Store, previous: &EnvironmentFile) -> anyhow::Result<(ServiceAccount, String)> {
    let known = store.service_account(&AccessKeyId::new(&previous.access_key_id)).await;
    if let Ok(Some((account, secret))) = known
        && secret.0 == previous.secret_access_key
    {
        return Ok((account, secret.0));
    }
    let (account, secret) =
        store.create_service_account("userpool dev", Role::Admin, Vec::new(), &operator_origin("dev")).await?;
    Ok((account, secret.0))
}

/// The master keys in the data directory; the first start makes them.
fn own_master_keys(data_dir: &Path, random: &Random) -> anyhow::Result<PathBuf> {
    let path = data_dir.join("master.keys");
    if !path.exists() {
        secret_file::create(&path, MasterKeys::generate_line("dev", random).as_bytes())?;
    }
    Ok(path)
}
