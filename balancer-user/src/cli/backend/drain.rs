//! `balancer backend drain`.

use std::time::Duration;

use balancer_common::state::{Admin, DrainEnd};
use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use super::{
    Target,
    wait::{End, Watch},
};
use crate::{
    api::{
        client::Client,
        types::{BackendDoc, EndWord, Schema, SetAdmin, SetDrain},
    },
    cli::{
        exit::{Code, Failure},
        parse::count,
        ui::Ui,
    },
};

/// Let a backend finish what it has, and take nothing new.
///
/// No new client and no new connection; its live flows go on until they end by themselves, or until the drain's
/// deadline. What is left then is reset, as slowly as the service's `reset_rate` says, or left alone (--end).
/// The deadline is a moment, which a restart of the agent does not move; said anew it counts from then on.
///
/// Unlike HAProxy's drain, it does not keep persistence: a pinned client that opens a new connection goes
/// elsewhere, and is pinned there, unless --keep-pins is given. `weight 0` keeps pinned clients coming too, and
/// has no deadline. `ready` ends a drain.
///
/// With --wait it shows how many flows are left, how long it has waited and how long it is to the deadline: as a
/// bar on a terminal, as a line for each change elsewhere. It ends with 0 when no flow is left and none was cut,
/// with 6 when flows are left after --timeout, or were cut (by the deadline, `maint`, `del --now`, or because the
/// backend went down). Ctrl-C ends the waiting, not the drain.
#[derive(Debug, Args)]
pub(in crate::cli) struct DrainArgs {
    #[command(flatten)]
    target: Target,

    /// How long its flows may go on, e.g. 5m [default: the service's `drain.deadline`].
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    deadline: Option<Duration>,

    /// What becomes of the flows that are left at the deadline: reset or leave [default: the service's `drain.end`].
    #[arg(long, value_name = "END", value_parser = end)]
    end: Option<DrainEnd>,

    /// Its pinned clients' new connections still come to it.
    #[arg(long)]
    keep_pins: bool,

    /// Wait until no flow is left.
    #[arg(long)]
    wait: bool,

    /// Wait no longer than this, e.g. 10m [default: as long as it takes].
    #[arg(long, requires = "wait", value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,

    /// Even if fewer than `min_ready` backends stay up.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: &DrainArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    // Before the drain begins, so that a Ctrl-C from now on is answered with how to undo it.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let request = SetAdmin { force: args.force, drain: terms(args), ..SetAdmin::to(Admin::Drain) };
    let document = args.target.set_admin(client, request).await?;
    if !args.wait {
        return super::report(&document, ui);
    }
    let mut watch = Watch::new(&args.target, client, &document.backend, ui);
    let end = tokio::select! {
        end = watch.until_end(ui) => end,
        () = expire(args.timeout) => Ok(End::Expired),
        _ = interrupt.recv() => Ok(End::Interrupted),
    };
    watch.leave(ui)?;
    conclude(args, end?, watch.left, ui)
}

fn end(word: &str) -> Result<DrainEnd, String> {
    DrainEnd::from_word(word).ok_or_else(|| "use reset or leave".to_owned())
}

/// What is said of how it drains; whole seconds, rounded up.
fn terms(args: &DrainArgs) -> Option<SetDrain> {
    let seconds = |it: Duration| it.as_secs() + u64::from(it.subsec_nanos() > 0);
    let terms = SetDrain {
        deadline: args.deadline.map(seconds),
        end: args.end.map(EndWord),
        keep_pins: args.keep_pins,
    };
    (terms != SetDrain::default()).then_some(terms)
}

async fn expire(after: Option<Duration>) {
    match after {
        Some(after) => sleep(after).await,
        None => std::future::pending().await,
    }
}

fn conclude(args: &DrainArgs, end: End, left: u64, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let Target { service, backend } = &args.target;
    let name = format!("service \"{service}\": backend \"{backend}\"");
    let on = format!("the drain stays on; `{}` undoes it", args.target.undo());
    let after = args.timeout.map(humantime::format_duration).map(|time| format!(" after {time}"));
    match end {
        End::Empty(row) => {
            let document =
                BackendDoc { schema: Schema, service: service.clone(), backend: *row, notes: vec![] };
            Ok(ui.done(&document, &format!("{name} has no flow left: safe to stop"))?)
        }
        End::Forgotten => Ok(ui.talk(&format!("{name} has no flow left and is forgotten: safe to stop"))?),
        End::Cut(why) => Err(Failure::said(Code::Cut, format!("{name} {why}"))),
        End::Undone(why) => Err(Failure::said(Code::Failed, format!("{name} {why}"))),
        End::Expired => {
            let message = format!("{name} has {} left{}", count(left, "flow"), after.unwrap_or_default());
            Err(Failure::said(Code::Cut, message).with_remedy(on))
        }
        End::Interrupted => {
            let message = format!("interrupted: {name} has {} left", count(left, "flow"));
            Err(Failure::said(Code::Interrupted, message).with_remedy(on))
        }
    }
}
