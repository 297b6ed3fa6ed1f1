//! From what stands in the tables and in the state directory to an owner of both.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    time::{Instant, SystemTime},
};

use balancer_common::{
    layout::Dimensions,
    state::Admin,
    table::{backend::MAX_BACKENDS, listener::MAX_LISTENERS, service::MAX_SERVICES, way::Way},
};

use super::{AllNumbers, Control, Member, Verdict, member::Stage, ways::FAMILIES};
use crate::{
    api::types::{LastReload, timestamp},
    config::{Config, PoolShape, Source, dimensions},
    control::{
        blocks::Blocks,
        desired,
        entries::{listener_id, service_identity},
        journal::{Journal, JournalError},
        names::{Named, Names, NamesFile},
        numbers::Numbers,
        path_mtu::PathMtus,
        reconcile::{Standing, StandingBackend},
        resets::Resets,
        verdicts::{Verdicts, VerdictsFile},
    },
    dataplane::{Adopted, AdoptedBackend, Dataplane, DataplaneError, Sweep},
    health::BackendKey,
};

/// What the owner starts from.
#[derive(Debug)]
pub struct Environment {
    /// The configuration, valid.
    pub config: Config,
    /// The file that it was read from.
    pub config_path: PathBuf,
    /// The tables, opened.
    pub tables: Dataplane,
    /// The seed of Maglev.
    pub seed: [u8; 16],
}

/// Why the state cannot be owned.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The tables refused something.
    #[error(transparent)]
    Tables(#[from] DataplaneError),
    /// More backends, listeners or services than there are numbers.
    #[error("{0}")]
    OutOfNumbers(String),
    /// Live flows are of another mode than the file says.
    #[error("{0}; take the change back, or `balancer detach` before the start (flows and pins are lost)")]
    OtherMode(String),
}

impl Control {
    /// Adopts what stands in the tables, and brings them to what is wanted.
    ///
    /// # Errors
    /// A journal that cannot be trusted, or tables that refuse.
    pub fn start(environment: Environment) -> Result<Self, StartError> {
        let Environment { config, config_path, tables, seed } = environment;
        let state_dir = &config.agent.state_dir;
        let journal = Journal::in_dir(state_dir);
        let mut runtime = journal.load()?;
        let names_file = NamesFile::in_dir(state_dir);
        let mut verdicts_file = VerdictsFile::in_dir(state_dir);
        let adopted = tables.adopted().clone();
        // Names and counters of tables that are no more are about nobody.
        let (names, verdicts) = match adopted.fresh {
            true => (Names::default(), Verdicts::default()),
            false => (names_file.load(), verdicts_file.load()),
        };
        let overtaken = runtime.give_way_to(&config);
        let mut control = Self {
            services: desired::services(&config, &runtime),
            numbers: adopt_numbers(&adopted),
            members: adopt_members(&adopted, &names, &verdicts, &config),
            standing: standing(&adopted),
            saved_names: names,
            last_reload: LastReload { ok: true, at: timestamp(SystemTime::now()), error: None },
            started: SystemTime::now(),
            generation: 0,
            hops: HashMap::new(),
            unreachable: HashMap::new(),
            path_mtus: PathMtus::default(),
            blocks: adopt_blocks(&adopted, &config, tables.dimensions()),
            refused: BTreeMap::new(),
            port_use: BTreeMap::new(),
            short_of_ports: BTreeSet::new(),
            links: BTreeMap::new(),
            conditions: BTreeMap::new(),
            fingerprints: BTreeMap::new(),
            swept: Sweep::default(),
            resets: Resets::default(),
            unconfirmed: 0,
            overdue: BTreeSet::new(),
            unswept: false,
            config_path,
            config,
            runtime,
            journal,
            names_file,
            verdicts_file,
            tables,
            seed,
        };
        if !overtaken.is_empty() {
            overtaken.iter().for_each(|line| tracing::info!("{line}"));
            control.journal.save(&control.runtime)?;
        }
        control.tell_adoption();
        control.refuse_other_modes(&control.services).map_err(StartError::OtherMode)?;
        control.note_full();
        control.settle(Instant::now())?;
        Ok(control)
    }

    /// Numbers for all that is wanted, and the tables to match.
    fn settle(&mut self, now: Instant) -> Result<(), StartError> {
        let gone: Vec<u16> = self
            .members
            .iter()
            .filter(|(_, it)| it.stage == Stage::Gone)
            .map(|(number, _)| *number)
            .collect();
        for number in gone {
            self.numbers.backends.retire(number, now);
        }
        self.room_for(&self.services).map_err(|error| StartError::OutOfNumbers(error.message))?;
        self.place(now);
        Ok(self.reconcile()?)
    }

