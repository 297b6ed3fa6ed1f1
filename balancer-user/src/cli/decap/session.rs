//! The programs on the interface for as long as the command runs, and the addresses that they go by.

use std::path::Path;

use balancer_common::decap::rules::{PREFIXES, Prefix};
use tokio::signal::unix::{SignalKind, signal};

use super::{DecapArgs, document::DecapDoc, refused};
use crate::{
    cli::{
        exit::{Code, Failure},
        ui::Ui,
    },
    dataplane::{Attached, Decap, TunnelRules, decap_mode},
    net::{
        Netlink, links,
        stacked::{self, AddressWatch},
    },
};

/// The programs on an interface.
pub(super) struct Session<'a> {
    args: &'a DecapArgs,
    netlink: Netlink,
    watch: AddressWatch,
    decap: Decap,
    attached: Attached,
}

impl<'a> Session<'a> {
    /// Puts them there.
    pub(super) async fn begin(args: &'a DecapArgs, bpffs: &Path) -> Result<Self, Failure> {
        if args.source.len() > PREFIXES as usize {
            let many = format!("{} times --source", args.source.len());
            return Err(Failure::said(Code::Usage, many).with_remedy(format!("{PREFIXES} at most")));
        }
        let netlink = Netlink::open().map_err(refused)?;
        // Before the first look, so that no change is missed between.
        let watch = AddressWatch::start().map_err(refused)?;
        let link = links::by_name(&netlink, &args.interface).await.map_err(refused)?;
        let own = stacked::addresses(&netlink, link.index).await.map_err(refused)?;
        let there = decap_mode(bpffs).is_some();
        let mut decap = Decap::open(bpffs).map_err(refused)?;
        decap.set_rules(&rules(args, &own)).map_err(refused)?;
        match decap.attach(&args.interface, args.xdp_mode.into(), link.xdp) {
            Ok(attached) => Ok(Self { args, netlink, watch, decap, attached }),
            Err(error) if there => Err(refused(error)),
            // Half of it is nothing to leave behind.
            Err(error) => {
                let detached = decap.detach().map_err(refused);
                super::tidy(&args.bpffs);
                detached.and(Err(refused(error)))
            }
        }
    }

    fn document(&self) -> DecapDoc {
        DecapDoc::of(&self.attached.name, self.attached.mode, self.decap.tables())
    }

    /// Says what is on, and what is dangerous about it.
    pub(super) fn announce(&self, ui: &mut Ui<'_>) -> Result<(), Failure> {
        let document = self.document();
        ui.talk(&document.sentence())?;
        if document.is_open() {
            ui.talk("from any source: say --source with the balancers' addresses (agent.sources there)")?;
        }
        if self.args.keep {
            let name = &self.attached.name;
            ui.talk(&format!("it stays on; `balancer decap --interface {name} --detach` takes it off"))?;
        }
        Ok(())
    }

    /// Follows the interface's addresses until SIGTERM or Ctrl-C, and takes the programs off: what they have done.
    pub(super) async fn until_told(mut self) -> Result<DecapDoc, Failure> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let outcome = loop {
            tokio::select! {
                _ = terminate.recv() => break Ok(()),
                _ = interrupt.recv() => break Ok(()),
                () = self.watch.changed() => if let Err(failure) = self.look_again().await {
                    break Err(failure);
                },
            }
        };
        let document = self.document();
        let detached = self.decap.detach().map_err(refused);
        super::tidy(&self.args.bpffs);
        outcome.and(detached).map(|()| document)
    }

    async fn look_again(&mut self) -> Result<(), Failure> {
        let link = links::by_name(&self.netlink, &self.attached.name).await.map_err(refused)?;
        if link.index != self.attached.index {
            let another = format!("interface {}: it was replaced by another one", link.name);
            return Err(Failure::said(Code::Failed, another).with_remedy("start anew"));
        }
        let own = stacked::addresses(&self.netlink, link.index).await.map_err(refused)?;
        self.decap.set_rules(&rules(self.args, &own)).map_err(refused)
    }
}

fn rules(args: &DecapArgs, own: &[std::net::IpAddr]) -> TunnelRules {
    let whole = |address: &std::net::IpAddr| Prefix::new(*address, if address.is_ipv4() { 32 } else { 128 });
    let own = own.iter().take(PREFIXES as usize).map(whole).collect();
    let sources = args.source.iter().map(|net| Prefix::new(net.addr(), net.prefix_len())).collect();
    TunnelRules { own, sources, mss: args.mss }
}
