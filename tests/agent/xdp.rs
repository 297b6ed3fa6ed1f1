//! What the kernel says of XDP: programs on interfaces, programs at all, and the agent's bpffs objects.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};
use aya::programs::loaded_programs;
use lab::{
    netns::{Netns, output},
    paths::Place,
};
use serde_json::Value;

/// A program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnInterface {
    /// Its number.
    pub(crate) program: u32,
    /// Whether it is in the driver.
    pub(crate) native: bool,
}

/// The program on an interface, as `ip link` tells.
pub(crate) fn on(netns: &Netns, interface: &str) -> Result<Option<OnInterface>> {
    let text = output(netns.command("ip").args(["-j", "-d", "link", "show", "dev", interface]))?;
    let links: Value = serde_json::from_str(&text)?;
    let xdp = &links[0]["xdp"];
    let Some(program) = xdp["prog"]["id"].as_u64() else { return Ok(None) };
    // XDP_ATTACHED_DRV and XDP_ATTACHED_SKB (include/uapi/linux/if_link.h).
    let native = match xdp["mode"].as_u64() {
        Some(1) => true,
        Some(2) => false,
        mode => bail!("{interface}: unknown XDP mode {mode:?}"),
    };
    Ok(Some(OnInterface { program: program.try_into()?, native }))
}

/// Whether the kernel still has a program; it frees one a moment after its last user has gone.
pub(crate) fn freed(program: u32) -> Result<()> {
    for _ in 0..500 {
        if !loaded_programs().flatten().any(|loaded| loaded.id() == program) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("program {program} is still in the kernel")
}

/// Names of what the agent keeps in bpffs; none if its directory is not there.
pub(crate) fn objects(place: &Place) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut directories = vec![place.bpffs().join("balancer")];
    while let Some(directory) = directories.pop().filter(|directory| directory.exists()) {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => directories.push(entry.path()),
                false => names.push(entry.path().display().to_string()),
            }
        }
    }
    Ok(names)
}