    fn tell_adoption(&self) {
        let adopted = self.tables.adopted();
        if adopted.fresh {
            return tracing::info!("the tables are new");
        }
        tracing::info!(
            "the tables are adopted with their flows and pins; backends: {}, listeners: {}",
            adopted.backends.len(),
            adopted.listeners.len()
        );
        if adopted.hash_seed.is_some_and(|seed| seed != self.seed) {
            tracing::warn!("hash_seed has changed: new clients are placed anew, flows and pins stay");
        }
        let (wanted, has) = (dimensions(&self.config), self.tables.dimensions());
        if (wanted.flows, wanted.pins) != (has.flows, has.pins) {
            tracing::warn!(
                "the tables have room for {} flows and {} pins, the file says {} and {}: `balancer detach` \
                 before a start makes them anew (flows and pins are lost)",
                has.flows,
                has.pins,
                wanted.flows,
                wanted.pins
            );
        }
    }
}

fn adopt_numbers(adopted: &Adopted) -> AllNumbers {
    // The upper half of the listeners' numbers stands for the bare addresses.
    let mut numbers = AllNumbers {
        services: Numbers::up_to(MAX_SERVICES as u16 - 1),
        listeners: Numbers::up_to(MAX_LISTENERS as u16 / 2 - 1),
        backends: Numbers::up_to(MAX_BACKENDS as u16 - 1),
    };
    for (number, identity) in &adopted.services {
        numbers.services.adopt(*number, *identity);
    }
    for (number, key, service) in &adopted.listeners {
        if *service != 0 {
            numbers.listeners.adopt(*number, listener_id(*key, *service));
        }
    }
    for backend in &adopted.backends {
        numbers.backends.adopt(backend.number, backend.identity);
    }
    numbers
}

fn standing(adopted: &Adopted) -> Standing {
    let backend = |it: &AdoptedBackend| {
        let stands = StandingBackend {
            identity: it.identity,
            state: it.state,
            schedule: it.schedule,
            max_flows: it.max_flows,
            hop: it.next_hop,
        };
        (it.number, stands)
    };
    Standing {
        services: adopted.services.iter().map(|(number, _)| (*number, None)).collect(),
        backends: adopted.backends.iter().map(backend).collect(),
        ways: adopted.backends.iter().flat_map(ways).collect(),
        listeners: None,
        origins: Vec::new(),
        maglev: BTreeMap::new(),
    }
}

/// The ways of a backend with its number and the family of the clients.
fn ways(it: &AdoptedBackend) -> impl Iterator<Item = ((u16, bool), Way)> {
    let number = it.number;
    let ways = FAMILIES.into_iter().zip(it.ways).filter(|(_, way)| *way != Way::default());
    ways.map(move |(v4, way)| ((number, v4), way))
}

fn adopt_blocks(adopted: &Adopted, config: &Config, dimensions: Dimensions) -> Blocks {
    let shapes = FAMILIES.map(|v4| PoolShape::of(&config.agent, &config.limits, v4));
    let mut blocks = Blocks::new(shapes, [dimensions.nat4, dimensions.nat6]);
    let mut others = 0;
    for ((number, v4), way) in adopted.backends.iter().flat_map(ways).filter(|(_, it)| it.block.words != 0) {
        let alike = blocks.adopt(number, v4, way.block, way.sources, way.keep);
        others += usize::from(!alike);
    }
    if others > 0 {
        tracing::warn!(
            "agent.sources or limits.nat_ports are others than those of the tables, which stay in use for {others} ways: \
             `balancer detach` before a start makes the tables anew (flows and pins are lost)"
        );
    }
    blocks
}

/// From which address its translated packets come, if they are.
fn source_of(it: &AdoptedBackend) -> Option<Source> {
    let way = it.ways.iter().find(|way| way.block.words != 0)?;
    Some(if way.keep { Source::Keep } else { Source::Pool })
}

fn adopt_members(
    adopted: &Adopted,
    names: &Names,
    verdicts: &Verdicts,
    config: &Config,
) -> BTreeMap<u16, Member> {
    let service_name = |number: u16| {
        let identity = adopted.services.iter().find(|(it, _)| *it == number)?.1;
        config.services.iter().map(|it| it.name.clone()).find(|name| service_identity(name) == identity)
    };
    // One that never had a block has no flow that could be read otherwise.
    let service_source = |number: u16| {
        let name = service_name(number);
        let service = config.services.iter().find(|it| Some(&it.name) == name.as_ref());
        service.map_or(Source::Pool, |service| service.source)
    };
    let member = |it: &AdoptedBackend| {
        let named = names.get(&it.number).cloned().unwrap_or_else(|| Named {
            service: service_name(it.state.service).unwrap_or_default(),
            backend: format!("#{}", it.number),
            addresses: Vec::new(),
        });
        let key = BackendKey { service: named.service.clone(), backend: named.backend.clone() };
        let stage = if it.state.admin == Admin::Gone { Stage::Gone } else { Stage::Wanted(it.state.admin) };
        let member = Member {
            named,
            service: it.state.service,
            identity: it.identity,
            mode: it.state.mode,
            source: source_of(it).unwrap_or_else(|| service_source(it.state.service)),
            stage,
            verdict: Verdict::of(verdicts.adopt(&key, it.state.health)),
            adopted_hop: it.next_hop,
            admin_since: verdicts.admin_since(&key),
            draining_since: verdicts.draining_since(&key),
            full: false,
            causes: verdicts.causes(&key),
        };
        (it.number, member)
    };
    adopted.backends.iter().map(member).collect()
}
