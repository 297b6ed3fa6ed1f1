//! The operator's own way in is not taken from him.

use anyhow::{Result, ensure};
use lab::topology::{VIP_V4, WEB_PORT, client_v4};

use crate::{
    Test,
    file::{File, Service},
    labs::block_on,
    stand::{Stand, outcome, refused},
};

pub(crate) const TESTS: &[Test] = &[
    ("a_service_that_would_take_the_operators_ssh_session_is_refused_without_force", at_the_start),
    ("a_reload_that_would_take_the_operators_ssh_session_is_refused_without_yes", at_a_reload),
];

/// What sshd tells a session whose server's end is a service address.
fn session(port: u16) -> (&'static str, String) {
    ("SSH_CONNECTION", format!("{} 50022 {VIP_V4} {port}", client_v4(1, 1)))
}

fn at_the_start() -> Result<()> {
    block_on(async {
        let stand = Stand::make("ba-ssh-").await?;
        let (name, carried) = session(WEB_PORT);
        for front in ["80/tcp", "*/tcp"] {
            let mut file = File::web(stand.place(), 2);
            file.services[0].front = front.to_owned();
            file.services[0].check = "kind = \"none\"";
            stand.write(&file)?;
            let mut command = stand.run_command(&[])?;
            command.env(name, &carried);
            let refusal = outcome(command).await?;
            refused(&refusal, 1, &["web", "SSH session", &client_v4(1, 1).to_string(), "--force"])?;
            stand.nothing_left()?;
        }
        let mut elsewhere = stand.run_command(&[])?;
        elsewhere.env(name, session(22).1);
        stand.write(&File::web(stand.place(), 2))?;
        stand.start_as(elsewhere).await?;
        stand.stop().await?;
        let mut forced = stand.run_command(&["--force"])?;
        forced.env(name, &carried);
        stand.start_as(forced).await?;
        // What was forced is not asked again.
        stand.balancer.run(&["reload"]).await.map(drop)
    })
}

fn at_a_reload() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-sshreload-", |place| File::web(place, 2)).await?;
        let mut file = File::web(stand.place(), 2);
        file.services.push(Service { check: "kind = \"none\"", ..Service::new("ssh", 22, "tcp", 1) });
        stand.write(&file)?;
        let (name, carried) = session(22);
        let reload = |words: &[&str]| {
            let mut command = stand.balancer.command(&[&["reload"], words].concat());
            command.env(name, &carried);
            command.into_std()
        };
        refused(&outcome(reload(&[])).await?, 1, &["ssh", "SSH session", "--yes"])?;
        let services = stand.balancer.json(&["status"]).await?["services"].take();
        ensure!(services == 1, "the refused service is there: {services}");
        ensure!(outcome(reload(&["--yes"])).await?.status.success(), "--yes does not help");
        Ok(())
    })
}
