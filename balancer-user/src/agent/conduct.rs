//! The loop that feeds the owner of the state.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::block_in_place,
    time::{self, Instant, Interval, MissedTickBehavior},
};

use super::{datapath, hearing::Hearing, notify, voice::Voice};
use crate::{
    api::types::{ApiError, DetachDoc, ErrorCode, ReloadDoc, ReloadRequest, Schema},
    config::{Config, OnExit},
    control::{Control, Message, Prepared, ReloadCall},
    health::{HealthEvent, Outcome, Scheduler},
    net::{
        links::{LinkEvent, LinkWatch},
        neighbour::{Keeper, NeighbourEvent},
        ssh::SshSession,
        too_big::TooBig,
    },
};

/// Those who leave are looked after, and counters of verdicts kept, this often.
const TICK: Duration = Duration::from_secs(1);

/// What the loop listens to, and what follows the state.
struct Surroundings {
    scheduler: Scheduler,
    keeper: Keeper,
    _links: LinkWatch,
    outcomes: mpsc::Receiver<HealthEvent>,
    neighbours: mpsc::Receiver<NeighbourEvent>,
    link_events: mpsc::Receiver<LinkEvent>,
    tick: Interval,
    heartbeat: Option<Interval>,
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    /// Speaks to silent clients of flows that are reset, if it may.
    voice: Voice,
    /// Hears what routers say of tunnels, if it may.
    hearing: Hearing,
    /// Generation of the state that checks and neighbours follow.
    followed: Option<u64>,
}

/// Something that happened.
enum Event {
    Message(Message),
    Outcome(HealthEvent),
    Neighbour(NeighbourEvent),
    Link(LinkEvent),
    TooBig(TooBig),
    Tick,
    Sweep,
    Reset,
    Heartbeat,
    Hangup,
    End(&'static str),
}

/// Feeds the owner of the state until it is told to end.
pub(super) async fn conduct(mut control: Control, mut messages: mpsc::Receiver<Message>) -> Result<()> {
    let mut around = Surroundings::new(&control)?;
    around.follow(&control);
    notify::ready();
    let mut next_sweep = Instant::now();
    loop {
        if control.wants_sweep() {
            next_sweep = Instant::now();
        }
        let next_reset = control.next_reset().map(Instant::from_std);
        let event = around.next(&mut messages, next_sweep, next_reset).await;
        control = match event {
            Event::End(why) => return end(control, why),
            Event::Message(Message::Detach(reply)) => {
                let result = detach(control);
                // Who asked may have gone; it is done all the same.
                let _ = reply.send(result.clone());
                return result.map(|_| ()).map_err(Into::into);
            }
            Event::Message(Message::Reload(call)) => reload(control, call).await?,
            Event::Outcome(outcome) => {
                around.doubt(&outcome);
                control.on_health(outcome);
                control
            }
            Event::Hangup => reload(control, of_signal()).await?,
            Event::Sweep => {
                block_in_place(|| control.sweep(std::time::Instant::now()));
                next_sweep = Instant::now() + control.sweep_interval();
                control
            }
            Event::Reset => {
                let words = control.reset(std::time::Instant::now());
                words.into_iter().for_each(|word| around.voice.say(word));
                control
            }
            other => handle(control, other),
        };
        around.follow(&control);
    }
}

/// Everything that neither ends the agent nor makes the tables anew.
fn handle(mut control: Control, event: Event) -> Control {
    match event {
        Event::Message(Message::Job(job)) => block_in_place(|| job(&mut control)),
        Event::Neighbour(neighbour) => control.on_neighbour(neighbour),
        Event::Link(link) => on_link(&mut control, link),
        Event::TooBig(told) => control.on_too_big(told, std::time::Instant::now()),
        Event::Tick => tick(&mut control),
        Event::Heartbeat => notify::alive(),
        Event::Message(Message::Reload(_) | Message::Detach(_))
        | Event::Outcome(_)
        | Event::Sweep
        | Event::Reset
        | Event::Hangup
        | Event::End(_) => {}
    }
    control
}

impl Surroundings {
    fn new(control: &Control) -> Result<Self> {
        let (health_sender, outcomes) = mpsc::channel(1024);
        let (neighbour_sender, neighbours) = mpsc::channel(1024);
        let (link_sender, link_events) = mpsc::channel(64);
        let mut tick = time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            scheduler: Scheduler::new(health_sender),
            keeper: Keeper::start(neighbour_sender)?,
            _links: LinkWatch::start(control.config().agent.interfaces.clone(), link_sender)?,
            outcomes,
            neighbours,
            link_events,
            tick,
            heartbeat: notify::heartbeat(),
            hangup: signal(SignalKind::hangup()).context("SIGHUP")?,
            terminate: signal(SignalKind::terminate()).context("SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT")?,
            voice: Voice::open(),
            hearing: Hearing::new(),
            followed: None,
        })
    }

    /// What is seldom or bounded in time comes before what others can flood.
    async fn next(
        &mut self,
        messages: &mut mpsc::Receiver<Message>,
        next_sweep: Instant,
        next_reset: Option<Instant>,
    ) -> Event {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Event::End("SIGTERM"),
            _ = self.interrupt.recv() => Event::End("SIGINT"),
            _ = self.hangup.recv() => Event::Hangup,
            () = beat(&mut self.heartbeat) => Event::Heartbeat,
            _ = self.tick.tick() => Event::Tick,
            () = reach(next_reset) => Event::Reset,
            () = time::sleep_until(next_sweep) => Event::Sweep,
            Some(event) = self.link_events.recv() => Event::Link(event),
            Some(event) = self.outcomes.recv() => Event::Outcome(event),
            Some(event) = self.neighbours.recv() => Event::Neighbour(event),
            Some(message) = messages.recv() => Event::Message(message),
            Some(told) = self.hearing.next() => Event::TooBig(told),
        }
    }

    /// A check that failed may have asked a MAC address that is another's by now.
    fn doubt(&self, HealthEvent { address, outcome, .. }: &HealthEvent) {
        if matches!(outcome, Outcome::Failed(_)) {
            self.keeper.doubt(*address);
        }
    }

    /// Checks and neighbours follow the state.
    fn follow(&mut self, control: &Control) {
        self.scheduler.freeze(control.is_cut_off());
        if self.followed == Some(control.generation()) {
            return;
        }
        self.followed = Some(control.generation());
        self.keeper.set(control.addresses());
        self.hearing.follow(control.has_tunnels());
        let checks = control.checks();
        let gone: Vec<_> =
            self.scheduler.keys().filter(|key| !checks.iter().any(|(it, ..)| it == *key)).cloned().collect();
        gone.iter().for_each(|key| self.scheduler.remove(key));
        for (key, target, adopted) in checks {
            self.scheduler.set(key, target, adopted);
        }
    }
}

