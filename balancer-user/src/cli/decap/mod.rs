//! `balancer decap`: the other end of mode `ipip`, on a backend.

mod document;
mod session;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ipnet::IpNet;

use self::{document::DecapDoc, session::Session};
use super::{
    exit::{Code, Failure},
    parse,
    ui::Ui,
};
use crate::{config::model::XdpMode, dataplane};

/// Take packets out of the balancer's tunnels, on a backend.
///
/// Packets of mode "ipip" that are for an address of the interface lose their outer header and go up the stack, which
/// has the service address on lo. All others pass untouched. It stays in the foreground, follows the interface's
/// addresses, and takes itself off at Ctrl-C or SIGTERM.
///
/// Say --source: without it, anybody who reaches the backend can wrap a packet of any source in a tunnel, past the source address
/// filters on the way.
#[derive(Debug, Args)]
pub(super) struct DecapArgs {
    /// The interface that tunnels come in by.
    #[arg(short, long, value_name = "NAME")]
    interface: String,

    /// Where tunnels may come from, an address or a prefix; again for more. Anywhere, if absent.
    #[arg(long, value_name = "PREFIX", value_parser = parse::prefix, conflicts_with_all = ["show", "detach"])]
    source: Vec<IpNet>,

    /// Clamp the MSS of every SYN and SYN+ACK that leaves by the interface (wants Linux 6.6).
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(536..=65495),
        conflicts_with_all = ["show", "detach"])]
    mss: Option<u16>,

    /// The XDP mode.
    #[arg(long, value_enum, value_name = "MODE", default_value_t, conflicts_with_all = ["show", "detach"])]
    xdp_mode: ModeWord,

    /// Leave it on and end at once; addresses that change from then on are not followed.
    #[arg(long, conflicts_with_all = ["show", "detach"])]
    keep: bool,

    /// Show what is attached, and its counters.
    #[arg(long, conflicts_with = "detach")]
    show: bool,

    /// Take off what --keep has left on.
    #[arg(long)]
    detach: bool,

    /// Directory of the bpffs objects; each interface has one of its own there.
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf/balancer-decap")]
    bpffs: PathBuf,
}

/// The XDP modes, as one asks for them.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ModeWord {
    /// Native, else generic.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the network core: works everywhere, slower.
    Generic,
}

impl From<ModeWord> for XdpMode {
    fn from(word: ModeWord) -> Self {
        match word {
            ModeWord::Auto => Self::Auto,
            ModeWord::Native => Self::Native,
            ModeWord::Generic => Self::Generic,
        }
    }
}

pub(super) async fn run(args: &DecapArgs, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let bpffs = directory(&args.bpffs, &args.interface);
    if args.show {
        return show(args, &bpffs, ui);
    }
    if args.detach {
        return detach(args, &bpffs, ui);
    }
    let session = Session::begin(args, &bpffs).await?;
    session.announce(ui)?;
    if args.keep {
        return Ok(());
    }
    let document = session.until_told().await?;
    Ok(ui.show(&document, || document.tables())?)
}

/// An interface's own. A bpffs takes no dot in a name.
fn directory(bpffs: &Path, interface: &str) -> PathBuf {
    bpffs.join(interface.replace('.', "%"))
}

fn show(args: &DecapArgs, bpffs: &Path, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let Some(mode) = dataplane::decap_mode(bpffs) else {
        let nothing = format!("interface {}: nothing takes packets out of tunnels", args.interface);
        let remedy = format!("`balancer decap --interface {}` does", args.interface);
        return Err(Failure::said(Code::NotFound, nothing).with_remedy(remedy));
    };
    let tables = dataplane::DecapTables::open(bpffs).map_err(refused)?;
    let document = DecapDoc::of(&args.interface, &mode, &tables);
    Ok(ui.show(&document, || document.tables())?)
}

fn detach(args: &DecapArgs, bpffs: &Path, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let removed = dataplane::detach(bpffs).map_err(refused)?;
    tidy(&args.bpffs);
    let what = match removed {
        true => format!("interface {}: packets stay in their tunnels again", args.interface),
        false => format!("interface {}: nothing was there", args.interface),
    };
    Ok(ui.talk(&what)?)
}

/// Removes the directory that interfaces have theirs in, when none has.
fn tidy(bpffs: &Path) {
    // One that is in use is not empty.
    let _ = std::fs::remove_dir(bpffs);
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::said(Code::Failed, format!("{:#}", anyhow::Error::new(error)))
}
