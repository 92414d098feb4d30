//! `userpool serve`: production. It embeds nothing, and refuses unsafe settings.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::hashing::Hasher;
use crate::cli::config::{ConfigArguments, ServerConfig, unknown_variables};
use crate::cli::server::{self, Listeners, Services};
use crate::cli::shutdown::{self, Shutdown};
use crate::cli::telemetry::Telemetry;
use crate::cli::waiting;
use crate::delivery::Way;
use crate::environment::Random;
use crate::kafka::relay::Relay;
use crate::proto::NEWEST_LEVEL;
use crate::store::{self, ConnectionRole, Store};
use crate::triggers::{IN_FLIGHT, Triggers};

/// How often to look for a database that is not there yet.
const LOOK: Duration = Duration::from_millis(200);

/// Runs until SIGTERM or Ctrl-C.
pub async fn run(arguments: ConfigArguments) -> anyhow::Result<()> {
    let config = arguments.server()?;
    let telemetry = Telemetry::start(config.log_format)?;
    let served = serve(config, &telemetry).await;
    telemetry.stop().await;
    served
}

async fn serve(config: ServerConfig, telemetry: &Telemetry) -> anyhow::Result<()> {
    for name in unknown_variables() {
        tracing::warn!(name, "a variable is set, but no setting has that name");
    }
    for caution in &config.cautions {
        tracing::warn!("{caution}");
    }
    let stop = shutdown::at_signal()?;
    let listeners = Listeners::bind(config.grpc_addr, config.http_addr).await?;
    let connected = waiting::answering(&listeners.http, &config, connect(&config, &stop)).await?;
    let Some(store) = connected? else { return Ok(()) };
    store.check_fitness().await?;
    if !store.may_write_events_of(NEWEST_LEVEL) {
        tracing::info!("events that the release before can't read are refused until `userpool finish-upgrade`");
    }
    let relay =
        config.kafka.clone().map(|kafka| Relay::new(store.clone(), kafka, Random::default().uuid().to_string()));
    if relay.is_none() {
        tracing::warn!("there are no Kafka brokers: events wait in the log until some are configured");
    }
    if let Way::Network(network) = &config.delivery {
        for medium in network.missing() {
            tracing::warn!(
                medium = medium.name(),
                "no delivery is configured for this medium: its messages will be given up"
            );
        }
    }
    let hasher = Hasher::new(config.cost, config.hashing_threads);
    let triggers = config.kafka.clone().map_or_else(Triggers::default, |kafka| Triggers::new(kafka, IN_FLIGHT));
    let app = App::with_settings(store, config.identity.clone(), hasher, config.app_settings, triggers);
    announce(&listeners, &config)?;
    let services = Services {
        app,
        metrics: telemetry.prometheus(),
        delivery: config.delivery,
        proxies: config.proxies,
        relay,
        bridge: None,
        tls: config.tls,
        limits: config.limits,
        activity_months: config.activity_months,
    };
    server::serve(listeners, services, Shutdown::new(stop, config.shutdown_pause)).await
}

/// Connects to the database, and waits while it is not there yet. `None` if the server is stopped first.
async fn connect(config: &ServerConfig, stop: &CancellationToken) -> anyhow::Result<Option<Store>> {
    let mut told = false;
    while let Err(error) = store::probe(&config.database_url.0).await {
        if !error.is_absence() {
            return Err(error).context("the database can't be used");
        }
        if !told {
            tracing::warn!(%error, "the database is not there yet");
            told = true;
        }
        if tokio::time::timeout(LOOK, stop.cancelled()).await.is_ok() {
            return Ok(None);
        }
    }
    let connected = store::connect(&config.database_url.0, config.connections, ConnectionRole::Api).await;
    let database = connected.context("the database can't be reached")?;
    Ok(Some(Store::new(database, config.master_keys.clone())))
}

fn announce(listeners: &Listeners, config: &ServerConfig) -> anyhow::Result<()> {
    let tls = if config.tls.is_some() { "with TLS" } else { "without TLS" };
    println!(
        "userpool is ready: gRPC on {}, HTTP on {}, {tls}, as {}",
        listeners.grpc_addr()?,
        listeners.http_addr()?,
        config.identity.public_url
    );
    std::io::stdout().flush()?;
    Ok(())
}
