//! What the path of a known flow calls.
//!
//! A packet of a settled flow runs in the entry program alone: what is off its path are the steps, global functions of
//! their own (`balancer-ebpf/src/steps.rs`). So what the entry program does not call, no settled flow's packet pays for.
//! The entry program also holds what is done to a packet that is refused, so that this is more than is promised.

use super::code::{self, Instruction};
use anyhow::{Context as _, Result, ensure};
use aya_obj::generated::bpf_map_type::{BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY};
use balancer_user::dataplane::xdp_object;
use std::collections::BTreeMap;

/// The program that the driver runs.
const ENTRY: &str = "balancer";
/// `bpf_map_lookup_elem`: a few instructions in place of a call, for an array (Linux 4.10) and a per-CPU array (6.10).
const MAP_LOOKUP: i32 = 1;
/// `bpf_jiffies64`: one load in place of a call (Linux 5.6).
const JIFFIES64: i32 = 118;
/// `bpf_redirect`: a real call, and the way out to a backend behind another interface; there is no other.
const REDIRECT: i32 = 23;

/// The steps that the walk goes off to from the entry program; but for the chain of extension headers, each is there
/// for v4 and for v6.
const STEPS: [&str; 24] = [
    "unsteady",
    "reroute",
    "fail",
    "reset",
    "notice",
    "by_way",
    "forth",
    "entry_of",
    "answer_of",
    "back",
    "clamp",
    "clamp_answer",
    "take_port",
    "parts",
    "about",
    "error_forth",
    "error_back",
    "echo",
    "unknown",
    "promote",
    "place_new",
    "place_unknown",
    "remember",
    "icmp",
];
const EXTENSIONS: &str = "behind_extensions6";

pub(crate) fn the_path_of_a_known_flow_calls_no_helper_that_is_not_inlined() -> Result<()> {
    let mut helpers = BTreeMap::new();
    for instruction in code::of(ENTRY)? {
        if let Instruction::Helper(number) = instruction {
            *helpers.entry(number).or_insert(0) += 1;
        }
    }
    // What remains is the verdict of a packet that leaves by another interface.
    ensure!(helpers.remove(&REDIRECT) == Some(1), "redirect is called otherwise than once: {helpers:?}");
    ensure!(helpers.contains_key(&MAP_LOOKUP), "no look-up was found: this test reads the object wrongly");
    helpers.retain(|number, _| ![MAP_LOOKUP, JIFFIES64].contains(number));
    ensure!(helpers.is_empty(), "helpers (number: calls) that the kernel does not inline: {helpers:?}");
    Ok(())
}

pub(crate) fn every_map_is_of_a_kind_whose_look_up_is_inlined() -> Result<()> {
    let object = aya_obj::Object::parse(xdp_object()).context("aya cannot read the object")?;
    ensure!(object.maps.len() >= 19, "only {} maps were found", object.maps.len());
    for (name, map) in &object.maps {
        let inlined = [BPF_MAP_TYPE_ARRAY as u32, BPF_MAP_TYPE_PERCPU_ARRAY as u32];
        ensure!(inlined.contains(&map.map_type()), "map {name} is of type {}", map.map_type());
    }
    Ok(())
}

pub(crate) fn the_entry_program_calls_the_steps_and_no_other_function() -> Result<()> {
    let called = code::of(ENTRY)?.into_iter().filter_map(|instruction| match instruction {
        Instruction::Function(name) => Some(name),
        _ => None,
    });
    let called: Vec<String> = called.collect();
    for name in &called {
        let step = name.strip_suffix(['4', '6']).is_some_and(|step| STEPS.contains(&step));
        ensure!(step || name == EXTENSIONS, "{name} is called on the path of a known flow");
    }
    for step in STEPS.iter().flat_map(|step| [format!("{step}4"), format!("{step}6")]) {
        ensure!(called.contains(&step), "{step} is no function of its own any more");
    }
    Ok(())
}
