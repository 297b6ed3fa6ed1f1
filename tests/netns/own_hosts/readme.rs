//! The section of the README, read as its reader does.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use lab::topology::Host;

const README: &str = include_str!("../../../README.md");
const SECTION: &str = "## On your own hosts\n";

/// A command, and the host that it is for.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) host: Host,
    pub(super) command: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on {}: {:?}", self.host, self.command)
    }
}

/// All commands in their order.
pub(super) fn steps() -> Result<Vec<Step>> {
    let blocks = blocks("sh")?.into_iter().map(steps_of).collect::<Result<Vec<_>>>()?;
    Ok(blocks.concat())
}

/// The first line of a block is a comment that names the host.
fn steps_of(block: &str) -> Result<Vec<Step>> {
    let mut lines = block.lines();
    let label = lines.next().unwrap_or_default();
    let host = match label.split([' ', ',']).nth(3) {
        Some("balancer") => Host::Balancer,
        Some("backend") => Host::Backend(1),
        Some("client") => Host::Client(1),
        _ => bail!("README: {label:?} names no host; it must be `# on the balancer`, backend or client"),
    };
    Ok(lines.map(|line| Step { host, command: line.to_owned() }).collect())
}

/// The file after the edit that the README asks for: its keys set, the second backend gone.
pub(super) fn edited(file: &str) -> Result<String> {
    const BACKEND: &str = "[[service.backend]]";
    let (head, backends) = file.split_once(BACKEND).context("the file has no backend")?;
    let first = backends.split(BACKEND).next().unwrap_or_default();
    let mut text = [head, BACKEND, first].concat();
    for setting in blocks("toml")?.into_iter().flat_map(str::lines) {
        let (key, _) =
            setting.split_once(" = ").with_context(|| format!("README: {setting:?} sets no key"))?;
        let old = text.lines().find(|line| line.starts_with(&format!("{key} = ")));
        let old = old.with_context(|| format!("the file has no key {key} to set"))?.to_owned();
        text = text.replacen(&old, setting, 1);
    }
    Ok(text)
}

/// The section's fenced blocks of this language.
fn blocks(language: &str) -> Result<Vec<&'static str>> {
    let (_, section) = README.split_once(SECTION).context("the README has no such section")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let fence = format!("```{language}\n");
    let blocks: Vec<_> =
        section.split(&fence).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    ensure!(!blocks.is_empty(), "the README's section has no block of {language}");
    Ok(blocks)
}
