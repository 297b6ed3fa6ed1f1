//! The demo's promises, one test each, with the demo's own steps on a smaller crowd.

use anyhow::{Result, ensure};
use lab::demo::{add_backend, agent_death, drain, failover, reconnect};

use crate::{Test, labs::demonstrate};

pub(crate) const TESTS: &[Test] = &[
    ("reconnecting_clients_reach_their_backend", reconnecting_clients_reach_their_backend),
    ("an_added_backend_moves_nobody_and_takes_newcomers", an_added_backend_moves_nobody),
    ("draining_backend_gets_no_new_connection_of_a_pinned_client", drained_backend),
    ("clients_of_a_killed_backend_are_served_elsewhere_in_time", killed_backend),
    ("clients_of_a_backend_that_was_cut_off_are_served_elsewhere_in_time", cut_off_backend),
    ("a_killed_agent_is_noticed_by_nobody", killed_agent),
];

fn reconnecting_clients_reach_their_backend() -> Result<()> {
    demonstrate("bt-back-", async |stage| reconnect::run(stage).await)
}

fn an_added_backend_moves_nobody() -> Result<()> {
    demonstrate("bt-add-", async |stage| {
        add_backend::run(stage).await?;
        ensure!(add_backend::newcomers_reach_it(stage).await?, "no newcomer reached the added backend");
        Ok(())
    })
}

fn drained_backend() -> Result<()> {
    demonstrate("bt-drain-", async |stage| drain::run(stage).await)
}

fn killed_backend() -> Result<()> {
    demonstrate("bt-kill-", async |stage| failover::killed(stage).await)
}

fn cut_off_backend() -> Result<()> {
    demonstrate("bt-cut-", async |stage| failover::cut_off(stage).await)
}

fn killed_agent() -> Result<()> {
    demonstrate("bt-agent-", async |stage| {
        add_backend::run(stage).await?;
        drain::run(stage).await?;
        agent_death::run(stage).await
    })
}
