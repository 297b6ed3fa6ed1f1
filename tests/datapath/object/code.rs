//! The instructions of a function of the compiled object, as far as the tests ask for them.

use anyhow::{Context as _, Result, ensure};
use balancer_user::dataplane::xdp_object;
use object::{File, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget};
use std::collections::HashMap;

/// Bytes of an instruction (`struct bpf_insn`, include/uapi/linux/bpf.h).
const SIZE: usize = 8;
/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// `BPF_PSEUDO_CALL`, in the source register: a function of the program rather than a helper.
const PSEUDO_CALL: u8 = 1;
/// `BPF_LDX | BPF_MEM | BPF_B`.
const LOAD_BYTE: u8 = 0x71;
/// Class bits of those that write to their destination register: `BPF_LD`, `BPF_LDX`, `BPF_ALU`, `BPF_ALU64`.
const WRITES: [u8; 4] = [0, 1, 4, 7];

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Instruction {
    /// A call of the kernel's function with this number (`enum bpf_func_id`).
    Helper(i32),
    /// A call of the object's function with this name.
    Function(String),
    /// A load of one byte at an offset of a register.
    LoadByte {
        /// The register that is written.
        to: u8,
        /// The register that points.
        from: u8,
        /// The offset.
        offset: i16,
    },
    /// Anything else; the register that it writes.
    Other(Option<u8>),
}

/// The instructions of the embedded object's function of this name.
pub(crate) fn of(name: &str) -> Result<Vec<Instruction>> {
    let file = File::parse(xdp_object()).context("the object is no ELF file")?;
    let symbol = file.symbol_by_name(name).with_context(|| format!("the object has no {name}"))?;
    let section = file.section_by_index(symbol.section_index().context("it is not defined")?)?;
    let named = file.symbols().map(|symbol| (symbol.index(), symbol.name().unwrap_or_default().to_owned()));
    let names: HashMap<_, _> = named.collect();
    let targets: HashMap<u64, String> = section
        .relocations()
        .filter_map(|(at, relocation)| match relocation.target() {
            RelocationTarget::Symbol(index) => Some((at, names.get(&index)?.clone())),
            _ => None,
        })
        .collect();
    let (start, end) = (symbol.address(), symbol.address() + symbol.size());
    let bytes = section.data()?.get(start as usize..end as usize).context("it is beyond its section")?;
    ensure!(!bytes.is_empty() && bytes.len().is_multiple_of(SIZE), "{name} has {} bytes", bytes.len());
    let places = (start..).step_by(SIZE);
    let decoded = bytes.chunks_exact(SIZE).zip(places).map(|(bytes, at)| decode(bytes, targets.get(&at)));
    decoded.collect::<Result<_>>().with_context(|| name.to_owned())
}

fn decode(bytes: &[u8], target: Option<&String>) -> Result<Instruction> {
    let (to, from) = (bytes[1] & 0xf, bytes[1] >> 4);
    let immediate = i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    Ok(match bytes[0] {
        CALL if from == PSEUDO_CALL => {
            let name = target.filter(|name| !name.is_empty());
            Instruction::Function(name.context("a call of a function without a name")?.clone())
        }
        CALL => {
            ensure!(from == 0, "a call of kind {from}");
            Instruction::Helper(immediate)
        }
        LOAD_BYTE => Instruction::LoadByte { to, from, offset: i16::from_le_bytes([bytes[2], bytes[3]]) },
        opcode => Instruction::Other(WRITES.contains(&(opcode & 7)).then_some(to)),
    })
}
