//! Somebody else's XDP program is named and never replaced.

use anyhow::{Context as _, Result, ensure};
use lab::{
    napi,
    netns::{Netns, run},
    network::INTERFACE,
    topology::Host,
};

use crate::{
    Test,
    file::File,
    labs::block_on,
    stand::{Stand, outcome, refused},
    xdp,
};

pub(crate) const TESTS: &[Test] = &[
    ("a_foreign_program_in_the_driver_is_named_and_stays", in_the_driver),
    ("a_foreign_generic_program_is_named_and_stays", generic),
    ("a_foreign_program_on_one_interface_leaves_the_others_without_ours", on_the_second),
];

/// The word of `ip link set` for each way that a program can be attached.
const NATIVE: &str = "xdpdrv";
const GENERIC: &str = "xdpgeneric";

fn in_the_driver() -> Result<()> {
    on_the_interface("ba-foreign-", NATIVE, &["auto", "native", "generic"])
}

fn generic() -> Result<()> {
    on_the_interface("ba-fgeneric-", GENERIC, &["auto", "native", "generic"])
}

fn on_the_interface(prefix: &str, how: &str, modes: &[&'static str]) -> Result<()> {
    block_on(async {
        let stand = Stand::make(prefix).await?;
        let foreign = attach_foreign(&stand, &stand.netns(), INTERFACE, how)?;
        for mode in modes {
            let file = File::web(stand.place(), 2).to_string();
            stand.write(&file.replace("[agent]", &format!("[agent]\nxdp_mode = \"{mode}\"")))?;
            let refusal = outcome(stand.run_command(&[])?).await?;
            refused(&refusal, 1, &[INTERFACE, &format!("id {}", foreign.program)])?;
            let now = stand.xdp()?;
            ensure!(now == Some(foreign), "{mode}: {foreign:?} became {now:?}");
            let objects = xdp::objects(stand.place())?;
            ensure!(objects.is_empty(), "{mode}: bpffs objects are left: {objects:?}");
            ensure!(!stand.place().api().exists(), "{mode}: the socket is left");
        }
        Ok(())
    })
}

fn on_the_second() -> Result<()> {
    block_on(async {
        let stand = Stand::make("ba-fsecond-").await?;
        stand.netns().ip("link add eth1 type veth peer name eth1-peer\nlink set eth1 up\n")?;
        let foreign = attach_foreign(&stand, &stand.netns(), "eth1", NATIVE)?;
        let file = File { interfaces: vec![INTERFACE, "eth1"], ..File::web(stand.place(), 2) };
        stand.write(&file)?;
        let refusal = outcome(stand.run_command(&[])?).await?;
        refused(&refusal, 1, &["eth1", &format!("id {}", foreign.program)])?;
        ensure!(xdp::on(&stand.netns(), "eth1")? == Some(foreign), "the foreign program is no more");
        stand.nothing_left()
    })
}

/// Puts a program that passes everything on an interface, as another tool would.
fn attach_foreign(stand: &Stand, netns: &Netns, interface: &str, how: &str) -> Result<xdp::OnInterface> {
    let object = stand.place().bpffs().join("foreign");
    napi::enable(netns, interface, &object)?;
    let ip = |words: &[&str]| run(netns.command("ip").args(["link", "set", "dev", interface]).args(words));
    ip(&["xdp", "off"])?;
    ip(&[how, "pinned", &object.to_string_lossy()])?;
    xdp::on(netns, interface)?.with_context(|| format!("no program on {interface} of {}", Host::Balancer))
}
