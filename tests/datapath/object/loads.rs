//! How the packet is read. Misaligned loads must be allowed when the object is compiled (`xtask/src/bpf.rs`): without
//! that the compiler puts each port, address and sequence number together from single bytes, four loads for one.

use super::code::{self, Instruction};
use anyhow::{Result, ensure};

/// The fields of one byte that the path of a known flow reads: version and header length of IPv4, its protocol; version
/// of IPv6, its next header. TCP's flags come with its header length as two bytes.
const BYTE_FIELDS: usize = 4;
/// The functions that read the packet, without the one that follows extension headers: there two fields of one byte
/// stand side by side, the next header's number and the length.
const WHOLE_FIELDS: [&str; 3] = ["balancer", "icmp4", "icmp6"];

/// A load of one byte: instruction, register that points, offset.
type Load = (usize, u8, i16);

pub(crate) fn a_field_of_more_than_one_byte_is_read_whole() -> Result<()> {
    let loads = byte_loads("balancer")?;
    ensure!(
        loads.len() == BYTE_FIELDS,
        "the entry program reads {} single bytes (instruction, register, offset): {loads:?}; {BYTE_FIELDS} fields \
         have that size",
        loads.len()
    );
    for function in WHOLE_FIELDS {
        let pairs = neighbours(&code::of(function)?);
        ensure!(
            pairs.is_empty(),
            "{function} reads bytes one by one (instruction, register, offset): {pairs:?}"
        );
    }
    Ok(())
}

fn byte_loads(function: &str) -> Result<Vec<Load>> {
    let loads =
        code::of(function)?.into_iter().enumerate().filter_map(|(at, instruction)| match instruction {
            Instruction::LoadByte { from, offset, .. } => Some((at, from, offset)),
            _ => None,
        });
    Ok(loads.collect())
}

/// Loads of two bytes side by side through a register that was not written in between.
fn neighbours(code: &[Instruction]) -> Vec<(Load, Load)> {
    let mut pairs = Vec::new();
    // For each register the byte loads through it since it was written.
    let mut through: [Vec<Load>; 16] = Default::default();
    for (at, instruction) in code.iter().enumerate() {
        let written = match instruction {
            Instruction::LoadByte { to, from, offset } => {
                let load = (at, *from, *offset);
                let same = &mut through[usize::from(*from)];
                let beside = same.iter().filter(|earlier| earlier.2.abs_diff(*offset) == 1);
                pairs.extend(beside.map(|earlier| (*earlier, load)));
                same.push(load);
                Some(*to)
            }
            Instruction::Other(written) => *written,
            // A call leaves its result in register 0, and nothing that could be used in 1 to 5.
            Instruction::Helper(_) | Instruction::Function(_) => {
                through[..6].iter_mut().for_each(Vec::clear);
                None
            }
        };
        if let Some(register) = written {
            through[usize::from(register)].clear();
        }
    }
    pairs
}
