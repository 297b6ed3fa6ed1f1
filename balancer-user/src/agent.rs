//! The agent: everything that `balancer run` starts, feeds and ends.
//!
//! One task owns the state ([`Control`]) and is fed by this module's loop: requests of the API, outcomes of
//! checks, neighbours, interfaces, signals and the clock. Packets never wait for it.

mod conduct;
mod datapath;
mod hearing;
mod notify;
mod seed;
mod socket;
mod stats;
mod voice;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use tracing_subscriber::EnvFilter;

use crate::{
    config::{self, Config, Loaded},
    control::{Control, Environment, Handle, carries, journal::Journal},
    dataplane,
    lock::Lock,
    net::ssh::SshSession,
};

/// What is logged: `tracing_subscriber`'s filter, `balancer_user=debug` for instance.
const LOG_VARIABLE: &str = "BALANCER_LOG";
/// Requests are few, checks are many, and one task owns the state.
const WORKERS: usize = 2;

/// Runs the agent until it is told to end, with a runtime and a log of its own.
///
/// # Errors
/// Why it could not start or go on; [`config::Problems`] if the file is bad.
pub fn main(config_path: &Path, force: bool) -> Result<()> {
    log_to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let result = runtime.block_on(run(config_path, force));
    // A check or a request that is under way holds nobody up.
    runtime.shutdown_background();
    result
}

/// The journal has its own clock.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let set = match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => log.without_time().with_ansi(false).try_init(),
        None => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
    if let Err(error) = set {
        tracing::debug!("there is a log already: {error}");
    }
}

/// Runs the agent until it is told to end, by a signal or through the API.
///
/// # Errors
/// Why it could not start or go on; [`config::Problems`] if the file is bad.
///
/// # Panics
/// On a runtime of one thread: sweeps block the one that they run on.
pub async fn run(config_path: &Path, force: bool) -> Result<()> {
    let Loaded { config, warnings } = config::load(config_path)?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let session = SshSession::of_operator();
    if !force && let Some(danger) = session.and_then(|session| carries(&config, &session)) {
        bail!("{danger}; use another address or port, or say --force from another way in");
    }
    let state_dir = &config.agent.state_dir;
    std::fs::create_dir_all(state_dir)
        .with_context(|| format!("state_dir {} cannot be made", state_dir.display()))?;
    let _lock = Lock::take(state_dir)?;
    // Whatever can be refused is refused before the kernel is touched.
    Journal::in_dir(state_dir).load()?;
    let api = socket::bind(&config.agent.api)?;
    let stats = stats::bind(config.agent.stats).await?;
    let control = own(config, config_path).await?;
    let (handle, messages) = Handle::new();
    let api = socket::serve(api, handle.clone());
    let stats = tokio::spawn(stats::serve(stats, handle));
    let end = conduct::conduct(control, messages).await;
    stats.abort();
    api.end().await;
    end
}

/// Opens the tables, brings them to what is wanted, and only then attaches: the first packet finds all in place.
async fn own(config: Config, config_path: &Path) -> Result<Control> {
    let links = datapath::links(&config).await?;
    let bpffs = config.agent.bpffs.clone();
    let (tables, seed) = datapath::open(&config, &links)?;
    let fresh = tables.adopted().fresh;
    let environment = Environment { config, config_path: config_path.to_owned(), tables, seed };
    let started = Control::start(environment).map_err(anyhow::Error::from).and_then(|mut control| {
        datapath::attach(&mut control, &links)?;
        Ok(control)
    });
    // What this start alone has brought into the kernel goes again; what it found there stays.
    if started.is_err()
        && fresh
        && let Err(error) = dataplane::detach(&bpffs)
    {
        tracing::error!("what was begun could not be taken away: {error}");
    }
    started
}
