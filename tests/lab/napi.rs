//! Makes the other end of a veth poll, so that it takes what XDP sends into it.
//!
//! `XDP_TX` and `XDP_REDIRECT` into a veth are dropped unless its peer has NAPI. GRO on the peer would turn that on
//! too, but under a burst its ring stays full for good (seen on Linux 6.18); with a program on it, it does not.

use std::{io, path::Path};

use anyhow::{Context, Result};

use crate::netns::{Netns, run};

/// Puts a program that passes everything on an interface of `netns`. `object` is where in a bpffs it is kept.
///
/// # Errors
/// When the kernel refuses the program, or `ip` to attach it.
pub fn enable(netns: &Netns, interface: &str, object: &Path) -> Result<()> {
    pin_program(BPF_PROG_TYPE_XDP, &PASS, object)
        .with_context(|| format!("{}: no XDP program", object.display()))?;
    let ip = ["link", "set", "dev", interface, "xdp", "pinned"];
    run(netns.command("ip").args(ip).arg(object))
}

/// `bpf_attr` of `BPF_PROG_LOAD`, as far as it matters here (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log: [u64; 2],
    kern_version_and_flags: u64,
    name: [u64; 2],
}

/// `bpf_attr` of `BPF_OBJ_PIN`.
#[repr(C)]
struct PinAttr {
    pathname: u64,
    fd: u32,
    flags: u32,
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;
/// `r0 = 2; exit`: `XDP_PASS`.
const PASS: [u64; 2] = [0x0000_0002_0000_00b7, 0x95];
/// `r0 = -1; exit`: `TCX_NEXT`.
const NEXT: [u64; 2] = [0xffff_ffff_0000_00b7, EXIT];
const EXIT: u64 = 0x95;
/// `r0 = bpf_get_prandom_u32()`.
const CALL_RANDOM: u64 = 0x0000_0007_0000_0085;
/// `if w0 < …, skip two`; the number is in the upper half.
const IF_LESS_SKIP_2: u64 = 0x0002_00a6;
/// `r0 = 2`: `TCX_DROP`.
const SHOT: u64 = 0x0000_0002_0000_00b7;

/// Loses what says that a packet was too large, out of untagged frames without IP options or extension headers:
/// `r6 = r1`, as the loads want it; IPv4, ICMP, type 3 and code 4; or IPv6, ICMPv6, type 2.
const LOSE_TOO_BIG: [u64; 17] = [
    0x16bf,
    load_half(12),
    if_equal(0x0800, 6),
    unless_equal(0x86dd, 11),
    load_byte(20),
    unless_equal(58, 9),
    load_byte(54),
    if_equal(2, 5),
    0x0006_0005,
    load_byte(23),
    unless_equal(1, 4),
    load_half(34),
    unless_equal(0x0304, 2),
    SHOT,
    EXIT,
    NEXT[0],
    EXIT,
];

/// `r0 = ` two bytes of the frame, host order (`BPF_LD | BPF_ABS`).
const fn load_half(at: u64) -> u64 {
    0x28 | at << 32
}

/// `r0 = ` a byte of the frame.
const fn load_byte(at: u64) -> u64 {
    0x30 | at << 32
}

/// `if r0 == value, skip …`.
const fn if_equal(value: u64, skip: u64) -> u64 {
    0x15 | skip << 16 | value << 32
}

/// `if r0 != value, skip …`.
const fn unless_equal(value: u64, skip: u64) -> u64 {
    0x55 | skip << 16 | value << 32
}

/// Keeps a program for `tc` there that loses "fragmentation needed" and "packet too big".
pub(crate) fn pin_too_big_loser(object: &Path) -> io::Result<()> {
    pin_program(BPF_PROG_TYPE_SCHED_CLS, &LOSE_TOO_BIG, object)
}

/// Keeps a program for `tc` there that lets everything go.
pub(crate) fn pin_classifier(object: &Path) -> io::Result<()> {
    pin_program(BPF_PROG_TYPE_SCHED_CLS, &NEXT, object)
}

/// Keeps a program for `tc` there that loses so many of a thousand packets, at random.
pub(crate) fn pin_losing_classifier(object: &Path, per_mille: u32) -> io::Result<()> {
    let below = (u64::from(per_mille.min(1000)) * u64::from(u32::MAX) / 1000) as u32;
    let program = [CALL_RANDOM, IF_LESS_SKIP_2 | u64::from(below) << 32, NEXT[0], EXIT, SHOT, EXIT];
    pin_program(BPF_PROG_TYPE_SCHED_CLS, &program, object)
}

fn pin_program(prog_type: u32, instructions: &[u64], object: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut path = object.as_os_str().as_bytes().to_vec();
    path.push(0);
    let load = LoadAttr {
        prog_type,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        ..LoadAttr::default()
    };
    let fd = bpf(BPF_PROG_LOAD, &load)?;
    let pinned = bpf(BPF_OBJ_PIN, &PinAttr { pathname: path.as_ptr() as u64, fd: fd as u32, flags: 0 });
    nix::unistd::close(fd).map_err(io::Error::from)?;
    pinned.map(|_zero| ())
}

#[expect(unsafe_code, reason = "no library loads a program that is not in an ELF object")]
fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<i32> {
    // SAFETY: the attribute is the command's, of this size, and what it points to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
