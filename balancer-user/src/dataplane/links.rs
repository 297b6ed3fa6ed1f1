//! The program on its interfaces: one link each, kept in bpffs as `links/<interface index>-<mode>`.

use super::{DataplaneError, bpffs::Directory};
use crate::config::model::XdpMode;
use aya::programs::{
    Xdp,
    links::{FdLink, LinkError, PinnedLink},
    loaded_programs,
    xdp::{XdpLink, XdpMode as Mode},
};
use aya_obj::generated::bpf_prog_type;
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
    ) -> Result<Attached, DataplaneError> {
        let index = if_nametoindex(interface)
            .map_err(|_errno| DataplaneError::NoInterface { interface: interface.to_owned() })?;
        let mode = match swap(program, directory, index, mode)? {
            Some(mode) => mode,
            None => attach_anew(program, directory, interface, index, mode)?,
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
        fs::remove_file(&path).map_err(|source| DataplaneError::File { path, source })?;
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

fn attach_anew(
    program: &mut Xdp,
    directory: &Directory,
    interface: &str,
    index: u32,
    mode: XdpMode,
) -> Result<&'static str, DataplaneError> {
    let native = match mode {
        XdpMode::Generic => None,
        XdpMode::Native | XdpMode::Auto => Some(program.attach_to_if_index(index, Mode::Driver)),
    };
    let (id, word) = match native {
        Some(Ok(id)) => (id, NATIVE),
        Some(Err(error)) if mode == XdpMode::Native || is_busy(&error) => {
            return Err(refused(interface, error));
        }
        Some(Err(_)) | None => {
            let id = program.attach_to_if_index(index, Mode::Skb);
            (id.map_err(|error| refused(interface, error))?, GENERIC)
        }
    };
    let no_link = || DataplaneError::NoLink { interface: interface.to_owned() };
    let link = program.take_link(id).map_err(|_error| no_link())?;
    let link = FdLink::try_from(link).map_err(|_error| no_link())?;
    let path = link_path(directory, index, word);
    link.pin(&path).map_err(|error| DataplaneError::Pin { path, why: error.to_string() })?;
    Ok(word)
}

fn refused(interface: &str, error: aya::programs::ProgramError) -> DataplaneError {
    if is_busy(&error) {
        return DataplaneError::ForeignProgram { interface: interface.to_owned(), program: others() };
    }
    DataplaneError::Program {
        what: format!("interface {interface}: attaching the XDP program"),
        source: error,
    }
}

/// The XDP programs of the host that are not ours, for the message.
fn others() -> String {
    let names: Vec<String> = loaded_programs()
        .flatten()
        .filter(|one| one.program_type() == bpf_prog_type::BPF_PROG_TYPE_XDP)
        .filter(|one| one.name_as_str() != Some("balancer"))
        .map(|one| format!("{:?} (id {})", one.name_as_str().unwrap_or("?"), one.id()))
        .collect();
    if names.is_empty() { String::new() } else { format!(", of these: {}", names.join(", ")) }
}

fn is_busy(error: &aya::programs::ProgramError) -> bool {
    matches!(errno_of(error), Some(Errno::EBUSY | Errno::EEXIST))
}

/// The kernel's number in an error, wherever aya has put it.
fn errno_of(error: &aya::programs::ProgramError) -> Option<Errno> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = source {
        if let Some(io) = one.downcast_ref::<std::io::Error>() {
            return io.raw_os_error().map(Errno::from_raw);
        }
        source = one.source();
    }
    None
}
