//! `userpool trigger-bridge`: calls functions over HTTP for the triggers of pools. It needs the brokers, and no server.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use reqwest::{Certificate, Url};

use crate::cli::config::{KafkaSettings, LogFormat};
use crate::cli::shutdown;
use crate::cli::telemetry::Telemetry;
use crate::domain::trigger::Trigger;
use crate::triggers::bridge::{Bridge, Endpoints, IN_FLIGHT, Membership, Named, Settings};

/// The most calls of one endpoint that can be allowed.
const MOST_IN_FLIGHT: i64 = 10_000;

/// Which functions are called where.
#[derive(Debug, Args)]
pub struct TriggerBridgeArguments {
    /// A configuration file of the server: its section `[kafka]` counts where no flag does.
    #[arg(long, env = "USERPOOL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    kafka: KafkaSettings,
    /// Where functions are invoked that have no endpoint of their own: what stands before `/2015-03-31/functions/…`.
    #[arg(long, env = "USERPOOL_TRIGGER_BRIDGE_ENDPOINT", value_name = "URL")]
    endpoint: Option<Url>,
    /// Where one function is invoked, by its ARN or its name. A URL with a path is complete.
    #[arg(long = "function", env = "USERPOOL_TRIGGER_BRIDGE_FUNCTIONS", value_delimiter = ',', value_parser = function, value_name = "FUNCTION=URL")]
    functions: Vec<(String, Url)>,
    /// Triggers that are served, such as `pre-sign-up` [default: all].
    #[arg(long = "trigger", env = "USERPOOL_TRIGGER_BRIDGE_TRIGGERS", value_delimiter = ',', value_parser = trigger, value_name = "TRIGGER")]
    triggers: Vec<Trigger>,
    /// How many calls of one endpoint are under way at most: questions, and as many of what is only told.
    #[arg(long, env = "USERPOOL_TRIGGER_BRIDGE_IN_FLIGHT", default_value_t = IN_FLIGHT as i64, value_parser = clap::value_parser!(i64).range(1..=MOST_IN_FLIGHT), value_name = "NUMBER")]
    in_flight: i64,
    /// Authorities of the endpoints' certificates as PEM, instead of the system's.
    #[arg(long, env = "USERPOOL_TRIGGER_BRIDGE_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The way to the endpoints is safe without TLS.
    #[arg(long, env = "USERPOOL_TRIGGER_BRIDGE_WITHOUT_TLS")]
    without_tls: bool,
    /// The format of logs.
    #[arg(long, env = "USERPOOL_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
}

fn function(text: &str) -> Result<(String, Url), String> {
    let (function, url) = text.split_once('=').ok_or("it is not FUNCTION=URL")?;
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    Ok((function.trim().to_owned(), url))
}

fn trigger(text: &str) -> Result<Trigger, String> {
    let known = || Trigger::ALL.map(Trigger::topic).join(", ");
    Trigger::of_topic(text).ok_or_else(|| format!("there are {}", known()))
}

impl TriggerBridgeArguments {
    fn settings(self) -> anyhow::Result<Settings> {
        let endpoints = Named::new(self.functions, self.endpoint, self.without_tls)
            .context("say --endpoint or --function; the network may go without TLS with --without-tls")?;
        Ok(Settings {
            kafka: self.kafka.connection(self.config.as_deref())?,
            triggers: if self.triggers.is_empty() { Trigger::ALL.to_vec() } else { self.triggers },
            membership: Membership::Group,
            endpoints: Endpoints::Named(endpoints),
            authorities: self.ca_file.as_deref().map(authorities).transpose()?.unwrap_or_default(),
            in_flight: usize::try_from(self.in_flight)?,
        })
    }
}

fn authorities(path: &Path) -> anyhow::Result<Vec<Certificate>> {
    let unusable = || format!("the certificates in {} can't be used", path.display());
    let pem = std::fs::read(path).with_context(unusable)?;
    let certificates = Certificate::from_pem_bundle(&pem).with_context(unusable)?;
    ensure!(!certificates.is_empty(), "there are no certificates in {}", path.display());
    Ok(certificates)
}

/// Runs until SIGTERM or Ctrl-C.
pub async fn run(arguments: TriggerBridgeArguments) -> anyhow::Result<()> {
    let format = arguments.log_format;
    let settings = arguments.settings()?;
    let telemetry = Telemetry::start(format)?;
    let stop = shutdown::at_signal()?;
    let bridge = Bridge::new(settings).context("no TLS is to be had")?;
    let connected = bridge.connected();
    let told = tokio::spawn(async move {
        connected.cancelled().await;
        println!("userpool trigger-bridge is ready");
        std::io::stdout().flush()
    });
    bridge.run(stop).await;
    told.abort();
    telemetry.stop().await;
    Ok(())
}
