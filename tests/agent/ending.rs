//! How the agent ends, and how all is taken away.

use std::{cell::Cell, fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{netns::run, topology::Host};
use rustix::process::{Pid, Signal, WaitOptions, waitpid};

use crate::{
    Test,
    client::{Session, ask, clients, sessions, undisturbed},
    file::File,
    labs::block_on,
    stand::{Stand, refused, until},
    xdp,
};

pub(crate) const TESTS: &[Test] = &[
    ("an_agent_that_ends_in_order_leaves_the_packets_flowing", keep),
    ("with_on_exit_detach_nothing_is_left_of_an_agent_that_ends", on_exit_detach),
    ("detach_ends_the_agent_and_leaves_nothing", detach_with_an_agent),
    ("detach_without_an_agent_leaves_nothing", detach_without_an_agent),
    ("detach_without_an_agents_api_does_not_pull_the_tables_from_under_a_living_one", detach_beside_an_agent),
];

fn keep() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-keep-", |place| File::web(place, 2)).await?;
        let mut sessions = sessions(stand.place(), clients(6))?;
        for signal in [Signal::TERM, Signal::INT] {
            let (agent, program) = (stand.agent()?, stand.xdp()?);
            stand.signal(signal)?;
            until("the agent ends", async || Ok(!agent.alive())).await?;
            ensure!(program.is_some() && stand.xdp()? == program, "{signal:?}: {program:?} is gone");
            undisturbed(&mut sessions)?;
            for (session, backend) in &sessions {
                ensure!(ask(stand.place(), session.source)? == *backend, "{} has moved", session.source);
            }
            stand.start().await?;
        }
        undisturbed(&mut sessions)
    })
}

/// The service address is the balancer host's own again, which has nobody on that port.
fn not_served(stand: &Stand) -> Result<()> {
    let client = clients(1)[0];
    let refusal = Session::open(stand.place(), client).err().context("the service is still served")?;
    ensure!(format!("{refusal:#}").contains("refused"), "{refusal:#}");
    Ok(())
}

async fn running(prefix: &str, agent: &'static str) -> Result<(Stand, u32)> {
    let stand = Stand::up(prefix, |place| File { agent, ..File::web(place, 2) }).await?;
    let program = stand.xdp()?.context("no program")?.program;
    ensure!(!xdp::objects(stand.place())?.is_empty(), "no bpffs objects");
    ask(stand.place(), clients(1)[0])?;
    Ok((stand, program))
}

fn on_exit_detach() -> Result<()> {
    block_on(async {
        let (stand, program) = running("ba-exit-", "on_exit = \"detach\"").await?;
        stand.stop().await?;
        stand.nothing_left()?;
        xdp::freed(program)?;
        not_served(&stand)?;
        // It also starts anew from nothing.
        stand.start().await?;
        stand.all_up().await?;
        ask(stand.place(), clients(1)[0]).map(drop)
    })
}

fn detach_with_an_agent() -> Result<()> {
    block_on(async {
        let (stand, program) = running("ba-detach-", "").await?;
        let agent = stand.agent()?;
        let held = sessions(stand.place(), clients(2))?;
        // The connection of before has ended when the kernel has seen its last segment.
        until("only what is held counts", async || {
            refused(&stand.balancer.outcome(&["detach"]).await?, 1, &["2 live flows", "--yes"]).map(|()| true)
        })
        .await?;
        drop(held);
        let document = stand.balancer.json(&["detach", "--yes"]).await?;
        ensure!(document["removed"].as_array().is_some_and(|removed| !removed.is_empty()), "{document}");
        until("the agent ends", async || Ok(!agent.alive())).await?;
        stand.nothing_left()?;
        xdp::freed(program)?;
        not_served(&stand)?;
        stays_ended(agent.pid).await
    })
}

/// The unit does not start an agent again that ended with this exit code.
async fn stays_ended(pid: i32) -> Result<()> {
    let status = Cell::new(None);
    // Its first thread may be gone before its last one, and only then there is a status.
    until("the agent has ended whole", async || {
        status.set(waitpid(Pid::from_raw(pid), WaitOptions::NOHANG)?.map(|(_, status)| status));
        Ok(status.get().is_some())
    })
    .await?;
    let code = status.get().and_then(|status| status.exit_status()).context("it was killed")?.to_string();
    let unit = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/balancer.service"))?;
    let line = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus="));
    let codes: Vec<_> = line.context("the unit always starts it again")?.split_whitespace().collect();
    ensure!(codes.contains(&&*code), "the unit starts an agent again that ended with {code}");
    Ok(())
}

fn detach_without_an_agent() -> Result<()> {
    block_on(async {
        let (stand, program) = running("ba-undetach-", "").await?;
        let (bpffs, config) = (stand.place().bpffs().join("balancer"), stand.place().config());
        let (bpffs, config) = (bpffs.to_string_lossy(), config.to_string_lossy());
        for (words, signal) in [(["--bpffs", &*bpffs], Signal::KILL), (["--config", &*config], Signal::TERM)]
        {
            let program = stand.xdp()?.map_or(program, |xdp| xdp.program);
            let agent = stand.agent()?;
            stand.signal(signal)?;
            until("the agent ends", async || Ok(!agent.alive())).await?;
            refused(&stand.balancer.outcome(&["detach"]).await?, 4, &["--bpffs"])?;
            refused(&stand.balancer.outcome(&["detach", words[0], words[1]]).await?, 1, &["--yes"])?;
            ensure!(stand.xdp()?.is_some(), "a refused detach detaches");
            stand.balancer.run(&["detach", "--yes", words[0], words[1]]).await?;
            stand.nothing_left()?;
            xdp::freed(program)?;
            not_served(&stand)?;
            let again = stand.balancer.outcome(&["detach", "--yes", words[0], words[1]]).await?;
            refused(&again, 0, &["nothing"])?;
            stand.start().await?;
            stand.all_up().await?;
            ask(stand.place(), clients(1)[0])?;
        }
        Ok(())
    })
}

fn detach_beside_an_agent() -> Result<()> {
    block_on(async {
        let (stand, _) = running("ba-beside-", "").await?;
        let (agent, program) = (stand.agent()?, stand.xdp()?);
        let mut sessions = sessions(stand.place(), clients(4))?;
        let bpffs = stand.place().bpffs().join("balancer");
        let words = ["--api", "/nonexistent.sock", "detach", "--yes", "--bpffs", &bpffs.to_string_lossy()];
        refused(&stand.balancer.outcome(&words).await?, 1, &[&format!("pid {}", agent.pid)])?;
        ensure!(program.is_some() && stand.xdp()? == program, "the program is gone");
        undisturbed(&mut sessions)?;
        // The link of a backend goes and comes: the agent still steers the tables.
        let switch = stand.place().switch();
        run(switch.command("ip").args(["link", "set", "dev", &Host::Backend(1).to_string(), "down"]))?;
        stand.becomes("web", "backend-1", "health", "down").await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        for client in clients(6) {
            ask(stand.place(), client)?;
        }
        Ok(())
    })
}
