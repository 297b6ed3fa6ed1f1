//! Mode `nat`: both ways through the balancer, to another port, and through a restart of the agent.

use anyhow::{Context as _, Result, ensure};
use lab::{
    fixture::{mode::Mode, scrape::scrape},
    topology::Host,
};

use crate::{
    Test,
    client::{Session, clients, undisturbed},
    file::File,
    labs::block_on,
    stand::{Stand, refused, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("translated_sessions_outlive_an_agent_and_are_found_by_their_ports", outlive),
    ("another_mode_is_refused_until_new_tables_may_be_made", another_mode),
];

/// Another port than the backends'.
const PORT: u16 = 443;

/// The web service on [`PORT`], translated to the backends' port 80.
fn translated(file: File) -> String {
    let mut file = file;
    file.services[0].front = format!("{PORT}/tcp");
    file.services[0].mode = Mode::Nat;
    let mut text = file.to_string();
    for backend in &file.services[0].backends {
        for address in &backend.addresses {
            let with_port = std::net::SocketAddr::new(*address, 80).to_string();
            text = text.replace(&format!("\"{address}\""), &format!("\"{with_port}\""));
        }
    }
    text
}

fn outlive() -> Result<()> {
    block_on(async {
        let stand = Stand::make("ba-nat-").await?;
        stand.write(&translated(File::web(stand.place(), 2)))?;
        stand.start().await?;
        stand.all_up().await?;
        let open = |client| {
            let mut session = Session::open_to(stand.place(), client, PORT)?;
            let backend = session.ask()?;
            Ok((session, backend))
        };
        let mut sessions = clients(6).into_iter().map(open).collect::<Result<Vec<_>>>()?;
        undisturbed(&mut sessions)?;
        found_by_port(&stand).await?;
        stand.stop().await?;
        undisturbed(&mut sessions)?;
        stand.start().await?;
        stand.all_up().await?;
        undisturbed(&mut sessions)?;
        found_by_port(&stand).await?;
        until("the ports are counted", async || {
            let taken = "balancer_nat_ports{service=\"web\",backend=\"backend-1\",state=\"taken\"}";
            Ok(scrape(&stand)?.iter().any(|(name, value)| name == taken && *value > 0.0))
        })
        .await
    })
}

/// Each flow comes from the balancer's own address, and its port finds it again.
async fn found_by_port(stand: &Stand) -> Result<()> {
    let all = stand.balancer.json(&["flow", "list"]).await?;
    let flows = all["flows"].as_array().context("no flows")?;
    ensure!(flows.len() == 6, "{flows:?}");
    for flow in flows {
        let nat = flow["nat"].as_str().with_context(|| format!("not translated: {flow}"))?;
        let nat: std::net::SocketAddr = nat.parse()?;
        let own = [Host::Balancer.v4().into(), std::net::IpAddr::from(Host::Balancer.v6())];
        ensure!(own.contains(&nat.ip()), "{flow}");
        let found = stand.balancer.json(&["flow", "list", "--nat", &nat.port().to_string()]).await?;
        ensure!(found["flows"].as_array().is_some_and(|found| found.contains(flow)), "{found}");
    }
    Ok(())
}

fn another_mode() -> Result<()> {
    block_on(async {
        let stand = Stand::make("ba-mode-").await?;
        stand.write(&File::web(stand.place(), 2))?;
        stand.start().await?;
        stand.all_up().await?;
        stand.write(&translated(File::web(stand.place(), 2)))?;
        let outcome = stand.balancer.outcome(&["reload"]).await?;
        refused(&outcome, 1, &["mode l2dsr → nat", "needs new tables"])?;
        stand.balancer.run(&["reload", "--yes"]).await?;
        stand.all_up().await?;
        let mut session = Session::open_to(stand.place(), clients(1)[0], PORT)?;
        session.ask().map(drop)
    })
}
