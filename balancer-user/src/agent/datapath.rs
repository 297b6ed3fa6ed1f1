//! Tables and program: opened, attached, and made anew.

use anyhow::{Context as _, Result};

use super::seed;
use crate::{
    config::{Config, Via, XdpMode, dimensions},
    control::Control,
    dataplane::{Attached, Dataplane, DataplaneError, OpenOptions},
    health::{Guises, may_go_by_datapath},
    net::{
        Netlink,
        links::{self, Link},
    },
};

/// The interfaces that the configuration names.
pub(super) async fn links(config: &Config) -> Result<Vec<Link>> {
    let netlink = Netlink::open()?;
    let mut found = Vec::new();
    for name in &config.agent.interfaces {
        let link = links::by_name(&netlink, name).await?;
        if link.mac.is_none() {
            anyhow::bail!("interface {name} has no MAC address: packets cannot be sent by it");
        }
        found.push(link);
    }
    Ok(found)
}

/// Opens the tables, or makes them; the interfaces stand in them.
pub(super) fn open(config: &Config, links: &[Link]) -> Result<(Dataplane, [u8; 16])> {
    let hash_seed = seed::of(config)?;
    let bpffs = config.agent.bpffs.clone();
    let mut tables = Dataplane::open(&OpenOptions { bpffs, dimensions: dimensions(config), hash_seed })?;
    let interfaces: Vec<_> = links.iter().filter_map(|link| Some((link.index, link.mac?.0))).collect();
    tables.set_interfaces(&interfaces)?;
    Ok((tables, hash_seed))
}

/// Attaches to every interface of the configuration, and to no other.
pub(super) fn attach(control: &mut Control, links: &[Link]) -> Result<()> {
    for link in links {
        attach_one(control, link)?;
    }
    Ok(control.tables_mut().detach_others()?)
}

/// Attaches to one interface, and says which mode that came to.
pub(super) fn attach_one(control: &mut Control, link: &Link) -> Result<()> {
    let (name, asked) = (&link.name, control.config().agent.xdp_mode);
    let Attached { mode, program_id, .. } = control.tables_mut().attach(name, asked, link.xdp)?;
    match (asked, mode) {
        (XdpMode::Auto, "generic") => tracing::warn!(
            "interface {name}: attached in generic mode, as its driver has no native XDP: slower (program {program_id})"
        ),
        _ => tracing::info!("interface {name}: attached in {mode} mode (program {program_id})"),
    }
    if mode == "generic" && link.leads_to_containers() {
        tracing::warn!(
            "interface {name}: containers behind it must complete their checksums themselves, by `ethtool -K eth0 tx off` in \
             each after its start: their health is up without it too, but clients hear nothing (docs/modes.md)"
        );
    }
    let wish = Wish::of(control.config());
    Ok(steer_one(control.tables_mut(), name, wish)?)
}

/// Whether a configuration wants the programs of health checks by the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    No,
    /// Where they can be had.
    Rather,
    Must,
}

impl Wish {
    fn of(config: &Config) -> Self {
        let (services, guises) = (&config.services, Guises::of(config));
        if services.iter().any(|service| service.health.via == Via::Datapath) {
            Self::Must
        } else if services.iter().any(|service| may_go_by_datapath(service, &guises)) {
            Self::Rather
        } else {
            Self::No
        }
    }
}

/// Puts the programs of health checks on the interfaces, if a configuration wants them; [`unsteer`] is the other half.
pub(super) fn steer(control: &mut Control, config: &Config) -> Result<()> {
    let wish = Wish::of(config);
    for name in &config.agent.interfaces {
        steer_one(control.tables_mut(), name, wish)?;
    }
    if wish == Wish::Must {
        control.tables_mut().set_can_steer(true);
    }
    Ok(())
}

/// A kernel that has once refused them is not asked again, unless they must be had.
fn steer_one(tables: &mut Dataplane, name: &str, wish: Wish) -> Result<(), DataplaneError> {
    if wish == Wish::No || (wish == Wish::Rather && !tables.can_steer()) {
        return Ok(());
    }
    match tables.steer(name) {
        Err(DataplaneError::NoSteering { interface, source }) if wish == Wish::Rather => {
            tracing::warn!(
                "interface {interface}: health checks by the datapath cannot be had here (they want Linux 6.6), so \
                 that every check goes to the backend's own address (health.via = \"auto\"): {}",
                chain(&source)
            );
            tables.set_can_steer(false);
            tables.unsteer();
            Ok(())
        }
        result => result,
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

/// Takes them off if the configuration in force does not want them.
pub(super) fn unsteer(control: &mut Control) {
    if Wish::of(control.config()) == Wish::No {
        control.tables_mut().unsteer();
    }
}

/// Makes the tables anew, as the configuration wants them now. All flows and pins are lost.
pub(super) fn remake(old: Dataplane, config: &Config, links: &[Link]) -> Result<(Dataplane, [u8; 16])> {
    tracing::warn!("the tables are made anew: all flows and pins are lost, packets pass by until they stand");
    old.detach().context("the old tables cannot be taken away")?;
    open(config, links)
}
