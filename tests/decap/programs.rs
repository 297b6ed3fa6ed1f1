//! The two programs, loaded and attached nowhere, and what they do with a frame.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRunOptions,
    maps::{Array, PerCpuArray},
    programs::{SchedClassifier, TestRun as _, Xdp},
};
use balancer_common::decap::{
    COUNTERS, Event,
    rules::{self, PREFIXES, Prefix},
};
use balancer_user::dataplane::xdp_object;

/// `XDP_DROP` and `XDP_PASS` (`enum xdp_action`).
const DROP: u32 = 1;
const PASS: u32 = 2;
/// On to the next program (`enum tcx_action_base`).
const NEXT: u32 = u32::MAX;

/// The programs with their maps.
pub(crate) struct Programs(Ebpf);

impl Programs {
    /// Loads them; tunnels to `own` end here, if they come from one of `sources`.
    pub(crate) fn load(own: &[IpAddr], sources: &[(IpAddr, u8)], mss: u16) -> Result<Self> {
        let mut loader = EbpfLoader::new();
        loader.map_max_entries("DECAP", rules::LINES).map_max_entries("DECAP_COUNTS", COUNTERS);
        let mut ebpf = loader.load(xdp_object())?;
        let program: &mut Xdp = ebpf.program_mut("decap").context("no decap")?.try_into()?;
        program.load()?;
        let program: &mut SchedClassifier = ebpf.program_mut("mss").context("no mss")?.try_into()?;
        program.load()?;
        let mut programs = Self(ebpf);
        programs.write(own, sources, mss)?;
        Ok(programs)
    }

    /// Into the second half: the first one is what an empty table says.
    fn write(&mut self, own: &[IpAddr], sources: &[(IpAddr, u8)], mss: u16) -> Result<()> {
        let mut table: Array<_, [u64; 8]> = self.0.map_mut("DECAP").context("no DECAP")?.try_into()?;
        let first = rules::half_line(1);
        let numbers = [own.len() as u64, sources.len() as u64, mss.into(), 0, 0, 0, 0, 0];
        let whole = own.iter().map(|address| Prefix::new(*address, if address.is_ipv4() { 32 } else { 128 }));
        for (line, prefix) in (first + 1..).zip(whole) {
            table.set(line, prefix.words(), 0)?;
        }
        let prefixes = sources.iter().map(|(address, bits)| Prefix::new(*address, *bits));
        for (line, prefix) in (first + 1 + PREFIXES..).zip(prefixes) {
            table.set(line, prefix.words(), 0)?;
        }
        table.set(first, numbers, 0)?;
        Ok(table.set(0, [1, 0, 0, 0, 0, 0, 0, 0], 0)?)
    }

    fn counts(&self) -> Result<BTreeMap<&'static str, u64>> {
        let counts: PerCpuArray<_, u64> = self.0.map("DECAP_COUNTS").context("no counts")?.try_into()?;
        let count = |event: &Event| Ok((event.name(), counts.get(&(*event as u32), 0)?.iter().sum::<u64>()));
        Event::ALL.iter().map(count).collect()
    }

    /// The frame comes out as `expected`, and is counted under this event.
    pub(crate) fn becomes(&self, frame: &[u8], expected: &[u8], event: Event) -> Result<()> {
        let (verdict, out, counted) = self.unwrap(frame)?;
        let right = verdict == PASS && out == expected && counted == [event.name()];
        ensure!(
            right,
            "verdict {verdict}, counted {counted:?}, not {}:\n{frame:02x?} became\n{out:02x?}, not\n{expected:02x?}",
            event.name()
        );
        Ok(())
    }

    /// The frame passes as it is, and is counted under this event, if one is given.
    pub(crate) fn lets_go(&self, frame: &[u8], event: Option<Event>) -> Result<()> {
        let (verdict, out, counted) = self.unwrap(frame)?;
        let names: Vec<_> = event.map(Event::name).into_iter().collect();
        let right = verdict == PASS && out == frame && counted == names;
        ensure!(
            right,
            "verdict {verdict}, counted {counted:?}, not {names:?}: {frame:02x?} became {out:02x?}"
        );
        Ok(())
    }

    /// The frame is dropped, and counted under this event.
    pub(crate) fn drops(&self, frame: &[u8], event: Event) -> Result<()> {
        let (verdict, _, counted) = self.unwrap(frame)?;
        let right = verdict == DROP && counted == [event.name()];
        ensure!(right, "verdict {verdict}, counted {counted:?}, not {}: {frame:02x?}", event.name());
        Ok(())
    }

    /// Verdict, frame, and what was counted.
    fn unwrap(&self, frame: &[u8]) -> Result<(u32, Vec<u8>, Vec<&'static str>)> {
        let program: &Xdp = self.0.program("decap").context("no decap")?.try_into()?;
        let before = self.counts()?;
        let mut out = vec![0; frame.len() + 64];
        let options =
            TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), ..TestRunOptions::default() };
        let run = program.test_run(options)?;
        out.truncate(run.data_size_out as usize);
        let after = self.counts()?;
        let counted = after.into_iter().filter(|(name, count)| before[name] != *count).map(|(name, _)| name);
        Ok((run.return_value, out, counted.collect()))
    }

    /// The frame as it leaves by way of the clamp.
    pub(crate) fn clamp(&self, frame: &[u8]) -> Result<Vec<u8>> {
        let program: &SchedClassifier = self.0.program("mss").context("no mss")?.try_into()?;
        let mut out = vec![0; frame.len() + 64];
        let run = program.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..TestRunOptions::default()
        })?;
        ensure!(run.return_value == NEXT, "verdict {}", run.return_value);
        out.truncate(run.data_size_out as usize);
        Ok(out)
    }
}
