//! More than one interface, and generic mode.

use anyhow::{Result, ensure};
use lab::{
    fixture::far::{FAR, NEAR, with_far_backend},
    network::INTERFACE,
    topology::{Host, UDP_PORT, VIP_V4, client_v4, client_v6},
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::sleep;

use crate::{
    Test,
    client::{Stream, ask, clients, sessions, undisturbed},
    file::File,
    labs::block_on,
    stand::Stand,
    xdp,
};

pub(crate) const TESTS: &[Test] = &[
    ("a_backend_behind_a_second_interface_is_served", behind_a_second_interface),
    ("a_backend_behind_a_second_interface_is_served_in_generic_mode", behind_a_second_interface_generic),
    ("generic_mode_forwards_and_status_says_so", generic),
    ("another_xdp_mode_in_the_file_is_taken_at_a_restart", changed_mode),
    ("an_interface_that_leaves_the_file_loses_the_program_at_a_restart", removed_interface),
    ("an_interface_that_is_not_there_is_named", missing),
];

fn behind_a_second_interface() -> Result<()> {
    far_backend("ba-far-", "", "native")
}

fn behind_a_second_interface_generic() -> Result<()> {
    far_backend("ba-farskb-", "xdp_mode = \"generic\"", "generic")
}

fn far_backend(prefix: &str, agent: &'static str, mode: &str) -> Result<()> {
    block_on(async {
        let stand = Stand::make(prefix).await?;
        stand.write(&with_far_backend(&stand, agent)?)?;
        stand.start().await?;
        stand.all_up().await?;
        ensure!(modes(&stand).await? == [mode, mode], "{:?}", modes(&stand).await?);
        let mut sessions = sessions(stand.place(), clients(24))?;
        for backend in [Host::Backend(1), FAR] {
            let name = backend.to_string();
            let (v4, v6): (Vec<_>, Vec<_>) = sessions
                .iter()
                .filter(|(_, at)| *at == name)
                .partition(|(session, _)| session.source.is_ipv4());
            ensure!(!v4.is_empty() && !v6.is_empty(), "{name} serves {} v4 and {} v6", v4.len(), v6.len());
        }
        undisturbed(&mut sessions)
    })
}

async fn modes(stand: &Stand) -> Result<Vec<Value>> {
    let mut status = stand.balancer.json(&["status"]).await?;
    let rows: Vec<Value> = serde_json::from_value(status["interfaces"].take())?;
    Ok(rows.into_iter().map(|mut row| row["mode"].take()).collect())
}

fn generic() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-generic-", |place| File {
            agent: "xdp_mode = \"generic\"",
            ..File::whole(place, 3)
        })
        .await?;
        ensure!(modes(&stand).await? == ["generic"], "{:?}", modes(&stand).await?);
        ensure!(stand.xdp()?.is_some_and(|xdp| !xdp.native), "the kernel says {:?}", stand.xdp()?);
        let table = stand.balancer.run(&["status"]).await?;
        ensure!(table.contains("generic"), "{table}");
        let streams = [client_v4(1, 1), client_v6(1, 1)].map(|source| Stream::start(stand.place(), source));
        let mut sessions = sessions(stand.place(), clients(12))?;
        sleep(Duration::from_millis(300)).await;
        undisturbed(&mut sessions)?;
        for (session, backend) in &sessions {
            ensure!(ask(stand.place(), session.source)? == *backend, "{} has moved", session.source);
        }
        for stream in streams {
            let streamed = stream?.stop()?;
            ensure!(streamed.lost.is_empty() && streamed.sent > 20, "{VIP_V4}:{UDP_PORT}: {streamed:?}");
        }
        Ok(())
    })
}

fn changed_mode() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-mode-", |place| File::web(place, 2)).await?;
        ensure!(modes(&stand).await? == ["native"], "{:?}", modes(&stand).await?);
        let mut sessions = sessions(stand.place(), clients(6))?;
        for (agent, mode) in [("xdp_mode = \"generic\"", "generic"), ("xdp_mode = \"native\"", "native")] {
            stand.write(&File { agent, ..File::web(stand.place(), 2) })?;
            stand.stop().await?;
            stand.start().await?;
            ensure!(modes(&stand).await? == [mode], "{:?}", modes(&stand).await?);
            ensure!(stand.xdp()?.is_some_and(|xdp| xdp.native == (mode == "native")), "{:?}", stand.xdp()?);
            undisturbed(&mut sessions)?;
        }
        Ok(())
    })
}

fn removed_interface() -> Result<()> {
    block_on(async {
        let stand = Stand::make("ba-lessif-").await?;
        stand.write(&with_far_backend(&stand, "")?)?;
        stand.start().await?;
        stand.all_up().await?;
        let mut sessions = sessions(stand.place(), clients(6))?;
        stand.stop().await?;
        sessions.retain(|(_, backend)| *backend != FAR.to_string());
        stand.write(&File::web(stand.place(), 1))?;
        stand.start().await?;
        let left = xdp::on(&stand.netns(), NEAR)?;
        ensure!(left.is_none(), "{NEAR} is not in the file any more, and has {left:?}");
        ensure!(stand.xdp()?.is_some(), "{INTERFACE} has lost it too");
        undisturbed(&mut sessions)
    })
}

fn missing() -> Result<()> {
    block_on(async {
        let stand = Stand::make("ba-noif-").await?;
        let file = File { interfaces: vec![INTERFACE, "nowhere0"], ..File::web(stand.place(), 1) };
        stand.write(&file)?;
        let refusal = crate::stand::outcome(stand.run_command(&[])?).await?;
        crate::stand::refused(&refusal, 1, &["nowhere0"])?;
        stand.nothing_left()
    })
}
