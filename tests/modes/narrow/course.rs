//! What happens in a narrow lab: transfers while messages are lost and segments are bounded, then the other way round.

use anyhow::{Context as _, Result, ensure};
use lab::{
    fixture::{labs::block_on, mode::Mode},
    shape::{Backends, MTU},
};

use super::{Narrow, RESULTS, bench::Bench};

/// Bytes of a transfer.
const SLICE: usize = 3_000_000;
const WHOLE: usize = 50_000_000;
/// Client hosts, each with a path MTU of its own: of the bounded transfers, those that must fail, and those that are told.
const BOUNDED: u8 = 1;
const DEAF: u8 = 2;
const TOLD: u8 = 3;

const FAMILIES: [bool; 2] = [false, true];

/// The whole course; an error names what did not hold.
pub(super) fn run(prefix: &str, mode: Mode, backends: Backends, narrow: Narrow) -> Result<()> {
    block_on(async {
        let bytes = if lab::long() { WHOLE } else { SLICE };
        let bench = Bench::up(prefix, mode, backends, narrow).await?;
        let mut cells = FAMILIES.map(|_| Vec::new());
        let walked = walk(&bench, bytes, &mut cells).await;
        let broken: Vec<_> = cells
            .into_iter()
            .zip(FAMILIES)
            .filter_map(|(cells, v6)| finish([mode.name(), narrow.name()], v6, cells).err())
            .map(|error| format!("{error:#}"))
            .collect();
        walked.with_context(|| bench.stand.balancer.log_tail())?;
        ensure!(broken.is_empty(), "{}\n{}", broken.join("\n"), bench.stand.balancer.log_tail());
        Ok(())
    })
}

type Cells = Vec<Result<String>>;

async fn walk(bench: &Bench, bytes: usize, cells: &mut [Cells; 2]) -> Result<()> {
    let losses = bench.lose_messages()?;
    for (v6, cells) in FAMILIES.into_iter().zip(cells.iter_mut()) {
        cells.push(bounded(bench, v6, bytes).await);
    }
    bench.unbound().await?;
    if lab::long() {
        FAMILIES.into_iter().try_for_each(|v6| deaf(bench, v6))?;
    }
    drop(losses);
    for (v6, cells) in FAMILIES.into_iter().zip(cells.iter_mut()) {
        match told(bench, v6, bytes).await {
            Ok(mtu) => cells.extend([Ok("ok".to_owned()), Ok(mtu.to_string())]),
            Err(error) => cells.push(Err(error)),
        }
    }
    Ok(())
}

/// A transfer of bounded segments, where nobody is told anything: nobody needs to be.
async fn bounded(bench: &Bench, v6: bool, bytes: usize) -> Result<String> {
    let mtu = bench.transfer(BOUNDED, v6, bytes)?;
    ensure!(mtu == u32::from(MTU), "the client has learnt a path MTU of {mtu}");
    for reason in ["too-big", "too-big-dropped", "icmp-error-back", "icmp-error"] {
        let packets = bench.counted(reason).await?;
        ensure!(packets == 0, "{packets} packets are {reason}");
    }
    Ok("ok".to_owned())
}

/// Without either it fails: the way is narrow indeed, and the messages do get lost.
fn deaf(bench: &Bench, v6: bool) -> Result<()> {
    let outcome = bench.transfer(DEAF, v6, SLICE);
    ensure!(outcome.is_err(), "large packets get through, v6: {v6}, path MTU {outcome:?}");
    Ok(())
}

/// A transfer whose client is told what gets through; that.
async fn told(bench: &Bench, v6: bool, bytes: usize) -> Result<u32> {
    let reasons = [Some(bench.telling()), bench.tells_backends().then_some("icmp-error")];
    let mut before = Vec::new();
    for reason in reasons.into_iter().flatten() {
        before.push((reason, bench.counted(reason).await?));
    }
    let (mtu, wanted) = (bench.transfer(TOLD, v6, bytes)?, bench.path_mtu(v6));
    ensure!(mtu == wanted, "the client has learnt a path MTU of {mtu}, not {wanted}");
    if let Some(shown) = bench.shown(v6).await? {
        let (header, wide) = (u64::from(bench.header(v6)), u64::from(MTU));
        let learnt = u64::from(wanted) + header;
        ensure!(shown.contains(&learnt) && shown.contains(&wide), "not both {learnt} and {wide}: {shown:?}");
    }
    for (reason, before) in before {
        ensure!(bench.counted(reason).await? > before, "no packet was {reason}");
    }
    Ok(mtu)
}

/// Enters a row in the table; an error if something did not hold.
fn finish(names: [&str; 2], v6: bool, cells: Cells) -> Result<()> {
    let family = if v6 { "v6" } else { "v4" };
    let names = [names[0], names[1], family].map(str::to_owned);
    let title = names.join(", ");
    let broken: Vec<_> =
        cells.iter().filter_map(|cell| cell.as_ref().err()).map(|e| format!("{e:#}")).collect();
    let complete = cells.len() == 3;
    let mut words: Vec<_> = cells.into_iter().map(|cell| cell.unwrap_or_else(|e| format!("{e:#}"))).collect();
    words.resize(3, "not reached".to_owned());
    RESULTS.enter((names.into(), words));
    ensure!(broken.is_empty(), "{title}: {}", broken.join("; "));
    ensure!(complete, "{title}: it ended early");
    Ok(())
}
