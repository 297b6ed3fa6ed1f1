//! The section of the README, read as its reader does.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use lab::topology::Host;

const README: &str = include_str!("../../../README.md");
const SECTION: &str = "## On your own hosts\n";

const DEFAULTS: &str = "[agent]\napi = \"/run/balancer/api.sock\"\nstate_dir = \"/var/lib/balancer\"\nbpffs = \"/sys/fs/bpf/balancer\"\n";

/// A part of the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Backends on the segment, which have the service address.
    Segment,
    /// Backends as they are; begins with the first commands of the other part.
    AsTheyAre,
    /// Containers of the balancer's host; begins the same way.
    Containers,
}

impl Part {
    /// What precedes its text.
    const fn title(self) -> &'static str {
        match self {
            Self::Segment => "",
            Self::AsTheyAre => "\n### With backends as they are\n",
            Self::Containers => "\n### With containers on the same host\n",
        }
    }

    fn text(self) -> Result<&'static str> {
        let (_, section) = README.split_once(SECTION).context("the README has no such section")?;
        let section = section.split("\n## ").next().unwrap_or_default();
        let (_, part) = section.split_once(self.title()).with_context(|| format!("no {:?}", self.title()))?;
        Ok(part.split("\n### ").next().unwrap_or_default())
    }
}

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
pub(super) fn steps(part: Part) -> Result<Vec<Step>> {
    let first = blocks(Part::Segment, "sh")?.into_iter().take(1).filter(|_| part != Part::Segment);
    let blocks = first.chain(blocks(part, "sh")?).map(steps_of).collect::<Result<Vec<_>>>()?;
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

/// The file as the README wants it: the whole of it, or with its keys set and the second backend gone.
pub(super) fn edited(part: Part, file: &str) -> Result<String> {
    match part {
        Part::Segment => with_keys(file),
        // The defaults written out, so that the test's own directories can stand in their place.
        Part::AsTheyAre | Part::Containers => {
            Ok(blocks(part, "toml")?.concat().replacen("[agent]\n", DEFAULTS, 1))
        }
    }
}

fn with_keys(file: &str) -> Result<String> {
    const BACKEND: &str = "[[service.backend]]";
    let (head, backends) = file.split_once(BACKEND).context("the file has no backend")?;
    let first = backends.split(BACKEND).next().unwrap_or_default();
    let mut text = [head, BACKEND, first].concat();
    for setting in blocks(Part::Segment, "toml")?.into_iter().flat_map(str::lines) {
        let (key, _) =
            setting.split_once(" = ").with_context(|| format!("README: {setting:?} sets no key"))?;
        let old = text.lines().find(|line| line.starts_with(&format!("{key} = ")));
        let old = old.with_context(|| format!("the file has no key {key} to set"))?.to_owned();
        text = text.replacen(&old, setting, 1);
    }
    Ok(text)
}

/// The part's fenced blocks of this language.
fn blocks(part: Part, language: &str) -> Result<Vec<&'static str>> {
    let fence = format!("```{language}\n");
    let text = part.text()?;
    let blocks: Vec<_> =
        text.split(&fence).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    ensure!(!blocks.is_empty(), "the README's {part:?} has no block of {language}");
    Ok(blocks)
}
