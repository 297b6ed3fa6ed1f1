//! Through the service address: nginx, and a WebSocket upgrade.

use anyhow::{Result, ensure};
use lab::{
    config::Service,
    lifecycle::Extent,
    netns::output,
    topology::{Host, VIP_V4, VIP_V6},
};

use crate::{
    Test,
    labs::{Lab, block_on},
};

pub(crate) const TESTS: &[Test] = &[
    ("nginx_answers_through_the_service_address_v4_and_v6", nginx_answers),
    ("a_websocket_upgrade_through_the_service_address_answers_101", upgrade_answers_101),
    ("a_sick_answer_of_nginx_takes_its_backend_down", sick_answer_takes_down),
];

/// The service address as it stands in a URL, v4 and v6.
fn vips() -> [String; 2] {
    [VIP_V4.to_string(), format!("[{VIP_V6}]")]
}

fn nginx_answers() -> Result<()> {
    block_on(async {
        let lab = Lab::up("bt-nginx-", Extent::Agent).await?;
        for client in Host::clients() {
            for vip in vips() {
                let mut curl = lab.place.netns(client).command("curl");
                let page = output(curl.args(["-sS", "--max-time", "3", &format!("http://{vip}/")]))?;
                ensure!(page.trim().parse::<Host>().is_ok(), "{client} got {page:?} from {vip}");
            }
        }
        Ok(())
    })
}

fn upgrade_answers_101() -> Result<()> {
    block_on(async {
        let lab = Lab::up("bt-upgrade-", Extent::Agent).await?;
        for vip in vips() {
            let url = format!("http://{vip}:{}/", Service::Ws.port());
            let mut curl = lab.place.netns(Host::Client(1)).command("curl");
            // curl goes on waiting for the open connection, and says so with exit code 28.
            curl.args(["-sS", "--include", "--http1.1", "--max-time", "1", &url])
                .args(["-H", "Connection: Upgrade", "-H", "Upgrade: websocket"])
                .args([
                    "-H",
                    "Sec-WebSocket-Version: 13",
                    "-H",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                ]);
            let answer = String::from_utf8_lossy(&curl.output()?.stdout).into_owned();
            ensure!(answer.starts_with("HTTP/1.1 101 "), "{url} answered {answer:?}");
            // RFC 6455 section 1.3: the answer to its example key.
            ensure!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{url} answered {answer:?}");
        }
        Ok(())
    })
}

fn sick_answer_takes_down() -> Result<()> {
    block_on(async {
        let lab = Lab::up("bt-sick-", Extent::Agent).await?;
        let balancer = lab::agent::Balancer::of(&lab.place)?;
        std::fs::write(lab.place.sick(Host::Backend(1)), "")?;
        balancer.await_health(Service::Web, "backend-1", "down").await?;
        let ws = balancer.backends(Service::Ws).await?;
        ensure!(ws.iter().all(|backend| backend.health == "up"), "another service took it amiss: {ws:?}");
        std::fs::remove_file(lab.place.sick(Host::Backend(1)))?;
        balancer.await_health(Service::Web, "backend-1", "up").await
    })
}