async fn reach(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn beat(heartbeat: &mut Option<Interval>) {
    match heartbeat {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

fn tick(control: &mut Control) {
    control.tick(std::time::Instant::now());
    if let Err(error) = control.save_verdicts() {
        tracing::warn!("the counters of the verdicts cannot be kept: {error}");
    }
}

/// An interface that came back has lost the program, and may have another number.
fn on_link(control: &mut Control, event: LinkEvent) {
    let (name, link) = (event.name.clone(), event.link.clone());
    if let Err(error) = control.on_link(event) {
        tracing::error!("interface {name}: {error}");
    }
    if let Some(link) = link
        && !control.tables_mut().attached().iter().any(|it| it.name == name && it.index == link.index)
        && let Err(error) = datapath::attach_one(control, &link)
    {
        tracing::error!("{error:#}");
    }
}

/// A reload that nobody waits for.
fn of_signal() -> ReloadCall {
    let (reply, _nobody) = tokio::sync::oneshot::channel();
    ReloadCall { request: ReloadRequest::default(), session: SshSession::of_operator(), reply }
}

/// Loads the file anew. What fails is told and changes nothing; only without tables there is no going on.
async fn reload(mut control: Control, call: ReloadCall) -> Result<Control> {
    notify::reloading();
    let ReloadCall { request, session, reply } = call;
    let result = match control.prepare(request, session) {
        Err(error) => Err(error),
        Ok(prepared) if !prepared.needs_new_maps() => apply(&mut control, prepared),
        Ok(prepared) => match datapath::links(prepared.config()).await {
            Err(error) => Err(ApiError::new(ErrorCode::Failed, format!("{error:#}"))),
            Ok(links) => {
                tracing::warn!("{}", prepared.why_new_maps());
                let remake = |old, config: &Config| datapath::remake(old, config, &links);
                let (remade, document) = control.apply_over(prepared, remake)?;
                control = remade;
                datapath::attach(&mut control, &links)?;
                Ok(document)
            }
        },
    };
    control.note_reload(result.as_ref().map(|_: &ReloadDoc| ()));
    // Who asked may have gone; it is done all the same.
    let _ = reply.send(result);
    notify::ready();
    Ok(control)
}

/// Applies over the tables that stand. Checks that the kernel cannot make are refused before anything is changed.
fn apply(control: &mut Control, prepared: Prepared) -> Result<ReloadDoc, ApiError> {
    datapath::steer(control, prepared.config())
        .map_err(|error| ApiError::new(ErrorCode::Failed, format!("nothing was changed: {error:#}")))?;
    let applied = control.apply(prepared);
    datapath::unsteer(control);
    applied
}

/// Takes everything out of the kernel.
fn detach(control: Control) -> Result<DetachDoc, ApiError> {
    notify::stopping();
    let agent = &control.config().agent;
    let mut removed: Vec<_> = agent.interfaces.iter().map(|name| format!("XDP program of {name}")).collect();
    removed.push(format!("bpffs objects in {}", agent.bpffs.display()));
    let failed = |error| ApiError::new(ErrorCode::Failed, format!("not all could be taken away: {error}"));
    control.into_tables().detach().map_err(failed)?;
    tracing::info!("detached: service addresses are this host's own again");
    Ok(DetachDoc { schema: Schema, removed })
}

/// Ends in order.
fn end(mut control: Control, why: &str) -> Result<()> {
    notify::stopping();
    tick(&mut control);
    match control.config().agent.on_exit {
        OnExit::Keep => {
            tracing::info!("ends by {why}; packets go on flowing with the last verdicts");
            Ok(())
        }
        OnExit::Detach => {
            tracing::info!("ends by {why}");
            Ok(detach(control).map(|_| ())?)
        }
    }
}
