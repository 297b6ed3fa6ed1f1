//! bpf-linker, built against the very LLVM of the compiler whose bitcode it links.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{say, toolchain::Toolchain};
use crate::run;

/// The version that is installed.
pub(crate) const VERSION: &str = "0.13.0";

/// Whether the linker is there and starts.
pub(crate) fn works(cache: &Path) -> bool {
    let version = run::output(Command::new(cache.join("bin/bpf-linker")).arg("--version"));
    version.is_some_and(|text| text.trim().ends_with(VERSION))
}

/// Compiles the linker into the cache.
pub(crate) fn install(cache: &Path, toolchain: &Toolchain) -> Result<()> {
    say(&format!("compiling bpf-linker {VERSION} for toolchain {} (about a minute)", toolchain.name));
    let prefix = cache.join("llvm");
    link_llvm(&llvm_of(toolchain)?, &prefix.join("lib"))?;
    let mut install = run::cargo("install");
    install
        .args(["bpf-linker", "--version", VERSION, "--locked", "--force", "--quiet"])
        .args(["--no-default-features", "--features", &format!("llvm-{}", toolchain.llvm()?)])
        .arg("--root")
        .arg(cache)
        .env("LLVM_PREFIX", prefix);
    run::check(&mut install)
}

/// The LLVM that the compiler itself is linked with.
fn llvm_of(toolchain: &Toolchain) -> Result<PathBuf> {
    let rustc = run::output(Command::new("rustup").args(["which", "rustc", "--toolchain", toolchain.name]));
    let rustc = rustc.with_context(|| format!("rustup does not know the rustc of {}", toolchain.name))?;
    let libraries = run::output(Command::new("ldd").arg(rustc.trim())).context("ldd cannot read rustc")?;
    let library = libraries.lines().find_map(llvm_path);
    library.with_context(|| format!("the rustc of {} brings no libLLVM of its own", toolchain.name))
}

/// The path in a line of ldd, `libLLVM.so.22.1 => /usr/lib/libLLVM.so.22.1 (0x…)`, if that is LLVM.
fn llvm_path(line: &str) -> Option<PathBuf> {
    let (name, path) = line.split_once(" => ")?;
    name.trim().starts_with("libLLVM").then(|| path.split(" (").next().map(PathBuf::from))?
}

/// Gives the library the name that a linker looks for, beside the one that is looked for at run time.
fn link_llvm(library: &Path, dir: &Path) -> Result<()> {
    let _absent_at_first = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let name = library.file_name().context("libLLVM has no name")?;
    for link in [dir.join("libLLVM.so"), dir.join(name)] {
        symlink(library, &link).with_context(|| format!("cannot link {}", link.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llvm_is_found_among_the_libraries_of_rustc() {
        let line = "\tlibLLVM.so.22.1 => /lib/x86_64-linux-gnu/libLLVM.so.22.1 (0x00007f8e18200000)";
        assert_eq!(llvm_path(line), Some(PathBuf::from("/lib/x86_64-linux-gnu/libLLVM.so.22.1")));
        assert_eq!(llvm_path("\tlibc.so.6 => /lib/libc.so.6 (0x1)"), None);
        assert_eq!(llvm_path("\tlinux-vdso.so.1 (0x1)"), None);
    }
}
