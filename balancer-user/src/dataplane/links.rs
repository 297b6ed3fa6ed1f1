//! The program on its interfaces: one link each, kept in bpffs as `links/<interface index>-<mode>`.

use super::{
    DataplaneError,
    bpffs::{self, Directory},
};
use crate::config::model::XdpMode;
use aya::programs::{
    ProgramError, Xdp,
    links::{FdLink, LinkError, PinnedLink},
    loaded_programs,
    xdp::{XdpLink, XdpLinkId, XdpMode as Mode},
};
use nix::{errno::Errno, net::if_::if_nametoindex};
use std::{fs, path::PathBuf};

/// The program on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Name of the interface.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// The mode that it really has: `native` or `generic`.
    pub mode: &'static str,
    /// The kernel's number of the program.
    pub program_id: u32,
}

#[derive(Debug, Default)]
pub(super) struct Links {
    attached: Vec<Attached>,
}

const NATIVE: &str = "native";
const GENERIC: &str = "generic";

impl Links {
    pub(super) fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// Swaps the program into the link that is there, or makes one.
    pub(super) fn attach(
        &mut self,
        program: &mut Xdp,
        directory: &Directory,
        interface: &str,
        mode: XdpMode,
        seen: Option<u32>,
    ) -> Result<Attached, DataplaneError> {
        let index = if_nametoindex(interface)
            .map_err(|_errno| DataplaneError::NoInterface { interface: interface.to_owned() })?;
        let mode = match swap(program, directory, index, mode)? {
            Some(mode) => mode,
            None => {
                let anew = attach_anew(program, index, mode);
                let (id, mode) = anew.map_err(|error| refused(interface, error, seen))?;
                keep(program, id, link_path(directory, index, mode), interface)?;
                mode
            }
        };
        let program_id = program
            .info()
            .map_err(|source| DataplaneError::Program {
                what: "reading the program's number".into(),
                source,
            })?
            .id();
        let attached = Attached { name: interface.to_owned(), index, mode, program_id };
        self.attached.retain(|one| one.index != index);
        self.attached.push(attached.clone());
        directory.forget_other_layouts();
        Ok(attached)
    }
}

impl Links {
    /// Removes the links of all interfaces that the program was not put on.
    pub(super) fn remove_others(&self, directory: &Directory) -> Result<(), DataplaneError> {
        let links = directory.links();
        let failed = |source| DataplaneError::File { path: links.clone(), source };
        for link in fs::read_dir(&links).map_err(failed)? {
            let link = link.map_err(failed)?;
            let name = link.file_name();
            let index = name.to_str().and_then(|name| name.split_once('-')?.0.parse().ok());
            if !self.attached.iter().any(|one| Some(one.index) == index) {
                bpffs::remove_link(&link.path())?;
                tracing::info!(link = ?name, "taken off an interface that is not served any more");
            }
        }
        Ok(())
    }
}

fn link_path(directory: &Directory, index: u32, mode: &str) -> PathBuf {
    directory.links().join(format!("{index}-{mode}"))
}

/// Puts the program into a link that an agent before left on the interface. `None` if there is none of use.
fn swap(
    program: &mut Xdp,
    directory: &Directory,
    index: u32,
    wished: XdpMode,
) -> Result<Option<&'static str>, DataplaneError> {
    for mode in [NATIVE, GENERIC] {
        let path = link_path(directory, index, mode);
        if !path.exists() {
            continue;
        }
        let fits = !matches!((wished, mode), (XdpMode::Native, GENERIC) | (XdpMode::Generic, NATIVE));
        let swapped = fits && swap_into(program, &path)?;
        if swapped {
            return Ok(Some(mode));
        }
        // The operator wants another mode, or the interface behind the link is gone.
        bpffs::remove_link(&path)?;
    }
    Ok(None)
}

/// Whether the program is in the link now; false if its interface is gone.
fn swap_into(program: &mut Xdp, path: &PathBuf) -> Result<bool, DataplaneError> {
    let pin = |error: LinkError| DataplaneError::Pin { path: path.clone(), why: error.to_string() };
    let link = FdLink::from(PinnedLink::from_pin(path).map_err(pin)?);
    let link = XdpLink::try_from(link).map_err(pin)?;
    match program.attach_to_link(link) {
        Ok(_id) => Ok(true),
        Err(error) if errno_of(&error) == Some(Errno::ENOLINK) => Ok(false),
        Err(source) => {
            let what = format!("swapping the program in {}", path.display());
            Err(DataplaneError::Program { what, source })
        }
    }
}

/// A link of its own; the mode that it came to.
fn attach_anew(
    program: &mut Xdp,
    index: u32,
    mode: XdpMode,
) -> Result<(XdpLinkId, &'static str), ProgramError> {
    if mode != XdpMode::Generic {
        match program.attach_to_if_index(index, Mode::Driver) {
            Ok(id) => return Ok((id, NATIVE)),
            // A driver without XDP says something else.
            Err(error) if mode == XdpMode::Native || is_busy(&error) => return Err(error),
            Err(_no_native) => {}
        }
    }
    program.attach_to_if_index(index, Mode::Skb).map(|id| (id, GENERIC))
}

/// Keeps a link in bpffs, so that it outlives the agent.
fn keep(program: &mut Xdp, id: XdpLinkId, path: PathBuf, interface: &str) -> Result<(), DataplaneError> {
    let no_link = || DataplaneError::NoLink { interface: interface.to_owned() };
    let link = program.take_link(id).map_err(|_error| no_link())?;
    let link = FdLink::try_from(link).map_err(|_error| no_link())?;
    match link.pin(&path) {
        Ok(_pinned) => Ok(()),
        Err(error) => Err(DataplaneError::Pin { path, why: error.to_string() }),
    }
}

fn refused(interface: &str, error: ProgramError, seen: Option<u32>) -> DataplaneError {
    let interface = interface.to_owned();
    if is_busy(&error) {
        return DataplaneError::ForeignProgram { interface, program: seen.map(show).unwrap_or_default() };
    }
    let no_native = errno_of(&error) == Some(Errno::EOPNOTSUPP);
    let hint = if no_native { " (without native XDP set agent.xdp_mode = \"generic\")" } else { "" };
    DataplaneError::Program {
        what: format!("interface {interface}: attaching the XDP program{hint}"),
        source: error,
    }
}

/// A program of the host for the message. Its name is for `CAP_SYS_ADMIN` alone, which an agent need not have.
fn show(id: u32) -> String {
    let named = loaded_programs().flatten().find(|program| program.id() == id);
    let name = named.and_then(|program| program.name_as_str().map(str::to_owned));
    match name.filter(|name| !name.is_empty()) {
        Some(name) => format!(" (id {id}, {name:?})"),
        None => format!(" (id {id})"),
    }
}

fn is_busy(error: &ProgramError) -> bool {
    matches!(errno_of(error), Some(Errno::EBUSY | Errno::EEXIST))
}

/// The kernel's number in an error, wherever aya has put it.
pub(super) fn errno_of(error: &ProgramError) -> Option<Errno> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = source {
        if let Some(io) = one.downcast_ref::<std::io::Error>() {
            return io.raw_os_error().map(Errno::from_raw);
        }
        source = one.source();
    }
    None
}
