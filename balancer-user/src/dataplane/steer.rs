//! The two programs of the health checks by the datapath, on the interfaces that have the XDP program.
//!
//! Their links are this process's alone: whatever becomes of it, the kernel takes the programs away with it. Without them
//! no packet of a client is missed.

use std::collections::HashMap;

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, SchedClassifier, TcAttachType,
        tc::{SchedClassifierLink, TcAttachOptions},
    },
};
use nix::{errno::Errno, net::if_::if_nametoindex};

use super::{Dataplane, DataplaneError, Probes, links::errno_of};

/// Names of the programs in the object. What leaves is changed after, and what comes before all others, so that these
/// see a connection to the backend's own address.
const OUT: &str = "probe_out";
const IN: &str = "probe_in";

/// The links, by the index of their interface and the name of their program.
#[derive(Debug, Default)]
pub(super) struct Steering {
    /// The kernel has refused the programs, and the checks go without them.
    refused: bool,
    links: HashMap<(u32, &'static str), SchedClassifierLink>,
}

impl Steering {
    fn attach(&mut self, ebpf: &mut Ebpf, interface: &str) -> Result<(), DataplaneError> {
        let index = if_nametoindex(interface)
            .map_err(|_errno| DataplaneError::NoInterface { interface: interface.to_owned() })?;
        for (name, side, order) in
            [(OUT, TcAttachType::Egress, LinkOrder::last()), (IN, TcAttachType::Ingress, LinkOrder::first())]
        {
            match attach(ebpf, name, interface, side, order) {
                // A link of before is to an interface that is gone.
                Ok(link) => drop(self.links.insert((index, name), link)),
                Err(error) if errno_of(&error) == Some(Errno::EEXIST) => {}
                Err(source) => {
                    return Err(DataplaneError::NoSteering { interface: interface.to_owned(), source });
                }
            }
        }
        Ok(())
    }
}

/// One program on one side; `EEXIST` if it is there already.
fn attach(
    ebpf: &mut Ebpf,
    name: &str,
    interface: &str,
    side: TcAttachType,
    order: LinkOrder,
) -> Result<SchedClassifierLink, ProgramError> {
    let program = ebpf.program_mut(name).ok_or(ProgramError::UnexpectedProgramType)?;
    let program: &mut SchedClassifier = program.try_into()?;
    if program.fd().is_err() {
        program.load()?;
    }
    let id = program.attach_with_options(interface, side, TcAttachOptions::TcxOrder(order))?;
    program.take_link(id)
}

impl Dataplane {
    /// Puts the programs that health checks by the datapath need on an interface, if they are not there.
    ///
    /// # Errors
    /// If there is no such interface, or the kernel has no links for such programs (before Linux 6.6).
    pub fn steer(&mut self, interface: &str) -> Result<(), DataplaneError> {
        let Some(kernel) = &mut self.kernel else { return Ok(()) };
        kernel.steering.attach(&mut kernel.ebpf, interface)
    }

    /// Takes those programs off all interfaces.
    pub fn unsteer(&mut self) {
        if let Some(kernel) = &mut self.kernel {
            kernel.steering.links.clear();
        }
    }

    /// Whether checks can go by the datapath. It is so until somebody has found that it is not.
    #[must_use]
    pub fn can_steer(&self) -> bool {
        self.kernel.as_ref().is_none_or(|kernel| !kernel.steering.refused)
    }

    /// Remembers whether they can.
    pub fn set_can_steer(&mut self, can: bool) {
        if let Some(kernel) = &mut self.kernel {
            kernel.steering.refused = !can;
        }
    }

    /// The table of the health checks by the datapath. Without a kernel no program reads it.
    #[must_use]
    pub fn probes(&self) -> Probes {
        self.probes.clone()
    }
}
