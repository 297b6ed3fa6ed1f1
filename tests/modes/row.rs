//! One row: the clients of one family that speak one protocol, and where each is at home.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    fixture::{caller::Caller, mode::Mode},
    paths::Place,
    topology::{CLIENT_HOSTS, client_v4, client_v6, vip_for},
};

use crate::{
    file::PORT,
    results::{COLUMNS, PROMISES},
};

/// Bytes of IP's and UDP's headers.
const HEADERS: [usize; 2] = [28, 48];
const MTU: usize = 1500;

/// The clients of a row, each with a session.
pub(crate) struct Row {
    pub(crate) v6: bool,
    pub(crate) udp: bool,
    place: Place,
    mode: Mode,
    sessions: BTreeMap<IpAddr, (Caller, String)>,
    cells: Vec<Result<()>>,
}

impl Row {
    pub(crate) fn new(place: &Place, mode: Mode, v6: bool, udp: bool) -> Self {
        Self { v6, udp, place: place.clone(), mode, sessions: BTreeMap::new(), cells: Vec::new() }
    }

    /// Enters what came of the next column.
    pub(crate) fn enter(&mut self, outcome: Result<()>) {
        self.cells.push(outcome);
    }

    /// Enters the row in the table; an error if something did not hold.
    pub(crate) fn finish(self, place: &str) -> Result<()> {
        let (family, protocol) = (if self.v6 { "v6" } else { "v4" }, if self.udp { "udp" } else { "tcp" });
        let names = [self.mode.name(), place, family, protocol].map(str::to_owned);
        let cell =
            |cell: &Result<()>| cell.as_ref().map_or_else(|error| format!("{error:#}"), |()| "ok".to_owned());
        let mut cells: Vec<_> = self.cells.iter().map(cell).collect();
        let broken: Vec<_> = COLUMNS
            .iter()
            .zip(&cells)
            .filter(|(_, cell)| *cell != "ok")
            .map(|(c, what)| format!("{c}: {what}"))
            .collect();
        let complete = cells.len() == COLUMNS.len();
        cells.resize(COLUMNS.len(), "not reached".to_owned());
        if self.udp && complete {
            // Datagrams are no stream.
            *cells.last_mut().context("no columns")? = "-".to_owned();
        }
        let title = names.join(" ");
        PROMISES.enter((names.into(), cells));
        ensure!(complete, "{title}: it ended early");
        ensure!(broken.is_empty(), "{title}: {}", broken.join("; "));
        Ok(())
    }

    fn clients(&self, count: u8) -> Vec<IpAddr> {
        // Both protocols' clients are others: a pin is of one client, whatever he speaks.
        let first = if self.udp { 101 } else { 1 };
        let of = if self.v6 { client_v6 } else { client_v4 };
        (0..count).map(|n| of(1 + n % CLIENT_HOSTS, first + n / CLIENT_HOSTS)).collect()
    }

    fn open(&self, client: IpAddr) -> Result<(Caller, String)> {
        let target = SocketAddr::new(vip_for(client), PORT);
        let mut caller = Caller::open(&self.place, client, target, self.udp)?;
        let (home, seen) = caller.introduced()?;
        ensure!(self.mode.may_see(client, seen), "{home} sees {client} at {seen}");
        // The third datagram makes a flow.
        for length in [1, 20, 300] {
            caller.echo(length)?;
        }
        Ok((caller, home))
    }

    /// So many clients come, and come again from another port: to the same backend.
    pub(crate) fn come(&mut self, count: u8) -> Result<()> {
        for client in self.clients(count) {
            let (first, home) = self.open(client)?;
            drop(first);
            let (session, again) = self.open(client)?;
            ensure!(home == again, "{client} was on {home} and came back to {again}");
            self.sessions.insert(client, (session, home));
        }
        let homes: BTreeSet<_> = self.sessions.values().map(|(_, home)| home).collect();
        ensure!(homes.len() > 1, "all clients are on {homes:?}");
        Ok(())
    }

    /// Everything from a byte to the largest packet comes back.
    pub(crate) fn payloads(&mut self) -> Result<()> {
        let largest = MTU - HEADERS[usize::from(self.v6)] - self.mode.overhead(self.v6);
        let (session, _) = self.sessions.values_mut().next().context("nobody came")?;
        for length in [1, 2, 3, 7, 64, 511, 512, 1000, 1200, largest - 1, largest] {
            session.echo(length)?;
        }
        match self.udp {
            true => Ok(()),
            // More than a segment, and an odd rest.
            false => [1461, 4000, 65_001].into_iter().try_for_each(|length| session.echo(length)),
        }
    }

    /// Every session goes on where it was.
    pub(crate) fn undisturbed(&mut self) -> Result<()> {
        for (client, (session, home)) in &mut self.sessions {
            session.echo(200)?;
            let now = session.who()?;
            ensure!(now == *home, "the session of {client} moved from {home} to {now}");
        }
        Ok(())
    }

    /// Every client comes back to its home, and goes on with that session.
    pub(crate) fn come_back(&mut self) -> Result<()> {
        for client in self.sessions.keys().copied().collect::<Vec<_>>() {
            let (session, now) = self.open(client)?;
            let home = &self.sessions[&client].1;
            ensure!(now == *home, "{client} was on {home} and came back to {now}");
            self.sessions.insert(client, (session, now));
        }
        Ok(())
    }

    /// New connections of a backend's clients go elsewhere, and that is their home now; all others come back to theirs.
    pub(crate) fn avoid(&mut self, backend: &str) -> Result<()> {
        for client in self.sessions.keys().copied().collect::<Vec<_>>() {
            let (session, now) = self.open(client)?;
            let home = &self.sessions[&client].1;
            ensure!(now != backend, "{client} came to {backend}");
            ensure!(home == backend || now == *home, "{client} moved from {home} to {now}");
            self.sessions.insert(client, (session, now));
        }
        Ok(())
    }

    /// The sessions on a dead backend end by a reset; datagrams reach another one.
    pub(crate) fn hear_of_the_death_of(&mut self, backend: &str) -> Result<()> {
        let on = |(_, home): &(Caller, String)| home == backend;
        let victims: Vec<_> = self.sessions.extract_if(.., |_, session| on(session)).collect();
        ensure!(!victims.is_empty(), "nobody was on {backend}");
        for (client, (mut session, _)) in victims {
            if self.udp {
                let now = session.who()?;
                ensure!(now != backend, "{client} is answered by {backend}");
                session.echo(100)?;
                self.sessions.insert(client, (session, now));
            } else {
                ensure!(session.until_over()?, "the session of {client} ended, but not by a reset");
                let (session, now) = self.open(client)?;
                ensure!(now != backend, "{client} came to {backend}");
                self.sessions.insert(client, (session, now));
            }
        }
        Ok(())
    }

    /// A stream of so many bytes there and back.
    pub(crate) fn transfer(&mut self, bytes: usize) -> Result<()> {
        if self.udp {
            return Ok(());
        }
        let Some((_, (mut session, _))) = self.sessions.pop_first() else { bail!("nobody is there") };
        session.transfer(bytes)
    }

    /// How many clients are on a backend.
    pub(crate) fn on(&self, backend: &str) -> usize {
        self.sessions.values().filter(|(_, home)| home == backend).count()
    }
}
