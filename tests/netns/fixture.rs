//! A lab for one test: made for it, gone after it however it ends.

use std::{
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::{Result, bail};
use lab::{
    demo::{Scale, Stage, populate},
    lifecycle::{self, Claim, Extent},
    paths::{Place, Prefix},
    signals::Signals,
};
use tokio::runtime::{Builder, Runtime};

/// Labs that exist right now.
static OPEN: Mutex<Vec<Place>> = Mutex::new(Vec::new());

/// A lab that is taken down when this is dropped, also by a panic.
pub(crate) struct Lab {
    /// Where it is.
    pub(crate) place: Place,
    _claim: Claim,
}

impl Lab {
    /// Makes one. A test's prefix is its own, so that tests can run side by side.
    pub(crate) async fn up(prefix: &str, extent: Extent) -> Result<Self> {
        let lab = Self::empty(prefix)?;
        lifecycle::up(&lab.place, extent).await?;
        Ok(lab)
    }

    /// Makes none: what the test itself makes in the lab's place goes with it.
    pub(crate) fn empty(prefix: &str) -> Result<Self> {
        let place = Place::new(prefix.parse::<Prefix>()?);
        let claim = Claim::on(&place)?;
        // Left by a run that was killed.
        lifecycle::down(&place)?;
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).push(place.clone());
        Ok(Self { place, _claim: claim })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = lifecycle::down(&self.place) {
            eprintln!("{error:#}");
        }
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|place| place.prefix() != self.place.prefix());
    }
}

/// Runs a test's body.
pub(crate) fn block_on(body: impl Future<Output = Result<()>>) -> Result<()> {
    runtime()?.block_on(body)
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// Brings a whole lab up, lets a small crowd of clients come, and runs `steps` of the demo in it: every row must hold.
pub(crate) fn demonstrate(prefix: &str, steps: impl AsyncFnOnce(&mut Stage) -> Result<()>) -> Result<()> {
    block_on(async {
        let lab = Lab::up(prefix, Extent::Agent).await?;
        let mut stage = Stage::open(&lab.place, Scale::TEST)?;
        populate::run(&mut stage).await?;
        let outcome = steps(&mut stage).await;
        let mut story = format!("\n{}\n{}", stage.rows, stage.balancer.log_tail());
        if let Err(error) = outcome {
            let _ = write!(story, "\n{error:#}");
            bail!(story);
        }
        match (stage.rows.len(), stage.rows.broken()) {
            (0, _) => bail!("nothing was checked"),
            (_, 0) => Ok(()),
            (_, broken) => bail!("{broken} did not hold{story}"),
        }
    })
}

/// Takes all labs down on Ctrl-C, and ends the tests.
pub(crate) fn clean_up_on_interrupt() {
    thread::spawn(|| {
        let interrupted = block_on(async { Signals::take()?.or(std::future::pending()).await });
        eprintln!("{:#}: cleaning up", interrupted.err().unwrap_or_else(|| anyhow::anyhow!("interrupted")));
        for place in OPEN.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Err(error) = lifecycle::down(place) {
                eprintln!("{error:#}");
            }
        }
        std::process::exit(130);
    });
}
