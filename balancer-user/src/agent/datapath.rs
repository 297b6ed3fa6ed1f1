//! Tables and program: opened, attached, and made anew.

use anyhow::{Context as _, Result};

use super::seed;
use crate::{
    config::{Config, XdpMode},
    control::{Control, dimensions},
    dataplane::{Attached, Dataplane, OpenOptions},
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
            anyhow::bail!("interface {name} has no MAC address, so mode l2dsr cannot use it");
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
    if control.config().checks_by_datapath() {
        control.tables_mut().steer(name)?;
    }
    Ok(())
}

/// Puts the programs of health checks on the interfaces, if a configuration wants them; [`unsteer`] is the other half.
pub(super) fn steer(control: &mut Control, config: &Config) -> Result<()> {
    if config.checks_by_datapath() {
        for name in &config.agent.interfaces {
            control.tables_mut().steer(name)?;
        }
    }
    Ok(())
}

/// Takes them off if the configuration in force does not want them.
pub(super) fn unsteer(control: &mut Control) {
    if !control.config().checks_by_datapath() {
        control.tables_mut().unsteer();
    }
}

/// Makes the tables anew, as the configuration wants them now. All flows and pins are lost.
pub(super) fn remake(old: Dataplane, config: &Config, links: &[Link]) -> Result<(Dataplane, [u8; 16])> {
    tracing::warn!("the tables are made anew: all flows and pins are lost, packets pass by until they stand");
    old.detach().context("the old tables cannot be taken away")?;
    open(config, links)
}
