//! The file, loaded anew: judged whole before anything is touched.

use std::{
    collections::HashMap,
    time::{Instant, SystemTime},
};

use balancer_common::{layout::MAGLEV_TABLES, table::service::maglev_lines};

use super::{Control, Environment, refused};
use crate::{
    api::types::{ApiError, ChangeRow, ErrorCode, LastReload, ReloadDoc, ReloadRequest, Schema, timestamp},
    config::{self, Change, Config, Loaded, Service, Target, What},
    control::{desired, runtime::Runtime},
    dataplane::Dataplane,
    net::ssh::SshSession,
};

/// A reload that may go ahead.
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    runtime: Runtime,
    changes: Vec<ChangeRow>,
    warnings: Vec<String>,
    /// What makes new tables necessary; empty if those that stand will do.
    new_maps: Vec<String>,
}

impl Prepared {
    /// The configuration to be.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the tables must be made anew.
    #[must_use]
    pub fn needs_new_maps(&self) -> bool {
        !self.new_maps.is_empty()
    }

    /// What makes that necessary.
    #[must_use]
    pub fn why_new_maps(&self) -> String {
        self.new_maps.join(", ")
    }
}

impl Control {
    /// Judges the file against what runs; changes nothing.
    ///
    /// # Errors
    /// Why it is not applied.
    pub fn prepare(&self, request: ReloadRequest, session: Option<SshSession>) -> Result<Prepared, ApiError> {
        let Loaded { config, warnings } = config::load(&self.config_path)
            .map_err(|problems| ApiError::new(ErrorCode::InvalidConfig, problems.to_string()))?;
        let changes = config::diff(&self.config, &config);
        refuse_restart(&changes)?;
        let mut runtime = if request.discard_runtime { Runtime::default() } else { self.runtime.clone() };
        runtime.give_way_to(&config);
        self.room_for(&desired::services(&config, &runtime))?;
        let mut new_maps = self.new_maps(&config, &changes);
        if new_maps.is_empty() {
            new_maps = self.why_not_here(&desired::services(&config, &runtime));
        }
        if !request.yes {
            self.refuse_cost(&new_maps)?;
            self.refuse_session(&config, session)?;
        }
        let rows = merged(changes.iter().map(row).collect(), self.overtaken(&config, &runtime));
        let warnings = warnings.iter().map(ToString::to_string).collect();
        Ok(Prepared { config, runtime, changes: rows, warnings, new_maps })
    }

    /// Applies what was judged, over the tables that stand. What these refuse is a warning: the file is in force, and
    /// the agent tries again.
    ///
    /// # Errors
    /// What the journal refused; nothing is changed then.
    pub fn apply(&mut self, prepared: Prepared) -> Result<ReloadDoc, ApiError> {
        let Prepared { config, runtime, changes, mut warnings, new_maps: _ } = prepared;
        if runtime != self.runtime {
            self.journal
                .save(&runtime)
                .map_err(|error| ApiError::new(ErrorCode::Failed, format!("nothing was changed: {error}")))?;
        }
        self.services = desired::services(&config, &runtime);
        self.config = config;
        self.runtime = runtime;
        for change in &changes {
            tracing::info!("reload: {}", text(change));
        }
        self.place(Instant::now());
        warnings.extend(self.reconcile().err().map(|error| format!("warning: {}", refused(&error).message)));
        Ok(ReloadDoc { schema: Schema, changes, warnings })
    }

    /// Applies what was judged over new, empty tables, which `remake` makes from the old ones: all flows and pins
    /// are lost. What checks and neighbours have said stays.
    ///
    /// # Errors
    /// What the journal, `remake` or the tables refused: there is nothing to go on with then.
    pub fn apply_over(
        self,
        prepared: Prepared,
        remake: impl FnOnce(Dataplane, &Config) -> anyhow::Result<(Dataplane, [u8; 16])>,
    ) -> anyhow::Result<(Self, ReloadDoc)> {
        let Prepared { config, runtime, changes, mut warnings, new_maps: _ } = prepared;
        let Self {
            config_path,
            journal,
            tables,
            members,
            hops,
            unreachable,
            path_mtus,
            links,
            started,
            generation,
            ..
        } = self;
        journal.save(&runtime)?;
        let (tables, seed) = remake(tables, &config)?;
        let mut control = Self::start(Environment { config, config_path, tables, seed })?;
        let mut known: HashMap<_, _> = members.into_values().map(|it| (it.identity, it)).collect();
        for member in control.members.values_mut() {
            if let Some(before) = known.remove(&member.identity)
                && before.named.addresses == member.named.addresses
            {
                member.verdict = before.verdict;
            }
        }
        // Nobody will tell again what is known: the first packet finds it in the tables.
        let generation = generation + 1;
        let mut control = Self { hops, unreachable, path_mtus, links, started, generation, ..control };
        warnings.extend(control.reconcile().err().map(|error| refused(&error).message));
        Ok((control, ReloadDoc { schema: Schema, changes, warnings }))
    }

