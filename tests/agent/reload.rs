//! A reload of a good file: its diff, and what comes of it.

use anyhow::{Context as _, Result, ensure};
use lab::{
    agent::Outcome,
    topology::{Host, WS_PORT, client_v4},
};

use crate::{
    Test,
    client::{Session, ask, clients, sessions, undisturbed},
    file::{Backend, File, Service},
    labs::block_on,
    stand::{Stand, refused, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("a_reload_prints_its_diff_and_applies_weight_addition_and_check", small_changes),
    ("a_backend_that_leaves_the_file_drains_and_is_then_forgotten", removed_backend),
    ("services_come_and_go_with_the_file", services),
    ("a_reload_that_needs_new_tables_names_the_cost_and_wants_yes", new_tables),
    ("a_reload_that_needs_a_restart_is_refused_whole", restart),
];

/// Reloads, and returns the diff in one line a change, each column by one blank.
async fn reload(stand: &Stand, file: &File, words: &[&str]) -> Result<String> {
    stand.write(file)?;
    let Outcome { status, stdout, stderr } = stand.balancer.outcome(&[&["reload"], words].concat()).await?;
    ensure!(status.success(), "{stderr}");
    let lines = stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

fn says(diff: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(diff.contains(word), "the diff has no {word:?}:\n{diff}");
    }
    Ok(())
}

fn small_changes() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-reload-", |place| File::web(place, 2)).await?;
        let mut sessions = sessions(stand.place(), clients(6))?;
        let same = reload(&stand, &File::web(stand.place(), 2), &[]).await?;
        ensure!(!same.contains("backend"), "a file that says the same changes something:\n{same}");

        let mut file = File::web(stand.place(), 3);
        file.services[0].backends[0].keys = "weight = 50";
        let diff = reload(&stand, &file, &[]).await?;
        says(&diff, &["service \"web\" backend \"backend-1\" weight 100 50"])?;
        says(&diff, &["service \"web\" backend \"backend-3\" added"])?;
        ensure!(stand.field("web", "backend-1", "weight").await? == 50, "the weight is not applied");
        stand.becomes("web", "backend-3", "health", "up").await?;
        let newcomers: Result<Vec<_>> = (20..60).map(|n| ask(stand.place(), client_v4(1, n))).collect();
        ensure!(newcomers?.iter().any(|at| at == "backend-3"), "no newcomer reaches the new backend");
        undisturbed(&mut sessions)
    })
}

fn removed_backend() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-leave-", |place| File::web(place, 3)).await?;
        let mut sessions = sessions(stand.place(), clients(12))?;
        let leaving = "backend-2";
        ensure!(sessions.iter().any(|(_, backend)| backend == leaving), "nobody is on {leaving}");

        let mut file = File::web(stand.place(), 3);
        file.services[0].backends.remove(1);
        let diff = reload(&stand, &file, &[]).await?;
        says(&diff, &["service \"web\" backend \"backend-2\" removed"])?;
        ensure!(stand.field("web", leaving, "admin").await? == "drain", "it does not drain");
        undisturbed(&mut sessions)?;
        for (session, _) in &sessions {
            let elsewhere = ask(stand.place(), session.source)?;
            ensure!(elsewhere != leaving, "{} came anew and reached {leaving}", session.source);
        }
        sessions.retain(|(_, backend)| backend != leaving);
        until("it is forgotten", async || Ok(stand.row("web", leaving).await?.is_none())).await?;
        undisturbed(&mut sessions)
    })
}

fn services() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-services-", |place| File::web(place, 2)).await?;
        let mut sessions = sessions(stand.place(), clients(6))?;
        let file = File::web(stand.place(), 2);
        let mut more = file.clone();
        more.services.push(Service::new("ws", WS_PORT, "tcp", 2));
        ensure!(Session::open_to(stand.place(), client_v4(1, 1), WS_PORT).is_err(), "served already");

        says(&reload(&stand, &more, &[]).await?, &["service \"ws\" added"])?;
        stand.all_up().await?;
        let held = Session::open_to(stand.place(), client_v4(1, 1), WS_PORT)?;
        undisturbed(&mut sessions)?;

        says(&reload(&stand, &file, &[]).await?, &["service \"ws\" removed"])?;
        ensure!(Session::open_to(stand.place(), client_v4(1, 2), WS_PORT).is_err(), "still served");
        let list = stand.balancer.outcome(&["backend", "list", "ws"]).await?;
        refused(&list, 3, &["ws"])?;
        drop(held);
        undisturbed(&mut sessions)?;

        // Its numbers are free for another one on the same port.
        let mut other = file.clone();
        other.services.push(Service {
            backends: vec![Backend::new(Host::Backend(3))],
            ..Service::new("ws2", WS_PORT, "tcp", 0)
        });
        reload(&stand, &other, &[]).await?;
        stand.all_up().await?;
        Session::open_to(stand.place(), client_v4(1, 1), WS_PORT).context("the other service")?;
        undisturbed(&mut sessions)
    })
}

fn new_tables() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-tables-", |place| File::web(place, 2)).await?;
        let mut sessions = sessions(stand.place(), clients(6))?;
        let before = stand.xdp()?;
        let larger = File { flows: 8192, ..File::web(stand.place(), 2) };
        stand.write(&larger)?;
        let refusal = stand.balancer.outcome(&["reload"]).await?;
        refused(&refusal, 1, &["flows", "8192", "costs 6 flows", "--yes"])?;
        ensure!(stand.xdp()? == before, "the refused reload has changed the program");
        undisturbed(&mut sessions)?;

        says(&reload(&stand, &larger, &["--yes"]).await?, &["limits flows 4096 8192"])?;
        let now = stand.xdp()?;
        ensure!(now.is_some() && now != before, "the program is not made anew: {now:?}");
        stand.all_up().await?;
        for client in clients(6) {
            ask(stand.place(), client)?;
        }
        // A second one says that there is nothing to do.
        let again = reload(&stand, &larger, &[]).await?;
        ensure!(!again.contains("8192"), "{again}");
        Ok(())
    })
}

fn restart() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-restart-", |place| File::web(place, 2)).await?;
        let mut other = File { agent: "on_exit = \"detach\"", ..File::web(stand.place(), 2) };
        other.services[0].backends[0].keys = "weight = 50";
        stand.write(&other)?;
        let refusal = stand.balancer.outcome(&["reload", "--yes"]).await?;
        refused(&refusal, 1, &["on_exit", "restart"])?;
        let weight = stand.field("web", "backend-1", "weight").await?;
        ensure!(weight == 100, "half of the refused file is applied: weight {weight}");
        Ok(())
    })
}
