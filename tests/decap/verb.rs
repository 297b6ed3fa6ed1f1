//! The command: on, off, left on, and refused.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab::{
    fixture::{
        decap::Decap,
        labs::{self, Lab},
        xdp,
    },
    lifecycle::Extent,
    napi,
    netns::{output, run},
    network::INTERFACE,
    paths::Place,
    topology::Host,
};
use serde_json::json;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "it_ends_as_it_began_and_follows_addresses_meanwhile",
        it_ends_as_it_began_and_follows_addresses_meanwhile,
    ),
    ("what_is_left_on_goes_on_and_is_taken_over_and_off", what_is_left_on_goes_on_and_is_taken_over_and_off),
    (
        "a_foreign_program_stays_and_nothing_of_ours_is_left",
        a_foreign_program_stays_and_nothing_of_ours_is_left,
    ),
];

const BACKEND: Host = Host::Backend(1);

fn lab(prefix: &str) -> Result<Lab> {
    labs::block_on(Lab::up(prefix, Extent::Network))
}

/// Nothing on the interface, nothing in bpffs.
fn nothing_left(place: &Place) -> Result<()> {
    let on = xdp::on(&place.netns(BACKEND), INTERFACE)?;
    ensure!(on.is_none(), "a program is left: {on:?}");
    let bpffs = place.bpffs().join(format!("decap-{BACKEND}"));
    ensure!(!bpffs.exists(), "{} is left", bpffs.display());
    Ok(())
}

/// Runs it to its end: exit code and stderr.
fn ended(command: &mut Command) -> Result<(Option<i32>, String)> {
    let output = command.output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn it_ends_as_it_began_and_follows_addresses_meanwhile() -> Result<()> {
    let lab = lab("bd-verb-")?;
    let (place, netns) = (&lab.place, lab.place.netns(BACKEND));
    let decap = Decap::start(place, BACKEND, &["--source", "192.0.2.64/28"])?;
    let document = decap.show()?;
    ensure!(document["sources"] == json!(["192.0.2.64/28"]) && document["mode"] == "native", "{document}");
    let has = |address: &str| {
        let document = decap.show().unwrap_or_default();
        document["addresses"].as_array().is_some_and(|all| all.contains(&json!(address)))
    };
    for own in [BACKEND.v4().to_string(), BACKEND.v6().to_string()] {
        ensure!(has(&own), "{own} is not in {}", decap.show()?);
    }
    // That of the service is on lo: no tunnel ends there.
    ensure!(!has(&lab::topology::VIP_V4.to_string()), "{}", decap.show()?);
    netns.ip(&format!("address add 10.77.0.99/24 dev {INTERFACE}\n"))?;
    decap.wait("a new address is known", || has("10.77.0.99"))?;
    netns.ip(&format!("address del 10.77.0.99/24 dev {INTERFACE}\n"))?;
    decap.wait("an address that went is forgotten", || !has("10.77.0.99"))?;
    decap.stop()?;
    nothing_left(place)?;
    let (code, words) = ended(decap.command()?.arg("--show"))?;
    ensure!(code == Some(3) && words.contains("nothing takes packets"), "{code:?}: {words}");
    Ok(())
}

fn what_is_left_on_goes_on_and_is_taken_over_and_off() -> Result<()> {
    let lab = lab("bd-keep-")?;
    let (place, netns) = (&lab.place, lab.place.netns(BACKEND));
    let decap = Decap::on(place, BACKEND);
    run(decap.command()?.args(["--keep", "--mss", "1400"]))?;
    let kept = xdp::on(&netns, INTERFACE)?.context("nothing is on the interface")?;
    ensure!(decap.show()?["mss"] == 1400, "{}", decap.show()?);
    // The next one takes the place of the program without a moment without one.
    let decap = Decap::start(place, BACKEND, &["--source", "10.0.0.0/8"])?;
    let now = xdp::on(&netns, INTERFACE)?.context("nothing is on the interface")?;
    ensure!(now.program != kept.program, "the program is the old one");
    let document = decap.show()?;
    ensure!(document["sources"] == json!(["10.0.0.0/8"]) && document["mss"].is_null(), "{document}");
    let (code, words) = ended(decap.command()?.arg("--detach"))?;
    ensure!(code == Some(1) && words.contains("runs with"), "{code:?}: {words}");
    decap.process()?.kill()?;
    ensure!(xdp::on(&netns, INTERFACE)? == Some(now), "a kill took it off");
    output(decap.command()?.arg("--detach"))?;
    nothing_left(place)?;
    let (code, _) = ended(decap.command()?.arg("--detach"))?;
    ensure!(code == Some(0), "{code:?}");
    Ok(())
}

fn a_foreign_program_stays_and_nothing_of_ours_is_left() -> Result<()> {
    let lab = lab("bd-foreign-")?;
    let (place, netns) = (&lab.place, lab.place.netns(BACKEND));
    napi::enable(&netns, INTERFACE, &place.bpffs().join("foreign"))?;
    let foreign = xdp::on(&netns, INTERFACE)?.context("no foreign program")?;
    let decap = Decap::on(place, BACKEND);
    let (code, words) = ended(&mut decap.command()?)?;
    let said = words.contains(&format!("id {}", foreign.program)) && words.contains(INTERFACE);
    ensure!(code == Some(1) && said, "{code:?}: {words}");
    ensure!(xdp::on(&netns, INTERFACE)? == Some(foreign), "it is another one");
    let bpffs = place.bpffs().join(format!("decap-{BACKEND}"));
    ensure!(!bpffs.exists(), "{} is left", bpffs.display());
    Ok(())
}