    /// Remembers how a reload ended.
    pub fn note_reload(&mut self, result: Result<(), &ApiError>) {
        let error = result.err().map(|error| error.message.clone());
        match &error {
            None => tracing::info!("{} is loaded", self.config_path.display()),
            Some(error) => tracing::error!("reload refused, nothing is changed: {error}"),
        }
        self.last_reload = LastReload { ok: error.is_none(), at: timestamp(SystemTime::now()), error };
    }

    /// What the tables that stand cannot do.
    fn new_maps(&self, config: &Config, changes: &[Change]) -> Vec<String> {
        let mut causes: Vec<_> =
            changes.iter().filter(|change| change.needs_new_maps()).map(ToString::to_string).collect();
        let lines: u32 = config.services.iter().map(|service| maglev_lines(service.maglev_size)).sum();
        if causes.is_empty() && 1 + MAGLEV_TABLES * lines > self.tables.dimensions().maglev_lines {
            causes.push("the Maglev tables of all services do not fit the maps as they are".to_owned());
        }
        causes
    }

    /// What the flows that stand in the tables forbid.
    fn why_not_here(&self, services: &[Service]) -> Vec<String> {
        let other_mode = self.refuse_other_modes(services).err();
        other_mode.or_else(|| self.refused_blocks(services).map(str::to_owned)).into_iter().collect()
    }

    fn refuse_cost(&self, new_maps: &[String]) -> Result<(), ApiError> {
        if new_maps.is_empty() {
            return Ok(());
        }
        let flows: u64 = self.members.keys().map(|number| self.live(*number)).sum();
        let pins: u64 = self.swept.pins.values().sum();
        let message =
            format!("{}: needs new tables, which costs {flows} flows and {pins} pins", new_maps.join(", "));
        Err(ApiError::new(ErrorCode::NeedsYes, message).with_remedy("reload --yes, at a quiet time"))
    }

    /// Refuses to take the packets of who asks; unless they are taken already, as somebody forced at the start.
    fn refuse_session(&self, config: &Config, session: Option<SshSession>) -> Result<(), ApiError> {
        let Some(session) = session.filter(|session| carries(&self.config, session).is_none()) else {
            return Ok(());
        };
        match carries(config, &session) {
            None => Ok(()),
            Some(message) => Err(ApiError::new(ErrorCode::NeedsYes, message)
                .with_remedy("use another address or port, or say --yes from another way in")),
        }
    }

    /// The runtime changes that end with this reload, as changes from what runs to the file.
    fn overtaken(&self, config: &Config, runtime: &Runtime) -> Vec<ChangeRow> {
        let stays = desired::drift(config, runtime);
        desired::drift(&self.config, &self.runtime)
            .into_iter()
            .filter(|row| !stays.iter().any(|it| (&it.object, &it.key) == (&row.object, &row.key)))
            .map(|row| ChangeRow { from: row.to, to: row.from, ..row })
            .collect()
    }
}

/// The file's changes, and the ends of runtime changes: one row a key, which begins with what runs.
fn merged(mut rows: Vec<ChangeRow>, overtaken: Vec<ChangeRow>) -> Vec<ChangeRow> {
    for ended in overtaken {
        match rows.iter_mut().find(|row| (&row.object, &row.key) == (&ended.object, &ended.key)) {
            // The file now says what ran already: its own row tells more.
            Some(row) if ended.from == row.to => {}
            Some(row) => row.from = ended.from,
            None => rows.push(ended),
        }
    }
    rows
}

fn refuse_restart(changes: &[Change]) -> Result<(), ApiError> {
    let causes: Vec<_> =
        changes.iter().filter(|change| change.needs_restart()).map(ToString::to_string).collect();
    if causes.is_empty() {
        return Ok(());
    }
    let message = format!("{}: needs a restart of the agent; nothing was changed", causes.join(", "));
    Err(ApiError::new(ErrorCode::Conflict, message)
        .with_remedy("restart the agent (packets go on flowing meanwhile), or take the change back"))
}

/// The first service address that would take the packets of an SSH session.
#[must_use]
pub fn carries(config: &Config, session: &SshSession) -> Option<String> {
    let services = config.services.iter();
    let mut listens = services.flat_map(|service| service.listen.iter().map(move |it| (service, it)));
    let (service, listen) = listens.find(|(_, listen)| session.is_carried_by(listen))?;
    Some(format!("service {:?}: {listen} carries {session}, which would be cut", service.name))
}

fn row(change: &Change) -> ChangeRow {
    let object = match &change.target {
        Target::Agent => "agent".to_owned(),
        Target::Limits => "limits".to_owned(),
        Target::Service(service) => format!("service {service:?}"),
        Target::Backend(service, backend) => desired::backend_object(service, backend),
    };
    let (key, from, to) = match &change.what {
        What::Added => ("added".to_owned(), None, None),
        What::Removed => ("removed".to_owned(), None, None),
        What::Key { key, from, to, effect: _ } => (key.clone(), from.clone(), to.clone()),
    };
    ChangeRow { object, key, from, to }
}

fn text(change: &ChangeRow) -> String {
    let ChangeRow { object, key, from, to } = change;
    match (from, to) {
        (None, None) => format!("{object} {key}"),
        _ => {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
            format!("{object} {key}: {} → {}", shown(from), shown(to))
        }
    }
}
