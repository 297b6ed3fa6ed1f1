//! Network namespaces for tests: two hosts on a cable, gone when the test ends, however it ends.

use std::{
    fs::File,
    io::Write,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Whether a test that needs root can run. Without root it says so, also past the harness's capture; with
/// `BALANCER_REQUIRE_PRIVILEGED=1` it fails instead.
pub(super) fn is_root(test: &str) -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    let required = std::env::var_os("BALANCER_REQUIRE_PRIVILEGED").is_some_and(|value| value == "1");
    assert!(!required, "{test} needs root, and BALANCER_REQUIRE_PRIVILEGED=1 forbids to skip it");
    // In one write, so that tests on other threads cannot tear the line.
    std::io::stderr().write_all(format!("{test} skipped: needs root\n").as_bytes()).ok();
    false
}

/// Runs `ip` with words that blanks separate; what it prints.
fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {words}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A network namespace, deleted on drop (also while a test panics).
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    pub(super) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("balancer-unit-{}-{number}", std::process::id());
        ip(&format!("netns add {name}"));
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs `ip` inside.
    pub(super) fn ip(&self, words: &str) {
        ip(&format!("-n {} {words}", self.name));
    }

    /// Waits until `eth0` is up in operation: before that it drops what it is given to send.
    fn wait_until_up(&self) {
        let started = Instant::now();
        while !ip(&format!("-n {} -oneline link show eth0 up", self.name)).contains("state UP") {
            assert!(started.elapsed() < Duration::from_secs(10), "eth0 of {} does not come up", self.name);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Writes `/proc/sys/net/SETTING` inside, which is the namespace's of the thread that opens it.
    pub(super) fn sysctl(&self, setting: &str, value: &str) {
        self.run(async || std::fs::write(Path::new("/proc/sys/net").join(setting), value)).unwrap();
    }

    /// Runs `work` on a runtime whose only thread has entered the namespace.
    pub(super) fn run<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> T {
        let handle = File::open(Path::new("/run/netns").join(&self.name)).unwrap();
        let inside = || {
            setns(&handle, CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work())
        };
        thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        Command::new("ip").args(["netns", "del", &self.name]).status().ok();
    }
}

/// Two hosts on a cable: `balancer` with 10.9.0.1 and fd09::1 on `eth0`, `backend` with .2 and ::2 and the
/// MAC address 02:00:00:00:00:02. The kernels judge neighbours quickly.
pub(super) struct Cable {
    pub(super) balancer: Namespace,
    pub(super) backend: Namespace,
}

impl Cable {
    pub(super) fn new() -> Self {
        let cable = Self { balancer: Namespace::new(), backend: Namespace::new() };
        for host in [&cable.balancer, &cable.backend] {
            host.sysctl("ipv6/conf/default/accept_dad", "0");
        }
        let peer = &cable.backend.name;
        cable.balancer.ip(&format!("link add eth0 type veth peer name eth0 netns {peer}"));
        for (host, number) in [(&cable.balancer, 1), (&cable.backend, 2)] {
            host.ip(&format!("link set eth0 address 02:00:00:00:00:0{number} up"));
        }
        for (host, number) in [(&cable.balancer, 1), (&cable.backend, 2)] {
            host.wait_until_up();
            host.ip(&format!("addr add 10.9.0.{number}/24 dev eth0"));
            host.ip(&format!("addr add fd09::{number}/64 dev eth0"));
        }
        for family in ["ipv4", "ipv6"] {
            for (timer, value) in [
                ("retrans_time_ms", "100"),
                ("delay_first_probe_time", "1"),
                ("base_reachable_time_ms", "1000"),
            ] {
                cable.balancer.sysctl(&format!("{family}/neigh/eth0/{timer}"), value);
            }
        }
        cable
    }
}
