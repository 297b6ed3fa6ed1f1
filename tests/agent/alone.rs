//! One agent on a host, and its socket.

use std::{fs, os::unix::fs::PermissionsExt as _};

use anyhow::{Result, ensure};
use lab::network::INTERFACE;

use crate::{
    Test,
    client::{ask, clients},
    file::File,
    labs::block_on,
    stand::{Stand, outcome, refused},
};

pub(crate) const TESTS: &[Test] = &[
    ("a_second_agent_is_refused_and_names_the_first", second_agent),
    ("an_agent_with_another_state_directory_is_refused_the_same_bpffs_objects", same_objects),
    ("an_agent_with_all_its_own_is_refused_the_same_interface", same_interface),
    ("the_socket_is_roots_alone_and_that_of_a_dead_agent_is_replaced", the_socket),
];

/// The file of a second agent: the first's with these words replaced.
fn second(stand: &Stand, words: &[(&str, &str)]) -> Result<std::path::PathBuf> {
    let text = File::web(stand.place(), 2).to_string();
    let text = words.iter().fold(text, |text, (from, to)| text.replace(from, to));
    let path = stand.place().dir().join("second.toml");
    fs::write(&path, text)?;
    Ok(path)
}

/// The first agent is who he was, with his program on the interface, and serves.
async fn first_is_undisturbed(stand: &Stand, before: &(lab::process::Record, u32)) -> Result<()> {
    let (agent, program) = before;
    ensure!(agent.alive(), "the first agent has ended");
    let xdp = stand.xdp()?;
    ensure!(xdp.is_some_and(|xdp| xdp.program == *program), "program {program} became {xdp:?}");
    let status = stand.balancer.json(&["status"]).await?;
    ensure!(status["pid"] == agent.pid, "another agent answers: {status}");
    for client in clients(4) {
        ask(stand.place(), client)?;
    }
    Ok(())
}

async fn first(prefix: &str) -> Result<(Stand, (lab::process::Record, u32))> {
    let stand = Stand::up(prefix, |place| File::web(place, 2)).await?;
    let program = stand.xdp()?.map_or(0, |xdp| xdp.program);
    let before = (stand.agent()?, program);
    first_is_undisturbed(&stand, &before).await?;
    Ok((stand, before))
}

fn second_agent() -> Result<()> {
    block_on(async {
        let (stand, before) = first("ba-second-").await?;
        let pid = format!("pid {}", before.0.pid);
        refused(&outcome(stand.run_command(&[])?).await?, 1, &[&pid])?;
        first_is_undisturbed(&stand, &before).await
    })
}

fn same_objects() -> Result<()> {
    block_on(async {
        let (stand, before) = first("ba-objects-").await?;
        let own = [
            ("/state\"", "/state2\""),
            ("api.sock", "api2.sock"),
            ("[agent]", "[agent]\nstats = \"127.0.0.1:9181\""),
        ];
        let file = second(&stand, &own)?;
        let pid = format!("pid {}", before.0.pid);
        refused(&outcome(stand.run_with(file, &[])?).await?, 1, &[&pid])?;
        first_is_undisturbed(&stand, &before).await
    })
}

fn same_interface() -> Result<()> {
    block_on(async {
        let (stand, before) = first("ba-iface-").await?;
        let own = [
            ("/state\"", "/state2\""),
            ("api.sock", "api2.sock"),
            ("[agent]", "[agent]\nstats = \"127.0.0.1:9181\""),
            ("bpf/balancer", "bpf/second"),
        ];
        let file = second(&stand, &own)?;
        let program = format!("id {}", before.1);
        refused(&outcome(stand.run_with(file, &[])?).await?, 1, &[INTERFACE, &program])?;
        ensure!(!stand.place().bpffs().join("second").exists(), "the second's bpffs objects are left");
        first_is_undisturbed(&stand, &before).await
    })
}

fn the_socket() -> Result<()> {
    block_on(async {
        let (stand, _) = first("ba-socket-").await?;
        let mode =
            || Ok::<_, std::io::Error>(fs::metadata(stand.place().api())?.permissions().mode() & 0o7777);
        ensure!(mode()? == 0o600, "the socket's mode is {:o}", mode()?);
        stand.balancer.kill()?;
        ensure!(stand.place().api().exists(), "a killed agent leaves its socket");
        let unreachable = stand.balancer.outcome(&["status"]).await?;
        refused(&unreachable, 4, &["api.sock"])?;
        stand.start().await?;
        ensure!(mode()? == 0o600, "the new socket's mode is {:o}", mode()?);
        stand.stop().await?;
        ensure!(!stand.place().api().exists(), "an agent that ends in order leaves its socket");
        Ok(())
    })
}
